package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"tandem/internal/cloud/awsjson"
	"tandem/internal/cloud/names"
	"tandem/internal/flow"
	"tandem/internal/local/why"
)

func resyncCommand(ctx context.Context, e *env, args []string) error {
	f := e.flags("resync", "[flags] CLIENT OBJECT ID",
		"Reads a record and its partner again, as if it had just been edited, and takes up what was put aside: fields that\n"+
			"the loop breaker has parked travel again, a record that was parked without a partner is looked for. Stop the\n"+
			"automation that rewrote a field first, or it is parked once more. What the mass-change guard has stopped of the\n"+
			"record is let through: its partner is deleted as it was, if nobody has edited it since, or its cleared fields\n"+
			"are cleared there. Of a running tandem run, or with --aws of a deployment, whose function is called.")
	address := f.String("addr", "", "the `address` of a running tandem run (TANDEM_ADDR, "+defaultListen+")")
	deployed := f.Bool("aws", false, "ask the deployment in AWS, with the credentials in the environment")
	specFile := f.String("spec", "", "with --aws the client's spec `file`; spec/CLIENT/integration-spec.json")
	client, object, id, err := recordNamed(f, args)
	if err != nil {
		return err
	}
	var freed struct{ Freed []string }
	why := "tandem why"
	if *deployed {
		why += " --aws"
		freed.Freed, err = e.resyncDeployed(ctx, client, *specFile, object, id)
	} else {
		path := "/api/resync/" + url.PathEscape(object) + "/" + url.PathEscape(id) + "?client=" + url.QueryEscape(client)
		err = addressOf(e, *address).call(ctx, "POST", path, &freed)
	}
	if err != nil {
		return err
	}
	if len(freed.Freed) > 0 {
		fmt.Fprintf(e.out, "travel again: %s\n", strings.Join(freed.Freed, ", "))
	}
	_, err = fmt.Fprintf(e.out, "started; %s tells in a moment what came of it\n", why)
	return err
}

// resyncDeployed calls the function that polls or compares the object.
func (e *env) resyncDeployed(ctx context.Context, client, specFile, object, id string) ([]string, error) {
	d, err := e.deployment(client, specFile)
	if err != nil {
		return nil, err
	}
	pair, ref, err := why.Find(d.spec, object, id)
	if err != nil {
		return nil, usage{err}
	}
	if err := d.connect(e); err != nil {
		return nil, err
	}
	name, ok := sweeper(d.spec, pair, ref.System)
	if !ok {
		return nil, misused("nothing in the deployment reads %s by itself: name the HubSpot record, or edit it", object)
	}
	var out names.Swept
	err = d.invoke(ctx, name, names.Tick{Pair: pair.Name, Record: id}, &out)
	var failed *awsjson.FunctionError
	if errors.As(err, &failed) && failed.Type == string(flow.RecordMissing) { // as a running server's 404 is told
		err = usage{err}
	}
	return out.Freed, err
}
