package local_test

import (
	"context"
	"testing"
	"time"

	"tandem/internal/beat"
	"tandem/internal/canary"
	"tandem/internal/flow"
	"tandem/internal/simulator/portal"
	"tandem/spec"
)

// A canary's texts travel both ways through the whole server, and what stops
// them is told by the beat after.
func TestCanary(t *testing.T) {
	r := newRig(t)
	contact := r.contact(map[string]string{"email": "canary@example.com", "firstname": "Canary", "lastname": "Bird"})
	r.quiet()
	r.stop()
	r.spec.Canary = &spec.Canary{Pair: "contacts", Record: contact.ID, ToDestination: "firstName", ToHubSpot: "lastName", Within: spec.Duration{Duration: time.Nanosecond}}
	r.start()
	if found := spec.Check(r.spec); spec.Refuses(found) {
		t.Fatal(found)
	}
	deployment, err := r.server.Deployment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	beats := func(id string) canary.Report {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		return r.server.Canary(ctx, id)
	}

	if first := beats(deployment); len(first.Checks) > 0 || first.SecondWriter {
		t.Errorf("the first beat judges already: %+v", first)
	}
	r.quiet()
	second := beats(deployment)
	if len(second.Checks) != 2 || beat.Failed(second.Checks) != "" || second.SecondWriter {
		t.Fatalf("both texts have arrived, yet %+v", second)
	}
	if second.Checks[0].Name != beat.CanaryToDestination || second.Checks[1].Name != beat.CanaryToHubSpot {
		t.Errorf("the checks are of %v", second.Checks)
	}
	r.quiet()
	before := r.writes()
	r.quiet()
	if r.writes() != before {
		t.Error("the canary keeps writing after its beat")
	}

	// A destination that takes no writes: nothing arrives there.
	r.spec.Canary.ToHubSpot = "" // whose text is written there
	gate := make(chan struct{})
	r.gate.Store(&gate)
	beats(deployment)
	stuck := beats(deployment)
	if got := stuck.Checks[0]; got.OK || got.Code != flow.Code(beat.NotArrived) {
		t.Errorf("nothing can have arrived, yet %+v", got)
	}
	close(gate)
	r.gate.Store(nil)
	r.spec.Canary.ToHubSpot = "lastName"
	r.quiet()

	// Another deployment on the portal: its canary sings in the same record.
	if _, err := r.portal.Update(portal.Person, "contacts", contact.ID, "", map[string]string{"firstname": "tandem-canary-0123abcd-9000000000000"}); err != nil {
		t.Fatal(err)
	}
	r.quiet()
	if rival := beats(deployment); !rival.SecondWriter {
		t.Errorf("another deployment's text is not noticed: %+v", rival)
	}
	if err := r.portal.Archive(portal.Person, "contacts", contact.ID); err != nil {
		t.Fatal(err)
	}
	r.quiet()
	if gone := beats(deployment); beat.Failed(gone.Checks) == "" {
		t.Errorf("the record is gone, yet %+v", gone)
	}
}
