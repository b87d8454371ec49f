package local_test

import (
	"fmt"
	"strings"
	"testing"

	"tandem/internal/ledger"
	"tandem/internal/local/engine"
	"tandem/internal/local/why"
	"tandem/internal/simulator/portal"
)

func TestRecordsTravelBothWays(t *testing.T) {
	r := newRig(t)
	contact := r.contact(map[string]string{"email": "Ada@Example.com", "firstname": "Ada", "lastname": "Byron"})
	r.quiet()
	customer := r.customerOf(contact.ID)
	if got := customer.Fields["name"]; got != "Ada Byron" {
		t.Errorf("the customer's name is %v", got)
	}

	if _, err := r.company.Update("customers", customer.ID, map[string]any{"last_name": "Lovelace"}, 0); err != nil {
		t.Fatal(err)
	}
	r.quiet()
	rec := r.read(contact.ID, "lastname")
	if rec.Text("lastname") != "Lovelace" {
		t.Errorf("the contact's last name is %q", rec.Text("lastname"))
	}

	made, err := r.company.Create("customers", map[string]any{"email": "grace@example.com", "first_name": "Grace"})
	if err != nil {
		t.Fatal(err)
	}
	r.quiet()
	partner := erpPartner(t, r, made.ID)
	r.read(partner, "firstname")

	before := r.writes()
	if _, err := r.portal.Update(portal.Person, "contacts", contact.ID, "", map[string]string{"firstname": "Augusta"}); err != nil {
		t.Fatal(err)
	}
	r.quiet()
	if n := r.writes() - before; n != 1 {
		t.Errorf("one edit made %d writes, want 1", n)
	}
	for _, o := range r.outcomes(0) {
		if o.Kind != ledger.Stamped && o.Kind != ledger.Dropped {
			t.Errorf("outcome %d is %s: %s", o.Cursor, o.Kind, o.Reason)
		}
	}
}

