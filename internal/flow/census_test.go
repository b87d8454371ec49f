package flow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/spec"
)

// listing is a polled system that lists what changed, in pages of ten, and says
// nothing of what was deleted. Cursors are counted changes.
type listing struct {
	live   []string // in the order of their last change
	skip   string   // left out by the pages, as when a record moves between them
	sweeps int
}

func (l *listing) CensusEvery(string) time.Duration { return time.Hour }

func (l *listing) Changed(_ context.Context, _, cursor string) (lines []flow.ChangedRecord, next string, more bool, err error) {
	from := 0
	if _, scanErr := fmt.Sscan(cursor, &from); scanErr != nil {
		l.sweeps++
	}
	if from > len(l.live) {
		from = len(l.live) // what was deleted moves the end
	}
	to := min(from+10, len(l.live))
	for _, id := range l.live[from:to] {
		if id != l.skip {
			lines = append(lines, flow.ChangedRecord{ID: id})
		}
	}
	return lines, fmt.Sprint(to), to < len(l.live), nil
}

// begun notes what was started.
type begun struct{ deleted, changed []string }

func (s *begun) Start(_ context.Context, _ spec.Direction, _ string, input json.RawMessage) error {
	var in flow.State
	if err := json.Unmarshal(input, &in); err != nil {
		return err
	}
	if in.Event.Kind == flow.Deleted {
		s.deleted = append(s.deleted, in.Event.ID)
	} else {
		s.changed = append(s.changed, in.Event.ID)
	}
	return nil
}

// TestCensus finds what was deleted by listing everything, once an hour.
func TestCensus(t *testing.T) {
	b := newBench(t)
	l, s := &listing{}, &begun{}
	in := &flow.Ingress{Flow: b.flow, Starter: s, Lanes: 1}
	for i := range 95 {
		l.live = append(l.live, fmt.Sprintf("c%02d", i))
	}
	poll := func(why string, want ...string) {
		t.Helper()
		s.deleted = nil
		if _, err := in.Poll(t.Context(), record.Destination, "customers", l); err != nil {
			t.Fatal(why, err)
		}
		if slices.Sort(s.deleted); !slices.Equal(s.deleted, want) {
			t.Errorf("%s: told deletions of %v, want %v", why, s.deleted, want)
		}
	}
	drop := func(ids ...string) {
		l.live = slices.DeleteFunc(l.live, func(id string) bool { return slices.Contains(ids, id) })
	}
	poll("at first")
	drop("c03", "c50")
	poll("before an hour has passed")
	b.now = b.now.Add(time.Hour)
	poll("after an hour", "c03", "c50")
	l.skip = "c10"
	b.now = b.now.Add(time.Hour)
	poll("a record that the pages have skipped", "c10") // its execution reads it, and it is there
	l.skip = ""
	b.now = b.now.Add(time.Hour)
	poll("nothing new")
	drop("c10")
	b.now = b.now.Add(time.Hour)
	poll("the skipped record, deleted at last", "c10")

	// A listing that fails is no mass deletion.
	all := l.live
	l.live = l.live[:40]
	b.now = b.now.Add(time.Hour)
	if _, err := in.Poll(t.Context(), record.Destination, "customers", l); err == nil || !strings.Contains(err.Error(), "listing that fails") {
		t.Errorf("half of it gone: %v", err)
	}
	l.live = all
	b.now = b.now.Add(time.Hour)
	poll("all there again")
}

// Nobody tells that what a census had missed is listed again, as after a restore that is
// no change: the next census does, however much later.
func TestCensusTellsOfWhatIsBack(t *testing.T) {
	for missed := 1; missed < 4; missed++ {
		b := newBench(t)
		l, s := &listing{live: []string{"c1", "c2", "c3"}}, &begun{}
		in := &flow.Ingress{Flow: b.flow, Starter: s, Lanes: 1}
		poll := func() {
			t.Helper()
			s.changed = nil
			if _, err := in.Poll(t.Context(), record.Destination, "customers", l); err != nil {
				t.Fatal(err)
			}
			b.now = b.now.Add(time.Hour)
		}
		poll()
		l.live = []string{"c2", "c3"}
		for range missed {
			poll()
		}
		l.live = []string{"c1", "c2", "c3"} // which is where the cursor stands
		if poll(); !slices.Contains(s.changed, "c1") {
			t.Errorf("missed %d times and back: told of %v", missed, s.changed)
		}
		if poll(); len(s.changed) > 0 {
			t.Errorf("told again of %v", s.changed)
		}
		l.live = []string{"c2", "c3"}
		poll()
		b.now = b.now.Add(100 * 24 * time.Hour)
		poll()
		if known, err := b.flow.Ledger.Known(t.Context(), record.Destination, "customers", ""); err != nil || len(known) != 2 {
			t.Errorf("known are %v, %v", known, err)
		}
	}
}
