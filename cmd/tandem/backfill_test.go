package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"tandem/internal/simulator/erp"
	"tandem/internal/simulator/portal"
)

// settled waits until a server has nothing to do; nothing delivers here.
func settled(t *testing.T, p *process) {
	t.Helper()
	deadline := time.Now().Add(4 * time.Minute)
	for s, err := p.status(); err != nil || !s.Quiet; s, err = p.status() {
		if time.Now().After(deadline) {
			t.Fatalf("no quiet within 4 minutes, %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// tell runs the command in this process against a server.
func tell(t *testing.T, p *process, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(context.Background(), append(args, "--addr", strings.TrimSuffix(p.api, "/api")), nil, &out, &errs); code != exitOK {
		t.Fatalf("tandem %v ends with %d: %s", args, code, errs.String())
	}
	return out.String()
}

// Two systems that were used for years before Tandem came: what is the same
// record on both sides is linked and not written, what only one side has is made
// on the other, a child after its parent; and doing it again writes nothing.
func TestBackfill(t *testing.T) {
	w := newWorld(t)
	const both = 30
	want := map[string]string{}
	for i := range both {
		email := fmt.Sprintf("both%d@example.com", i)
		want[email] = "Ann"
		w.person(email, "Ann")
		w.customer(email, "Ann")
	}
	w.person("hub@example.com", "Hub")
	w.customer("dest@example.com", "Dest")
	want["hub@example.com"], want["dest@example.com"] = "Hub", "Dest"
	parent := w.person("parent@example.com", "Pat")
	want["parent@example.com"] = "Pat"
	deal, err := w.portal.Create(portal.Person, "deals", map[string]string{"dealname": "First", "order_number": "A1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.portal.Associate(portal.Person, "deals", deal.ID, "contacts", parent, false); err != nil {
		t.Fatal(err)
	}

	p := w.start(t.TempDir(), freeAddress(t))
	settled(t, p)
	if n := w.writes.Load(); n != 0 {
		t.Fatalf("%d writes before anybody asked for a backfill", n)
	}
	said := tell(t, p, "backfill")
	settled(t, p)
	w.invariants(p, want)
	orders := w.company.Records("orders")
	if len(orders) != 1 || erp.Show(orders[0].Fields["customer_id"]) == "" {
		t.Errorf("orders: %+v, want one with its customer", orders)
	}
	// Linking writes each side's external id once at most, and nothing else.
	first := w.writes.Load()
	if limit := int64(2*both + 3*3); first > limit {
		t.Errorf("%d writes, want at most %d:\n%s", first, limit, said)
	}
	tell(t, p, "backfill")
	settled(t, p)
	if n := w.writes.Load() - first; n != 0 {
		t.Errorf("the second backfill made %d writes, want none", n)
	}
	letters, err := server{strings.TrimSuffix(p.api, "/api")}.deadLetters(t.Context())
	if err != nil || len(letters) != 0 {
		t.Errorf("dead letters %+v, %v", letters, err)
	}
}

// Deliveries that never came are made good when somebody asks what changed.
func TestReconcileFindsWhatNoDeliveryTold(t *testing.T) {
	w := newWorld(t)
	p := w.start(t.TempDir(), freeAddress(t))
	settled(t, p)
	id := w.person("lost@example.com", "Lost")
	customer := w.customer("gone@example.com", "Gone")
	api := server{strings.TrimSuffix(p.api, "/api")}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) { // HubSpot's search lags
		var answer struct{ Started int }
		if err := api.call(t.Context(), "POST", "/api/reconcile", &answer); err != nil {
			t.Fatal(err)
		}
		settled(t, p)
		if len(w.contacts()) == 2 && len(w.company.Records("customers")) == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("contact %s and customer %s did not reach the other side within a minute", id, customer)
		}
	}
	w.invariants(p, map[string]string{"lost@example.com": "Lost", "gone@example.com": "Gone"})
}

func (w *world) person(email, name string) string {
	w.t.Helper()
	rec, err := w.portal.Create(portal.Person, "contacts", map[string]string{"email": email, "firstname": name})
	if err != nil {
		w.t.Fatal(err)
	}
	return rec.ID
}

func (w *world) customer(email, name string) string {
	w.t.Helper()
	rec, err := w.company.Create("customers", map[string]any{"email": email, "first_name": name, "name": name})
	if err != nil {
		w.t.Fatal(err)
	}
	return rec.ID
}
