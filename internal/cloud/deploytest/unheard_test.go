package deploytest

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tandem/internal/cloud/awsjson"
	"tandem/internal/cloud/names"
	"tandem/internal/engines"
	"tandem/internal/simulator/erp"
	"tandem/internal/simulator/portal"
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

// putOff keeps the destination busy for longer than the machine tries.
func putOff(t *testing.T, r *rig) {
	t.Cleanup(func() {
		if t.Failed() {
			letters, _ := r.tandem(t, "", "dead-letters", "acme")
			t.Logf("dead letters:\n%s", letters)
		}
	})
	r.busy.Store(true)
	defer r.busy.Store(false)
	ada := r.contact("ada@example.com")
	if _, err := r.portal.Update(portal.Person, "contacts", ada.ID, "", map[string]string{"zip": "30 00"}); err != nil {
		t.Fatal(err)
	}
	queue := map[string]any{"QueueUrl": r.endpoint + "/" + engines.Account + "/acme-later", "AttributeNames": []string{"ApproximateNumberOfMessagesDelayed"}}
	eventually(t, "no event is put off", func() bool {
		var out struct {
			Attributes struct{ ApproximateNumberOfMessagesDelayed string }
		}
		r.call(t, awsjson.SQS, "GetQueueAttributes", queue, &out)
		n, _ := strconv.Atoi(out.Attributes.ApproximateNumberOfMessagesDelayed)
		return n > 0
	})
}

// cameBack: half a minute later the function of the queue has started it again.
func cameBack(t *testing.T, r *rig) {
	eventually(t, "what was put off is not in the destination", func() bool {
		c, _ := r.customer(t, "ada@example.com")
		return c.Fields["postcode"] == "3000"
	})
}

// compared calls what a schedule calls every hour.
func compared(t *testing.T, r *rig) {
	r.unheard(t, "grace@example.com", map[string]any{"last_name": "Hopper"})
	if out, answer := r.compare(t, "destination-to-hubspot"); out.Started == 0 {
		t.Fatalf("the comparison of the destination started nothing: %s", answer)
	}
	eventually(t, "the comparison did not find the change", func() bool { return r.contact("grace@example.com").Text("lastname") == "Hopper" })
	if _, answer := r.compare(t, "hubspot-to-destination"); strings.Contains(answer, "errorType") {
		t.Errorf("the comparison of HubSpot answers %s", answer)
	}
}

// compare calls a direction's comparison of contacts.
func (r *rig) compare(t *testing.T, way string) (out names.Swept, answer string) {
	t.Helper()
	answer = r.invoke(t, "acme-"+way+"-reconcile", names.Tick{Pair: "contacts"})
	if err := json.Unmarshal([]byte(answer), &out); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	return out, answer
}
