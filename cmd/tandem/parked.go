package main

import (
	"context"
	"fmt"
	"strings"

	"tandem/internal/cloud/awsjson"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

func parkedCommand(ctx context.Context, e *env, args []string) error {
	f := e.flags("parked", "[flags] CLIENT", "Reads the deployed client's whole table: half a read unit per row. `tandem why` tells more of one record.")
	d, err := e.ofClient(f, args)
	if err != nil {
		return err
	}
	if err := d.connect(e); err != nil {
		return err
	}
	found := 0
	err = d.scan(ctx, func(row map[string]string) {
		p, ok := parkedRow(d.spec, row)
		if !ok {
			return
		}
		found++
		fmt.Fprintln(e.out, p)
	})
	if err == nil && found == 0 {
		fmt.Fprintln(e.out, "nothing waits for a person")
	}
	return err
}

// parkedRow reads what waits for a person in a mapping row, false for any other.
// A linked pair is told of once, by its HubSpot side.
func parkedRow(s *spec.Spec, row map[string]string) (string, bool) {
	parts := strings.SplitN(row["pk"], "#", 4)
	if len(parts) != 4 || parts[0] != "MAP" {
		return "", false
	}
	var waits []string
	if row["state"] == string(ledger.Parked) {
		waits = append(waits, "the record: "+row["reason"])
	}
	for name, reason := range row {
		if field, ok := strings.CutPrefix(name, "p:"); ok && parts[1] == string(record.HubSpot) {
			waits = append(waits, "field "+field+": "+reason)
		}
	}
	if parts[1] == string(record.HubSpot) {
		for _, w := range ledger.WaitsOf(row) {
			waits = append(waits, "field "+w.String())
		}
	}
	if len(waits) == 0 {
		return "", false
	}
	return fmt.Sprintf("%s %s %s: %s. See tandem why --aws %s %s %s", parts[1], parts[2], parts[3], strings.Join(waits, "; "), s.Client, parts[2], parts[3]), true
}

// scan reads the text columns of every row.
func (d *deployment) scan(ctx context.Context, each func(map[string]string)) error {
	in := map[string]any{"TableName": d.client}
	for {
		var out struct {
			Items            []map[string]struct{ S string }
			LastEvaluatedKey map[string]any
		}
		if err := d.api.Call(ctx, awsjson.DynamoDB, "Scan", in, &out); err != nil {
			return fmt.Errorf("table %s: %w", d.client, err)
		}
		for _, item := range out.Items {
			row := map[string]string{}
			for name, v := range item {
				row[name] = v.S
			}
			each(row)
		}
		if len(out.LastEvaluatedKey) == 0 {
			return nil
		}
		in["ExclusiveStartKey"] = out.LastEvaluatedKey
	}
}