// TestWhyTellsWhatWasLost: both systems were edited in the same field while nobody
// looked. What lost is told, also after the customer was replaced by another.
func TestWhyTellsWhatWasLost(t *testing.T) {
	r := newRig(t)
	contact := r.contact(map[string]string{"email": "ada@example.com", "lastname": "Byron"})
	r.quiet()
	customer := r.customerOf(contact.ID)
	r.stop()
	if _, err := r.portal.Update(portal.Person, "contacts", contact.ID, "", map[string]string{"lastname": "Lovelace"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.company.Update("customers", customer.ID, map[string]any{"last_name": "King"}, 0); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.quiet()
	told := func(when string) {
		t.Helper()
		var report why.Report
		r.get("/api/why/contacts/"+contact.ID, &report)
		if len(report.Conflicts) != 1 || report.Conflicts[0].Field != "lastName" {
			t.Errorf("%s it tells of %+v, want what lastName has lost", when, report.Conflicts)
		}
	}
	told("at first")
	if err := r.portal.Archive(portal.Person, "contacts", contact.ID); err != nil {
		t.Fatal(err)
	}
	r.quiet()
	if err := r.portal.Restore(portal.Person, "contacts", contact.ID); err != nil {
		t.Fatal(err)
	}
	r.quiet()
	if again := r.customerOf(contact.ID); again.ID == customer.ID {
		t.Fatal("the customer was not replaced")
	}
	told("after a restore")
}

// erpPartner is the contact that a customer is linked to.
func erpPartner(t *testing.T, r *rig, id string) string {
	t.Helper()
	rec, err := r.company.Get("customers", id)
	if err != nil {
		t.Fatal(err)
	}
	var report why.Report
	r.get("/api/why/customers/"+id, &report)
	partner := report.IDs["hubspot"]
	if partner == "" {
		t.Fatalf("customer %s has no partner: %s %s", rec.ID, report.State, report.Next)
	}
	return partner
}

func TestPolledRecordsTravel(t *testing.T) {
	r := newRig(t)
	order, err := r.company.Create("orders", map[string]any{"number": "SO-1", "title": "Chairs", "stage": "ordered"})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Started int }
	r.call("POST", "/api/poll", &answer)
	r.quiet()
	var report why.Report
	r.get("/api/why/orders/"+order.ID, &report)
	if report.State != string(ledger.Linked) || report.IDs["hubspot"] == "" {
		t.Errorf("the order is %s, next %s", report.State, report.Next)
	}
}

func TestRedeliveryWritesNothing(t *testing.T) {
	r := newRig(t)
	for i := range 5 {
		r.contact(map[string]string{"email": fmt.Sprintf("p%d@example.com", i), "firstname": "P"})
	}
	r.quiet()
	writes, last := r.writes(), r.server.Status().Outcomes
	r.mu.Lock()
	again := r.delivered
	r.mu.Unlock()
	for i := len(again) - 1; i >= 0; i-- {
		if status, answer := r.post(again[i]); status != 200 {
			t.Errorf("a redelivery got %d: %s", status, answer.Problem)
		}
	}
	r.quiet()
	if n := r.writes() - writes; n != 0 {
		t.Errorf("redeliveries made %d writes", n)
	}
	outcomes := r.outcomes(last)
	if len(outcomes) == 0 {
		t.Error("the redeliveries have no outcome")
	}
	for _, o := range outcomes {
		if o.Kind != ledger.Dropped {
			t.Errorf("a redelivery ended as %s: %s", o.Kind, o.Reason)
		}
	}
}

func TestOneBadRecordBesideGoodOnes(t *testing.T) {
	r := newRig(t)
	r.stopDeliveries(func() {
		for i := range 100 {
			status := "OPEN"
			if i == 50 {
				status = "NOT_IN_THE_MAP"
			}
			r.contact(map[string]string{"email": fmt.Sprintf("p%d@example.com", i), "hs_lead_status": status})
		}
	})
	r.quiet()
	if n := len(r.company.Records("customers")); n != 99 {
		t.Errorf("%d customers were made, want 99", n)
	}
	var page struct{ DeadLetters []engine.DeadLetter }
	r.get("/api/dead-letters", &page)
	if len(page.DeadLetters) != 1 || page.DeadLetters[0].Code != "UnknownEnum" {
		t.Fatalf("dead letters: %+v", page.DeadLetters)
	}
	letter := page.DeadLetters[0]
	if strings.Contains(letter.Cause, "NOT_IN_THE_MAP") {
		t.Error("the cause quotes the value")
	}
	dead := 0
	for _, o := range r.outcomes(0) {
		if o.Kind == ledger.Dead {
			dead++
		}
	}
	if dead != 1 {
		t.Errorf("%d outcomes are dead, want 1", dead)
	}

	r.stopDeliveries(func() {
		if _, err := r.portal.Update(portal.Person, "contacts", letter.Event.ID, "", map[string]string{"hs_lead_status": "NEW"}); err != nil {
			t.Fatal(err)
		}
		r.portal.Events() // HubSpot loses the event: only the redrive can mend it
	})
	var started struct{ Execution string }
	r.call("POST", "/api/dead-letters/"+letter.ID+"/redrive", &started)
	r.quiet()
	r.customerOf(letter.Event.ID)
	if n := r.server.Status().DeadLetters; n != 0 {
		t.Errorf("%d dead letters are left", n)
	}
	var trace engine.Trace
	if status := r.get("/api/executions/"+started.Execution, &trace); status != 200 || trace.Status != "SUCCEEDED" {
		t.Errorf("the redriven execution: %d %s", status, trace.Status)
	}
}

func TestRestartRepeatsNothing(t *testing.T) {
	r := newRig(t)
	var ids []string
	for i := range 20 {
		ids = append(ids, r.contact(map[string]string{"email": fmt.Sprintf("p%d@example.com", i), "firstname": "P", "lastname": fmt.Sprint(i)}).ID)
	}
	r.quiet()
	r.converged(ids...)
	writes, status := r.writes(), r.server.Status()
	name := r.server.Engine().Executions(engine.Filter{})[0].Name

	r.stop()
	r.start()
	for _, batch := range r.delivered {
		r.post(batch)
	}
	r.quiet()
	if n := r.writes() - writes; n != 0 {
		t.Errorf("the restart made %d writes", n)
	}
	r.converged(ids...)
	if now := r.server.Status(); now.Outcomes < status.Outcomes || now.Accepted < status.Accepted {
		t.Errorf("counters fell from %+v to %+v", status, now)
	}
	var trace engine.Trace
	if r.get("/api/executions/"+name, &trace); len(trace.Steps) == 0 {
		t.Errorf("the trace of %s is gone after the restart", name)
	}
}

func TestUnfinishedExecutionsRunAfterRestart(t *testing.T) {
	r := newRig(t)
	// The destination hangs for longer than the server is given to end.
	gate := make(chan struct{})
	r.gate.Store(&gate)
	var ids []string
	for i := range 40 {
		ids = append(ids, r.contact(map[string]string{"email": fmt.Sprintf("p%d@example.com", i)}).ID)
	}
	for r.server.Status().Accepted < 40 {
		sleep()
	}
	r.stop()
	close(gate)
	r.start()
	r.quiet()
	r.converged(ids...)
}

func TestSensitiveValuesAreNeverShown(t *testing.T) {
	r := newRig(t)
	contact := r.contact(map[string]string{"email": "ada@example.com", "firstname": "<b>Ada</b>", "birthday": "1915-12-10"})
	r.quiet()
	if got := r.customerOf(contact.ID).Fields["birthday"]; got != "1915-12-10" {
		t.Fatalf("the birthday did not travel: %v", got)
	}
	pages := []string{"/api/why/contacts/" + contact.ID, "/records/contacts/" + contact.ID, "/", "/executions", "/api/outcomes"}
	for _, x := range r.server.Engine().Executions(engine.Filter{}) {
		pages = append(pages, "/api/executions/"+x.Name, "/executions/"+x.Name)
	}
	shown := 0
	for _, path := range pages {
		text := r.text(path)
		if strings.Contains(text, "1915-12-10") {
			t.Errorf("%s shows the birthday", path)
		}
		if strings.Contains(text, "<b>Ada") {
			t.Errorf("%s does not escape a value", path)
		}
		shown += strings.Count(text, "fingerprint ")
	}
	if shown == 0 {
		t.Error("no page shows the fingerprint instead")
	}
}
