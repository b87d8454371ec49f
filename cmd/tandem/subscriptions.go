package main

import (
	"context"
	"errors"
	"strings"

	"tandem/internal/cloud/names"
	"tandem/internal/hubspot"
	"tandem/internal/record"
)

func subscriptionsCommand(ctx context.Context, e *env, args []string) error {
	f := e.flags("subscriptions", "[flags] CLIENT", "Prints webhooks-hsmeta.json for the HubSpot project (src/app/webhooks), to be uploaded with hs project upload.\n"+
		"Without --url the address is read from the deployed stack.")
	address := f.String("url", "", "the `address` that HubSpot delivers to")
	d, err := e.ofClient(f, args, 0)
	if err != nil {
		return err
	}
	if *address != "" && !(isAPI(*address) && strings.HasPrefix(*address, "https:")) {
		return misused("--url %s: HubSpot delivers to https addresses only, such as https://hooks.example.com/webhooks/hubspot", *address)
	}
	if *address == "" {
		if err := d.connect(e); err != nil {
			return err
		}
		found, err := d.parameters(ctx, names.WebhookURL(record.HubSpot))
		if err != nil {
			return err
		}
		if *address = found[names.WebhookURL(record.HubSpot)]; *address == "" {
			return errors.New("the stack has left no address; deploy it first, or give --url")
		}
	}
	_, err = e.out.Write(append(hubspot.Subscriptions(d.spec, *address), '\n'))
	return err
}
