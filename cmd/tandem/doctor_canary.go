package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tandem/internal/canary"
	"tandem/internal/cloud/awsjson"
	"tandem/spec"
)

// canaryPause is between two looks at where the canary's text is.
const canaryPause = 3 * time.Second

// canary lets the canary fly now, by the deployed self-check, and waits until
// every direction's new text has been judged: the self-check replaces a text
// when it has arrived, or has taken too long.
func (d *deployment) canary(ctx context.Context) (string, error) {
	_, first := d.selfCheck(ctx) // judges what flew before, which may be a fault of yesterday
	sent, err := d.flying(ctx)
	if err != nil {
		return "", err
	}
	if len(sent) == 0 {
		return "", fmt.Errorf("no text could be sent: %w", cmp.Or(first, fmt.Errorf("the record %s of %s is not linked yet", d.spec.Canary.Record, d.spec.Canary.Pair)))
	}
	patience := 2*cmp.Or(d.spec.Canary.Within.Duration, canary.DefaultWithin) + operatorTimeout
	for began := time.Now(); ; {
		select {
		case <-time.After(canaryPause):
		case <-ctx.Done():
			return "", ctx.Err()
		}
		_, last := d.selfCheck(ctx)
		now, err := d.flying(ctx)
		if err != nil {
			return "", err
		}
		took := time.Since(began).Round(time.Second)
		switch {
		case replaced(sent, now):
			return fmt.Sprintf("a new text has travelled %s in at most %s", strings.Join(ways(sent), " and "), took), last
		case took > patience:
			return "", fmt.Errorf("the new text has not arrived after %s; look for the record %s in the Step Functions console: %w", took, d.spec.Canary.Record, cmp.Or(last, context.DeadlineExceeded))
		}
	}
}

// flying are the texts on their way, by direction.
func (d *deployment) flying(ctx context.Context) (map[spec.Direction]string, error) {
	all := map[spec.Direction]string{}
	for _, way := range []spec.Direction{spec.ToDestination, spec.ToHubSpot} {
		var out struct{ Item map[string]struct{ S string } }
		key := map[string]any{"pk": map[string]string{"S": canary.Row}, "sk": map[string]string{"S": string(way)}}
		in := map[string]any{"TableName": d.client, "Key": key, "ConsistentRead": true}
		if err := d.api.Call(ctx, awsjson.DynamoDB, "GetItem", in, &out); err != nil {
			return nil, fmt.Errorf("table %s: %w", d.client, err)
		}
		var flight struct{ Text string }
		_ = json.Unmarshal([]byte(out.Item["flight"].S), &flight) // no row is no text
		if flight.Text != "" {
			all[way] = flight.Text
		}
	}
	return all, nil
}

// replaced reports whether every text has given way to another.
func replaced(sent, now map[spec.Direction]string) bool {
	for way, text := range sent {
		if now[way] == text || now[way] == "" {
			return false
		}
	}
	return true
}

func ways(sent map[spec.Direction]string) []string {
	var all []string
	for _, way := range []spec.Direction{spec.ToDestination, spec.ToHubSpot} {
		if sent[way] != "" {
			all = append(all, string(way))
		}
	}
	return all
}
