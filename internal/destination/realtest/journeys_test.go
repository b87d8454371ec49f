package realtest

import (
	"strings"
	"testing"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/simulator/portal"
)

// journeys takes a system through create, update and delete both ways, silence
// after each, and a restart in the middle.
func journeys(t *testing.T, s *system) {
	if testing.Short() {
		t.Skip("a short run starts no engines")
	}
	t.Parallel() // They mostly wait: for leases of killed processes to pass.
	r := newRig(t, s)
	t.Run("create in HubSpot", func(t *testing.T) { r.under(t).createdInHubSpot() })
	t.Run("create there", func(t *testing.T) { r.under(t).createdThere() })
	t.Run("restart in the middle", func(t *testing.T) { r.under(t).restarted() })
	t.Run("edit while nobody listens", func(t *testing.T) { r.under(t).editedMeanwhile() })
	t.Run("nothing given up", func(t *testing.T) { r.under(t).ended() })
	t.Run("conformance", s.conform)
}

// under reports to a subtest.
func (r *rig) under(t *testing.T) *rig { r.t = t; return r }

// createdInHubSpot follows a record that is made in HubSpot, edited on both
// sides and deleted in HubSpot.
func (r *rig) createdInHubSpot() {
	var id, there string
	r.step("the create", 1, func() { id = r.make(1) }, func() bool { there = r.partner(record.HubSpot, id); return there != "" })
	r.step("the edit in HubSpot", 1, func() { r.editHub(id, "Ada") }, r.theirs(&there, "Ada"))
	r.step("the edit there", 1, func() { r.system.edit(there, "Grace") }, r.ours(&id, "Grace"))
	r.step("the deletion in HubSpot", 1, func() {
		if err := r.portal.Archive(portal.Person, r.pair.HubSpot.Object, id); err != nil {
			r.t.Fatal(err)
		}
	}, func() bool { _, live := r.system.read(there); return !live })
}

// createdThere follows a record that is made in the system and deleted there.
func (r *rig) createdThere() {
	var id, there string
	r.step("the create there", 1, func() { there = r.system.create(2) }, func() bool { id = r.partner(record.Destination, there); return id != "" })
	r.step("the edit there", 1, func() { r.system.edit(there, "Grace") }, r.ours(&id, "Grace"))
	r.step("the edit in HubSpot", 1, func() { r.editHub(id, "Edsger") }, r.theirs(&there, "Edsger"))
	r.step("the deletion there", 1, func() { r.system.remove(there) }, func() bool { _, live := r.hubText(id); return !live })
}

// theirs and ours hold once the edited text has arrived.
func (r *rig) theirs(id *string, want string) func() bool {
	return func() bool { text, _ := r.system.read(*id); return text == want }
}

func (r *rig) ours(id *string, want string) func() bool {
	return func() bool { text, _ := r.hubText(*id); return text == want }
}

// step does something that a person would, waits until its effect has arrived
// and all is quiet, echoes included, delivers all of HubSpot's events once more,
// and demands that both systems together saw just so many writes.
func (r *rig) step(what string, writes int64, act func(), arrived func() bool) {
	r.t.Helper()
	before := r.writes()
	act()
	r.eventually(what+" arrives", arrived)
	r.quiet()
	r.replay()
	r.quiet()
	if n := r.writes() - before; n != writes {
		r.t.Errorf("%s: %d remote writes, want %d; outcomes %s", what, n, writes, r.told())
	}
}

// burst is how many records are under way when the server is killed.
const burst = 40

// restarted kills the server while creates are under way: after the next start
// each record is on the other side exactly once.
func (r *rig) restarted() {
	before := r.system.count()
	ids := make([]string, burst)
	for i := range ids {
		ids[i] = r.make(100 + i)
	}
	r.wait("a record is there", func() bool { return r.system.count() > before })
	r.kill()
	r.t.Logf("%d of %d records were there when the server was killed", r.system.count()-before, burst)
	r.start()
	for _, id := range ids {
		r.eventually("the record of "+id+" is there", func() bool { return r.partner(record.HubSpot, id) != "" })
		r.cut[r.partner(record.HubSpot, id)] = true
	}
	r.quiet()
	writes := r.writes()
	r.replay()
	r.quiet()
	if n := r.system.count() - before; n != burst {
		r.t.Errorf("%d records there for %d in HubSpot", n, burst)
	}
	if n := r.writes() - writes; n != 0 {
		r.t.Errorf("%d remote writes after everything was delivered again, want none", n)
	}
}

// editedMeanwhile edits both sides while the server is down.
func (r *rig) editedMeanwhile() {
	one, other := r.make(3), r.make(4)
	var first, second string
	r.eventually("both records arrive", func() bool {
		first, second = r.partner(record.HubSpot, one), r.partner(record.HubSpot, other)
		return first != "" && second != ""
	})
	r.quiet()
	r.kill()
	r.editHub(one, "Barbara")
	r.system.edit(second, "Donald")
	r.start()
	r.eventually("HubSpot's edit arrives", r.theirs(&first, "Barbara"))
	if r.system.losesDeliveries {
		r.compare() // The sender does not repeat what nobody took.
	}
	r.eventually("their edit arrives", r.ours(&other, "Donald"))
}

// ended demands that no event of these journeys was given up or parked. One notice
// may be one too many: of a write that was under way when the server was killed
// nobody learns at which time it was carried out, and a system without conditional
// writes tells neither who made a change nor its values. So its event may be of an
// edit that the write has overwritten, and is told as that: silence would be wrong
// if it was one.
func (r *rig) ended() {
	for _, o := range r.outcomes() {
		doubt := o.System == record.Destination && r.cut[o.ID] && strings.HasPrefix(o.Reason, "an edit was overwritten before it could be read")
		if o.Kind == ledger.ParkedKind && doubt {
			r.t.Logf("%s %s: a write that was cut off may have overwritten an edit", o.Object, o.ID)
			continue
		}
		if o.Kind == ledger.Dead || o.Kind == ledger.ParkedKind {
			r.t.Errorf("%s %s: %s %s %s", o.Object, o.ID, o.Kind, o.Code, o.Reason)
		}
	}
}

// make creates a record as a person in HubSpot does.
func (r *rig) make(n int) string {
	r.t.Helper()
	rec, err := r.portal.Create(portal.Person, r.pair.HubSpot.Object, r.system.record(n))
	if err != nil {
		r.t.Fatal(err)
	}
	return rec.ID
}

// editHub edits a record as a person in HubSpot does.
func (r *rig) editHub(id, text string) {
	r.t.Helper()
	if _, err := r.portal.Update(portal.Person, r.pair.HubSpot.Object, id, "", map[string]string{r.system.hubText: text}); err != nil {
		r.t.Fatal(err)
	}
}
