package flow_test

import (
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
)

// What a write's answer shows beside the id.
var (
	nothing = func(r record.Record) record.Record { return record.Record{ID: r.ID} }
	version = func(r record.Record) record.Record {
		return record.Record{ID: r.ID, Version: r.Version, ETag: r.ETag}
	}
)

// then lets something happen to customer c_1 right after the next write was carried out.
func (b *bench) then(happens func()) {
	b.dest.after = func(string) error {
		b.dest.after = nil
		happens()
		return nil
	}
}

// rests lets both sides be heard until nothing more is written, which is at once or
// after two rounds, and tells what the two hold of the last name.
func (b *bench) rests() (hub, dest string) {
	b.t.Helper()
	for range 3 {
		b.now = b.now.Add(5 * time.Second)
		b.event(record.Destination, "contacts", "c_1", flow.Changed)
		b.event(record.HubSpot, "contacts", "7", flow.Changed)
	}
	wrote := b.wrote()
	b.event(record.Destination, "contacts", "c_1", flow.Changed)
	if b.event(record.HubSpot, "contacts", "7", flow.Changed); b.wrote() != wrote {
		b.t.Errorf("it never rests: %v %v", b.hub.writes, b.dest.writes)
	}
	return b.hub.rows["contacts/7"].Fields["lastname"], b.dest.rows["customers/c_1"].Fields["last_name"]
}

// Somebody edits the record between our write, whose answer does not show it, and
// the look at what was stored: the edit is not taken for our write.
func TestEditedBeforeItIsReadBack(t *testing.T) {
	for name, c := range map[string]struct {
		answer  func(record.Record) record.Record
		without bool // conditional writes
		lost    int
	}{
		"the answer has the version":                          {answer: version},
		"the answer has nothing":                              {answer: nothing, lost: 1},
		"the answer has nothing and no write is conditional":  {answer: nothing, without: true, lost: 1},
		"the answer has the version, no write is conditional": {answer: version, without: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.dest.abilities.ConditionalWrite = !c.without
			b.created()
			b.dest.answer = c.answer
			b.then(func() { b.dest.put("customers/c_1", record.Fields{"last_name": "Theirs"}) })
			b.hub.put("contacts/7", record.Fields{"lastname": "Ours"})
			b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
			if hub, dest := b.rests(); hub != "Theirs" || dest != "Theirs" {
				t.Errorf("HubSpot holds %q and the destination %q, want the edit", hub, dest)
			}
			if lost := b.losses(); len(lost) != c.lost || c.lost == 1 && lost[0].Loser != "Ours" {
				t.Errorf("recorded is %+v, want %d", lost, c.lost)
			}
		})
	}
}

// The edit is of another field, which HubSpot edits before anybody has heard of it:
// the condition on the next write must not be the version that this edit has made.
func TestAnotherFieldEditedBeforeItIsReadBack(t *testing.T) {
	for name, answer := range map[string]func(record.Record) record.Record{"version": version, "nothing": nothing} {
		b := newBench(t)
		b.created()
		b.dest.answer = answer
		b.then(func() { b.dest.put("customers/c_1", record.Fields{"last_name": "Theirs"}) })
		b.hub.put("contacts/7", record.Fields{"firstname": "Augusta"})
		b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
		p, err := b.flow.Ledger.Find(t.Context(), b.flow.Spec.Pairs[0], hubContact, "")
		if seen := p.Seen[record.Destination].Version; err != nil || seen == b.dest.rows["customers/c_1"].Version {
			t.Errorf("%s: the version of the edit would be dropped as one that was seen: %q, %v", name, seen, err)
		}
		b.hub.put("contacts/7", record.Fields{"lastname": "Ours"})
		b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
		hub, dest := b.rests()
		if lost := b.losses(); len(lost) != 1 || hub != dest || lost[0].Loser == hub {
			t.Errorf("%s: HubSpot holds %q, the destination %q, recorded is %+v", name, hub, dest, lost)
		}
	}
}

// A system that keeps another form of what it is sent is believed, whatever its
// answer shows: nothing is written back, nothing recorded.
func TestReshapedAndReadBack(t *testing.T) {
	for name, answer := range map[string]func(record.Record) record.Record{"version": version, "nothing": nothing} {
		b := newBench(t)
		b.dest.answer = answer
		b.then(func() { b.reshape(strings.TrimSpace) })
		b.created()
		b.then(func() { b.reshape(strings.ToUpper) })
		b.hub.put("contacts/7", record.Fields{"lastname": " Byron "})
		b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
		wrote := b.wrote()
		hub, dest := b.rests()
		if hub != " Byron " || dest != " BYRON " || b.wrote() != wrote || len(b.losses()) != 0 {
			t.Errorf("%s: HubSpot holds %q, the destination %q, recorded is %+v; wrote %v %v", name, hub, dest, b.losses(), b.hub.writes, b.dest.writes)
		}
	}
}

// reshape is what the destination makes of names by itself, without a new version.
func (b *bench) reshape(form func(string) string) {
	row := b.dest.rows["customers/c_1"]
	row.Fields = maps.Clone(row.Fields)
	row.Fields["last_name"] = form(row.Fields["last_name"])
	b.dest.rows["customers/c_1"] = row
}

