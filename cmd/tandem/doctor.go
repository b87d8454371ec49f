package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tandem/internal/beat"
	"tandem/internal/cloud/awsjson"
	"tandem/internal/cloud/names"
	"tandem/internal/hubspot"
	"tandem/internal/record"
	"tandem/spec"
)

func doctorCommand(ctx context.Context, e *env, args []string) error {
	f := e.flags("doctor", "[flags] CLIENT", "Proves a deployment: secrets, machines, both systems, and the webhooks' real addresses: HubSpot's takes a signed\n"+
		"delivery of no events, the destination's refuses one that is not signed. It changes no record but the canary, where\n"+
		"the spec names one: then it waits until a new text has travelled each way. Exit code 1: something is wrong, and\n"+
		"the line says what to do.")
	d, err := e.ofClient(f, args, 0)
	if err != nil {
		return err
	}
	if err := d.connect(e); err != nil {
		return err
	}
	well := true
	for _, c := range d.examination() {
		said, err := c.ask(ctx)
		if err != nil {
			well = false
			fmt.Fprintf(e.out, "WRONG  %-22s %v\n", c.what, err)
			continue
		}
		fmt.Fprintf(e.out, "well   %-22s %s\n", c.what, said)
	}
	if !well {
		return errFound
	}
	return nil
}

// check is one question; its answer says what was seen, its error what to do.
type check struct {
	what string
	ask  func(context.Context) (string, error)
}

// examination lists the questions in the order in which answers depend on each other.
func (d *deployment) examination() []check {
	all := []check{{"secrets", d.hasSecrets}, {"machines", d.hasMachines}, {"self-check", d.selfCheck}}
	for _, p := range d.spec.Pairs {
		if p.HubSpot.Trigger != "poll" {
			all = append(all, check{"hubspot webhook", d.hubspotWebhook})
			break
		}
	}
	if d.spec.Destination.Webhook != nil {
		all = append(all, check{"destination webhook", d.destinationWebhook})
	}
	if d.spec.Canary != nil {
		all = append(all, check{"canary", d.canary})
	}
	return all
}

func (d *deployment) hasSecrets(ctx context.Context) (string, error) {
	wanted := names.Secrets(d.spec)
	found, err := d.parameters(ctx, wanted...)
	if err != nil {
		return "", err
	}
	var missing []string
	for _, name := range wanted {
		if found[name] == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return "", d.missing(missing)
	}
	return fmt.Sprintf("all %d are there", len(wanted)), nil
}

// missing says which secrets there are not, and how to make them.
func (d *deployment) missing(secrets []string) error {
	return fmt.Errorf("missing in Systems Manager: %s; create each with tandem secrets --set %s NAME", strings.Join(secrets, ", "), d.client)
}

func (d *deployment) hasMachines(ctx context.Context) (string, error) {
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		if _, err := d.machine(ctx, spec.From(sys)); err != nil {
			return "", err
		}
	}
	return "both directions", nil
}

// selfCheck asks the deployed function, with its own permissions and secrets.
func (d *deployment) selfCheck(ctx context.Context) (string, error) {
	var checks []beat.Check
	err := d.invoke(ctx, d.client+"-selfcheck", struct{}{}, &checks)
	var failed *awsjson.FunctionError
	if errors.As(err, &failed) {
		return "", fmt.Errorf("%s; its log group /aws/lambda/%s-selfcheck tells more", failed.Message, d.client)
	}
	if err != nil {
		return "", err
	}
	var said []string
	for _, c := range checks {
		said = append(said, c.String())
	}
	return "well: " + strings.Join(said, ", "), nil
}

// hubspotWebhook delivers no events, signed as HubSpot signs (v3): the usual
// failure is an address that differs from the one that is signed.
func (d *deployment) hubspotWebhook(ctx context.Context) (string, error) {
	secret := names.ClientSecret(d.spec, record.HubSpot)
	found, err := d.parameters(ctx, names.WebhookURL(record.HubSpot), secret)
	if err != nil {
		return "", err
	}
	address := found[names.WebhookURL(record.HubSpot)]
	body, at := []byte("[]"), strconv.FormatInt(time.Now().UnixMilli(), 10)
	status, err := d.post(ctx, address, body, map[string]string{
		"X-HubSpot-Signature-v3":      hubspot.Sign(found[secret], http.MethodPost, address, body, at),
		"X-HubSpot-Request-Timestamp": at,
	})
	switch {
	case err != nil:
		return "", err
	case status == http.StatusUnauthorized:
		return "", fmt.Errorf("%s answers 401 to a signed delivery: the parameter %s%s must be exactly the address that HubSpot has", address, names.Prefix(d.client), names.WebhookURL(record.HubSpot))
	case status > 299:
		return "", fmt.Errorf("%s answers %d to a signed delivery; read the webhook's log group", address, status)
	}
	return address + " takes a signed delivery", nil
}

// destinationWebhook must refuse what is not signed: then it is there and has
// its secret. Only the sender itself can show more.
func (d *deployment) destinationWebhook(ctx context.Context) (string, error) {
	found, err := d.parameters(ctx, names.WebhookURL(record.Destination))
	if err != nil {
		return "", err
	}
	address := found[names.WebhookURL(record.Destination)]
	status, err := d.post(ctx, address, []byte("{}"), nil)
	if err != nil {
		return "", err
	}
	if status != http.StatusUnauthorized {
		return "", fmt.Errorf("%s answers %d to an unsigned delivery, not 401; read the webhook's log group", address, status)
	}
	return address + " refuses what is not signed", nil
}

func (d *deployment) post(ctx context.Context, address string, body []byte, header map[string]string) (int, error) {
	if address == "" {
		return 0, errors.New("the stack has left no address; deploy it first")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := (&http.Client{Timeout: operatorTimeout}).Do(req)
	if err != nil {
		return 0, fmt.Errorf("no answer: %w", err)
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, err
}
