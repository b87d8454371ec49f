package main

import (
	"cmp"
	"context"
	"encoding/json"
	"net/url"

	"tandem/internal/local"
	"tandem/internal/local/why"
	"tandem/spec"
)

func whyCommand(ctx context.Context, e *env, args []string) error {
	f := e.flags("why", "[flags] CLIENT OBJECT ID",
		"OBJECT is an object type of either system, such as contacts or customers. A running tandem run is asked, unless\n"+
			"TANDEM_TABLE names a table in DynamoDB: then the table and both systems are read, with --spec and --secrets.")
	address := f.String("addr", "", "the `address` of a running tandem run (TANDEM_ADDR, "+defaultListen+")")
	asJSON := f.Bool("json", false, "print JSON")
	specFile := f.String("spec", "", "the client's spec `file`; spec/CLIENT/integration-spec.json")
	secrets := f.String("secrets", e.getenv("TANDEM_SECRETS"), "the secrets `file`")
	if err := parse(f, args); err != nil {
		return err
	}
	if f.NArg() != 3 {
		return misused("name a client, an object type and an id, such as acme contacts 1001")
	}
	client, object, id := f.Arg(0), f.Arg(1), f.Arg(2)
	var report *why.Report
	var err error
	if e.getenv("TANDEM_TABLE") != "" && *address == "" {
		report, err = askTable(ctx, e, cmp.Or(*specFile, "spec/"+client+"/integration-spec.json"), *secrets, object, id)
	} else {
		err = addressOf(e, *address).call(ctx, "GET", "/api/why/"+url.PathEscape(object)+"/"+url.PathEscape(id), &report)
	}
	if err != nil {
		return err
	}
	if report.Client != client {
		return misused("the server answers for client %s, not %s; name another with --addr", report.Client, client)
	}
	if *asJSON {
		return json.NewEncoder(e.out).Encode(report)
	}
	return report.Print(e.out)
}

// askTable answers from a table in DynamoDB.
func askTable(ctx context.Context, e *env, specFile, secretsFile, object, id string) (*why.Report, error) {
	s, err := loadSpec(specFile)
	if err != nil {
		return nil, err
	}
	o, err := tableOptions(ctx, e, s, secretsFile)
	if err != nil {
		return nil, err
	}
	asker, err := local.NewAsker(*o)
	if err != nil {
		return nil, usage{err}
	}
	pair, ref, err := why.Find(s, object, id)
	if err != nil {
		return nil, usage{err}
	}
	return asker.Ask(ctx, pair, ref)
}

// tableOptions are what reads a table in DynamoDB and both systems.
func tableOptions(ctx context.Context, e *env, s *spec.Spec, secretsFile string) (*local.Options, error) {
	if secretsFile == "" {
		return nil, misused("--secrets is missing: both systems are read with its tokens")
	}
	secrets, err := local.LoadSecrets(secretsFile)
	if err != nil {
		return nil, usage{err}
	}
	t, err := sharedTable(ctx, e)
	return &local.Options{
		Spec: s, Secrets: secrets, Table: t, HubSpotURL: e.getenv("TANDEM_HUBSPOT_URL"), DestinationURL: e.getenv("TANDEM_DESTINATION_URL"),
	}, err
}
