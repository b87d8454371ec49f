package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"net/url"
	"slices"

	"tandem/internal/cloud/names"
	"tandem/internal/local"
	"tandem/internal/local/why"
	"tandem/internal/record"
	"tandem/spec"
)

func whyCommand(ctx context.Context, e *env, args []string) error {
	f := e.flags("why", "[flags] CLIENT OBJECT ID",
		"OBJECT is an object type of either system, such as contacts or customers. A running tandem run is asked. With --aws\n"+
			"the client's table in AWS and both systems are read, with its secrets in SSM; where TANDEM_TABLE names a table in\n"+
			"DynamoDB, that one, with --secrets.")
	address := f.String("addr", "", "the `address` of a running tandem run (TANDEM_ADDR, "+defaultListen+")")
	asJSON := f.Bool("json", false, "print JSON")
	deployed := f.Bool("aws", false, "ask the deployment in AWS, with the credentials in the environment")
	specFile := f.String("spec", "", "the client's spec `file`; spec/CLIENT/integration-spec.json")
	secrets := f.String("secrets", e.getenv("TANDEM_SECRETS"), "the secrets `file`")
	client, object, id, err := recordNamed(f, args)
	if err != nil {
		return err
	}
	file := cmp.Or(*specFile, "spec/"+client+"/integration-spec.json")
	var report *why.Report
	switch {
	case *deployed:
		report, err = askTable(ctx, file, object, id, func(s *spec.Spec) (*local.Options, error) { return deployedOptions(ctx, e, s) })
	case e.getenv("TANDEM_TABLE") != "" && *address == "":
		report, err = askTable(ctx, file, object, id, func(s *spec.Spec) (*local.Options, error) { return tableOptions(ctx, e, s, *secrets) })
	default:
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

// recordNamed reads a command's flags and the record that is asked about.
func recordNamed(f *flag.FlagSet, args []string) (client, object, id string, err error) {
	named, err := mixed(f, args)
	if err != nil {
		return "", "", "", err
	}
	if len(named) != 3 || slices.Contains(named, "") {
		return "", "", "", misused("name a client, an object type and an id, such as acme contacts 1001; none may be empty")
	}
	return named[0], named[1], named[2], nil
}

// askTable answers from a table in DynamoDB, which options says how to read.
func askTable(ctx context.Context, specFile, object, id string, options func(*spec.Spec) (*local.Options, error)) (*why.Report, error) {
	s, err := loadSpec(specFile)
	if err != nil {
		return nil, err
	}
	o, err := options(s)
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

// deployedOptions are what reads a client's table in AWS, and both systems with
// the secrets that its functions use.
func deployedOptions(ctx context.Context, e *env, s *spec.Spec) (*local.Options, error) {
	d := &deployment{client: s.Client, spec: s}
	if err := d.connect(e); err != nil {
		return nil, err
	}
	found, err := d.parameters(ctx, names.Secrets(s)...)
	if err != nil {
		return nil, err
	}
	secrets := local.Secrets{}
	for name, value := range found {
		secrets[name] = []string{value}
	}
	if missing := secrets.Missing(s, record.HubSpot, record.Destination); len(missing) > 0 {
		return nil, d.missing(missing)
	}
	t, err := e.deployedTable(names.ClientTable(s.Client))
	if err != nil {
		return nil, err
	}
	return &local.Options{
		Spec: s, Secrets: secrets, Table: t,
		HubSpotURL: e.getenv("TANDEM_HUBSPOT_URL"), DestinationURL: e.getenv("TANDEM_DESTINATION_URL"),
	}, nil
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
