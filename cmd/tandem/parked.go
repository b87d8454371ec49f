package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"tandem/internal/cloud/names"
	"tandem/internal/ledger"
)

func parkedCommand(ctx context.Context, e *env, args []string) error {
	f := e.flags("parked", "[flags] CLIENT", "Lists the records and fields that wait for a person, and why; `tandem why` tells more of one. Of a running tandem\n"+
		"run, or with --aws of a deployment, whose whole table is read: half a read unit per row.")
	address := f.String("addr", "", "the `address` of a running tandem run (TANDEM_ADDR, "+defaultListen+")")
	deployed := f.Bool("aws", false, "ask the deployment in AWS, with the credentials in the environment")
	asJSON := f.Bool("json", false, "print JSON, one object per line")
	named, err := mixed(f, args)
	if err != nil {
		return err
	}
	if len(named) != 1 {
		return misused("name one client, such as acme")
	}
	var all struct{ Parked []ledger.ParkedRecord }
	if *deployed {
		all.Parked, err = e.parkedDeployed(ctx, named[0])
	} else {
		err = addressOf(e, *address).call(ctx, "GET", "/api/parked?client="+url.QueryEscape(named[0]), &all)
	}
	if err != nil {
		return err
	}
	if *asJSON {
		return printLines(e, all.Parked)
	}
	for _, p := range all.Parked {
		fmt.Fprintln(e.out, p)
	}
	if len(all.Parked) == 0 {
		fmt.Fprintln(e.out, "nothing waits for a person")
	}
	return nil
}

func printLines(e *env, all []ledger.ParkedRecord) error {
	lines := json.NewEncoder(e.out)
	for _, p := range all {
		if err := lines.Encode(p); err != nil {
			return err
		}
	}
	return nil
}

// parkedDeployed reads the table, which is called as the client is.
func (e *env) parkedDeployed(ctx context.Context, client string) ([]ledger.ParkedRecord, error) {
	t, err := e.deployedTable(names.ClientTable(client))
	if err != nil {
		return nil, err
	}
	return (&ledger.Ledger{Table: t, Client: client, Now: time.Now}).Parked(ctx)
}
