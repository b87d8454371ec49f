package local_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tandem/internal/local/engine"
	"tandem/internal/simulator/portal"
)

// A destination that is stopped for a quarter of an hour and started again, on a clock that
// waits a thousandth: what people did meanwhile on either side is written once,
// nothing is made twice, and nothing is left to a person.
func TestDestinationStoppedAndStarted(t *testing.T) {
	r := newRigAfter(t, func(r *rig) { r.wait = func(d time.Duration) time.Duration { return d / 1000 } })
	var contacts []string
	for _, name := range []string{"Ada", "Grace"} {
		contacts = append(contacts, r.contact(map[string]string{"email": strings.ToLower(name) + "@example.com", "firstname": name, "lastname": "X"}).ID)
	}
	r.quiet()
	before, writes := len(r.outcomes(0)), r.writes()

	handler, address := r.dest.Config.Handler, r.dest.Listener.Addr().String()
	r.dest.Close()
	contacts = append(contacts, r.contact(map[string]string{"email": "edsger@example.com", "firstname": "Edsger", "lastname": "X"}).ID)
	if _, err := r.portal.Update(portal.Person, "contacts", contacts[0], "", map[string]string{"lastname": "Lovelace"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.company.Update("customers", r.customerOf(contacts[1]).ID, map[string]any{"last_name": "Hopper"}, 0); err != nil {
		t.Fatal(err)
	}
	r.until("three events put off for the fifth time", func() bool {
		return len(r.waiting("-later-4")) == 3
	})
	if st := r.server.Status(); st.Deferred+st.InFlight+st.Queued != 3 || st.DeadLetters != 0 || len(r.outcomes(0)) != before {
		t.Errorf("while it is down: %+v and %d outcomes, want 3 events that wait and %d", st, len(r.outcomes(0)), before)
	}

	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	r.dest = &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	r.dest.Start()
	r.quiet()
	r.converged(contacts...)
	if got := r.read(contacts[1], "lastname").Text("lastname"); got != "Hopper" {
		t.Errorf("the edit in the destination is %q in HubSpot", got)
	}
	// One patch each way, and a create with the id that HubSpot keeps of it.
	if n := r.writes() - writes; n != 4 || r.server.Status().DeadLetters != 0 {
		t.Errorf("%d writes, want 4; %d dead letters", n, r.server.Status().DeadLetters)
	}
}

// waiting lists the executions called so that have put their event off because the
// destination cannot be reached.
func (r *rig) waiting(name string) (out []engine.Summary) {
	for _, x := range r.server.Engine().Executions(engine.Filter{Text: name, Status: "Deferred"}) {
		if x.Code == "RemoteBusy" && strings.Contains(x.Cause, "no connection could be made") {
			out = append(out, x)
		}
	}
	return out
}

// until waits for a state, for a minute at most.
func (r *rig) until(what string, reached func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); !reached(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("not within a minute: %s; %+v", what, r.server.Status())
		}
	}
}
