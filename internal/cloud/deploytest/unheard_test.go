package deploytest

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"tandem/internal/cloud/awsjson"
	"tandem/internal/cloud/names"
	"tandem/internal/engines"
	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/internal/simulator/erp"
	"tandem/internal/simulator/portal"
	"tandem/spec"
)

// unheard changes a customer without a delivery that tells of it.
func (r *rig) unheard(t *testing.T, email string, fields map[string]any) erp.Record {
	t.Helper()
	c, ok := r.customer(t, email)
	if !ok {
		t.Fatalf("there is no customer %s", email)
	}
	usual := erp.Usual().Silent
	r.company.SetHabits(func(h *erp.Habits) { h.Silent = append(slices.Clone(usual), "customers") })
	defer r.company.SetHabits(func(h *erp.Habits) { h.Silent = usual })
	c, err := r.company.Update("customers", c.ID, fields, 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// putOff puts an event into the queue as the state Later does.
func putOff(t *testing.T, r *rig) {
	grace := r.unheard(t, "grace@example.com", map[string]any{"last_name": "Murray"})
	sealer := &flow.Sealer{Secrets: func(s record.System) ([]string, error) {
		return []string{r.secrets[names.Prefix(r.spec.Client)+names.ClientSecret(r.spec, s)]}, nil
	}}
	event, err := sealer.Seal(flow.Envelope{
		Client: r.spec.Client, Direction: spec.ToHubSpot, Pair: "contacts", ID: grace.ID, Kind: flow.Changed,
		Name: "acme-customers-" + grace.ID, At: time.Now().UnixMilli(),
	})
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"machine": spec.ToHubSpot, "execution": event.Name, "event": event, "later": map[string]any{"delay": 1}})
	if err != nil {
		t.Fatal(err)
	}
	r.call(t, awsjson.SQS, "SendMessage", map[string]any{
		"QueueUrl": r.endpoint + "/" + engines.Account + "/acme-later", "MessageBody": string(body), "DelaySeconds": 1,
	}, nil)
	eventually(t, "the event did not start again", func() bool { return r.contact("grace@example.com").Text("lastname") == "Murray" })
}

// compared calls what a schedule calls every hour.
func compared(t *testing.T, r *rig) {
	r.unheard(t, "grace@example.com", map[string]any{"last_name": "Hopper"})
	if answer := r.invoke(t, "acme-destination-to-hubspot-reconcile", map[string]any{"pair": "contacts"}); answer == "0" || len(answer) > 4 {
		t.Fatalf("the comparison of the destination answers %s, want how many executions it has started", answer)
	}
	eventually(t, "the comparison did not find the change", func() bool { return r.contact("grace@example.com").Text("lastname") == "Hopper" })
	// The portal tells of everything, so what its comparison lists changes nothing.
	ada := r.contact("ada@example.com")
	if answer := r.invoke(t, "acme-hubspot-to-destination-reconcile", map[string]any{"pair": "contacts"}); len(answer) > 4 {
		t.Errorf("the comparison of HubSpot answers %s", answer)
	}
	if again, err := r.portal.Read("contacts", ada.ID, portal.ReadOptions{}); err != nil || again.UpdatedAt != ada.UpdatedAt {
		t.Errorf("a comparison without a difference has written: %v", err)
	}
}
