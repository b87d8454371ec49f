package simulation

import (
	"time"

	"tandem/internal/record"
)

// crowd schedules people who make records without a match value, several within a
// second on both sides. Answers take their time, so that what was made is told of
// before its maker knows; nothing else goes wrong, since a create whose answer is
// lost is a person's where nothing recognises its record.
func (r *run) crowd(actions int) {
	r.faults, r.slow = false, true
	for range actions {
		r.after(r.between(0, time.Minute).Truncate(20*time.Second)+r.between(0, time.Second), func() {
			side := record.HubSpot
			if r.rng.IntN(2) == 0 {
				side = record.Destination
			}
			r.make(r.spec.Pairs[r.rng.IntN(len(r.spec.Pairs))], side, "")
			r.deliver()
		})
	}
}

// alone: what was made in a crowd has one partner, which is of our making.
func (r *run) alone(fail func(string, ...any)) {
	for _, p := range r.spec.Pairs {
		theirs, ours := 0, 0
		for _, s := range []record.System{record.HubSpot, record.Destination} {
			for _, id := range r.known[s][p.Side(s).Object] {
				if r.foreign[record.Ref{System: s, Object: p.Side(s).Object, ID: id}] {
					theirs++
				} else if r.now1(p, s, id) != nil {
					ours++
				}
			}
		}
		if ours > theirs {
			fail("no duplicate: people made %d %s, and %d were made for them", theirs, p.Name, ours)
		}
	}
}