// A system that counts its versions tells by them that nobody else was there: even
// what it makes of a value that is no form of it is its own doing, and the next write
// needs no look first. That it holds another value is recorded.
func TestCountedVersions(t *testing.T) {
	b := newBench(t)
	n := 0
	count := func() {
		n++
		row := b.dest.rows["customers/c_1"]
		row.Version, row.ETag = strconv.Itoa(n), strconv.Quote(strconv.Itoa(n))
		b.dest.rows["customers/c_1"] = row
	}
	b.dest.answer = nothing
	b.then(count)
	b.created()
	for _, to := range []string{"Byron", "King"} {
		b.then(func() { count(); b.reshape(func(string) string { return "Countess" }) })
		b.hub.put("contacts/7", record.Fields{"lastname": to})
		reads := b.dest.reads
		b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
		if b.dest.reads != reads+1 {
			t.Errorf("%d reads, want the one of what was stored", b.dest.reads-reads)
		}
	}
	if hub, dest := b.rests(); hub != "King" || dest != "Countess" || len(b.losses()) != 2 {
		t.Errorf("HubSpot holds %q, the destination %q, recorded is %+v", hub, dest, b.losses())
	}
}

// A system answers that it has put another value in the place of what was sent: that
// stays, and what was sent is recorded; a form of what was sent is no loss.
func TestReplacedInItsAnswer(t *testing.T) {
	for made, lost := range map[string]int{"KING": 0, " King": 0, "Countess": 1, "": 1} {
		b := newBench(t)
		b.created()
		b.dest.answer = func(record.Record) record.Record {
			b.reshape(func(string) string { return made })
			return b.dest.rows["customers/c_1"]
		}
		b.hub.put("contacts/7", record.Fields{"lastname": "King"})
		b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
		hub, dest := b.rests()
		if losses := b.losses(); hub != "King" || dest != made || len(losses) != lost || lost == 1 && (losses[0].Loser != "King" || losses[0].Policy != "replaced") {
			t.Errorf("HubSpot holds %q, the destination %q, recorded is %+v", hub, dest, losses)
		}
	}
}

// What HubSpot's answer leaves out is read back with the same care.
func TestHubSpotEditedBeforeItIsReadBack(t *testing.T) {
	b := newBench(t)
	_, dest := b.created()
	b.hub.answer = version
	b.hub.after = func(string) error {
		b.hub.after = nil
		b.hub.put("contacts/7", record.Fields{"lastname": "Theirs"})
		return nil
	}
	b.dest.put("customers/c_1", record.Fields{"last_name": "Ours"})
	b.want(b.event(record.Destination, "contacts", dest, flow.Changed), "Stamp")
	if hub, dest := b.rests(); hub != "Theirs" || dest != "Theirs" {
		t.Errorf("HubSpot holds %q and the destination %q, want the edit", hub, dest)
	}
}

// A field that the system takes and does not keep: what was sent is recorded before
// what stands there takes its place.
func TestIgnoredAndReadBack(t *testing.T) {
	b := newBench(t)
	b.created()
	b.dest.answer = nothing
	b.then(func() { b.reshape(func(string) string { return "L" }) })
	b.hub.put("contacts/7", record.Fields{"lastname": "Ours"})
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
	hub, dest := b.rests()
	if lost := b.losses(); hub != "L" || dest != "L" || len(lost) != 1 || lost[0].Loser != "Ours" || lost[0].Winner != record.Destination {
		t.Errorf("HubSpot holds %q, the destination %q, recorded is %+v", hub, dest, lost)
	}
}

// A write whose worker is gone lands late, in the form that the system gives it, over
// what somebody has set since: it is known for ours all the same, and does not travel.
func TestLateAndReshaped(t *testing.T) {
	for name, c := range map[string]struct {
		sent, stored string
		form         func(string) string
	}{
		"without its blanks": {"Byron ", "Byron", strings.TrimSpace},
		"in capitals":        {"Byron", "BYRON", strings.ToUpper},
	} {
		for _, first := range []record.System{record.HubSpot, record.Destination} {
			t.Run(name+", heard of by "+string(first), func(t *testing.T) {
				b := newBench(t)
				b.dest.abilities.ConditionalWrite, b.dest.answer = false, version
				b.created()
				b.hub.put("contacts/7", record.Fields{"lastname": c.sent})
				b.steps(record.HubSpot, "7", flow.Changed, "Transform", "Lookup")
				b.now = b.now.Add(ledger.Lease)
				b.then(func() { b.reshape(c.form) })
				b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
				b.dest.put("customers/c_1", record.Fields{"last_name": "Lovelace"})
				b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Stamp")
				b.dest.put("customers/c_1", record.Fields{"last_name": c.stored})
				b.event(first, "contacts", map[record.System]string{record.HubSpot: "7", record.Destination: "c_1"}[first], flow.Changed)
				if hub, dest := b.rests(); hub != "Lovelace" || dest != "Lovelace" {
					t.Errorf("HubSpot holds %q and the destination %q, want what was set last", hub, dest)
				}
			})
		}
	}
}
