package ledger_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table/embedded"
)

// Of a value that the write itself brought, told times say only whether it was set
// clearly before the write (Hides); that it was set in the window at all counts
// where another is known to have set it (Meets).
func TestWindowOfAWrittenValue(t *testing.T) {
	read := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	wrote := read.Add(5 * time.Second)
	w := ledger.Window{From: ledger.Version(read), To: ledger.Version(wrote), Prints: map[string][2]string{"phone": {"old", "new"}}}
	for name, c := range map[string]struct {
		w             ledger.Window
		field, print  string
		at            time.Duration
		hidden, meets bool
	}{
		"clearly before the write":       {w: w, field: "phone", print: "new", at: 2 * time.Second, hidden: true, meets: true},
		"at the time of the write":       {w: w, field: "phone", print: "new", at: 5 * time.Second, meets: true},
		"told a little later":            {w: w, field: "phone", print: "new", at: 5900 * time.Millisecond, meets: true},
		"after it":                       {w: w, field: "phone", print: "new", at: 7 * time.Second},
		"before the read":                {w: w, field: "phone", print: "new", at: 0},
		"another value":                  {w: w, field: "phone", print: "third", at: 5 * time.Second, hidden: true},
		"a field that was not written":   {w: w, field: "zip", print: "new", at: 5 * time.Second},
		"a window of the other system's": {w: ledger.Window{Side: record.Destination, From: w.From, To: w.To, Prints: w.Prints}, field: "phone", print: "new", at: 2 * time.Second},
	} {
		at := read.Add(c.at)
		if got := c.w.Hides(c.field, c.print, at); got != c.hidden {
			t.Errorf("%s: hidden is %t", name, got)
		}
		if got := c.w.Meets(c.field, c.print, at); got != c.meets {
			t.Errorf("%s: meets is %t", name, got)
		}
	}
}

// An edit is inside a window of the destination if it came after what was read and
// before the write. A system that tells whole seconds cuts its times off.
func TestWindowOfAnInstant(t *testing.T) {
	read := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		wrote, at time.Duration
		covered   bool
	}{
		{5200 * time.Millisecond, 0, false},
		{5200 * time.Millisecond, 1, false}, // below the form's resolution
		{5200 * time.Millisecond, time.Millisecond, true},
		{5200 * time.Millisecond, 5199 * time.Millisecond, true},
		{5200 * time.Millisecond, 5200 * time.Millisecond, false},
		{5200 * time.Millisecond, 5 * time.Second, false}, // it may have come as late as 5.999 s
		{5 * time.Second, 4 * time.Second, true},          // at 4.999 s at the latest, and the write not before 5 s
		{5 * time.Second, 5 * time.Second, false},
		{5 * time.Second, 6 * time.Second, false},
	} {
		w := ledger.Window{Side: record.Destination, From: ledger.Version(read), To: ledger.Version(read.Add(c.wrote)), Prints: map[string][2]string{"phone": {}}}
		if got := w.Covers(record.Destination, read.Add(c.at)); got != c.covered {
			t.Errorf("an edit told for %s, the write for %s: covered is %t", c.at, c.wrote, got)
		}
		if w.Covers(record.HubSpot, read.Add(c.at)) {
			t.Errorf("a window of the other side covers %s", c.at)
		}
	}
}

// Every window has a place of its own, also such as begin at one instant, or at instants
// that look alike; of too many the newest are kept.
func TestWindowsKept(t *testing.T) {
	for name, stamped := range map[string]bool{"of writes that were stamped": true, "of writes that were not": false} {
		t.Run(name, func(t *testing.T) {
			r := &rig{T: t, at: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)}
			tbl, err := embedded.Open("", r.now)
			r.must(err)
			r.Ledger = &ledger.Ledger{Table: tbl, Client: "acme", Now: r.now}
			r.linked()
			opened := r.at
			for i := range 20 {
				begun := opened.Add(time.Duration(i/2) * time.Minute) // two at a time, of two fields
				w := ledger.Window{From: ledger.Version(begun), To: ledger.Version(begun.Add(time.Second)),
					Prints: map[string][2]string{fmt.Sprint("field", i%2): {"old", "new"}}}
				p := r.find(hub)
				var change ledger.Change
				if !stamped {
					change.Left = []ledger.Window{w}
				}
				r.must(r.Take(t.Context(), p, ledger.Intent{Execution: "e", At: r.at}, change))
				if fence := (ledger.Fence{Key: p.Key, Rev: p.Rev}); stamped {
					r.must(r.Stamp(t.Context(), fence, ledger.Stamp{Slot: p.Slot, Windows: []ledger.Window{w}}))
				} else {
					r.must(r.Release(t.Context(), fence, false, ledger.Named{}))
				}
				hidden := 0
				for n := range i + 1 {
					at := opened.Add(time.Duration(n/2)*time.Minute + 500*time.Millisecond)
					if slices.ContainsFunc(r.find(hub).Windows, func(w ledger.Window) bool { return w.Hides(fmt.Sprint("field", n%2), "third", at) }) {
						hidden++
					}
				}
				if hidden < min(i+1, 16) {
					t.Fatalf("after %d writes %d edits would be recorded", i+1, hidden)
				}
			}
			if n := len(r.find(hub).Windows); n > 17 {
				t.Errorf("%d windows are kept", n)
			}
		})
	}
}

// What a lost worker may have sent is expected for two minutes, however often the pair is
// written in the meantime: after that the same value is a person's.
func TestGhostsEnd(t *testing.T) {
	r := &rig{T: t, at: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)}
	tbl, err := embedded.Open("", r.now)
	r.must(err)
	r.Ledger = &ledger.Ledger{Table: tbl, Client: "acme", Now: r.now}
	r.linked()
	in := ledger.Intent{Execution: "lost", At: r.at, Sent: map[record.System]map[string][]string{record.HubSpot: {"phone": {"ghost"}}}}
	r.must(r.Take(t.Context(), r.find(hub), in, ledger.Change{}))
	for i := range 5 {
		r.pass(45 * time.Second)
		p := r.find(hub)
		if _, expected := p.MaybeSent(r.now())[record.HubSpot]; expected != (i < 3) {
			t.Errorf("%s after it was begun the write is expected: %t", r.now().Sub(in.At), expected)
		}
		r.must(r.Take(t.Context(), p, ledger.Intent{Execution: "other", At: r.at}, ledger.Change{}))
		r.must(r.Stamp(t.Context(), ledger.Fence{Key: p.Key, Rev: p.Rev}, ledger.Stamp{Slot: p.Slot}))
	}
}
