package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"tandem/internal/simulator/portal"
)

var kills = flag.Int("kills", 10, "how often TestKill ends the process in the middle of traffic")

// traffic edits records on both sides until it is stopped, and remembers what
// each person's name was last. A person is edited on one side only, so that the
// last edit is what both sides must hold.
type traffic struct {
	w     *world
	rand  *rand.Rand
	want  map[string]string // first name by e-mail
	hub   []string          // emails of those who are edited in HubSpot
	dest  []string
	hubID map[string]string
	cust  map[string]string
}

func (w *world) traffic(seed uint64) *traffic {
	return &traffic{w: w, rand: rand.New(rand.NewPCG(seed, 1)), want: map[string]string{}, hubID: map[string]string{}, cust: map[string]string{}}
}

func (tr *traffic) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		if err := tr.step(n); err != nil {
			tr.w.t.Errorf("editing: %v", err)
		}
		time.Sleep(time.Duration(2+tr.rand.IntN(10)) * time.Millisecond)
	}
}

func (tr *traffic) step(n int) error {
	email, name := fmt.Sprintf("p%d@example.com", n), fmt.Sprintf("N%d", n)
	switch k := tr.rand.IntN(4); {
	case k == 0 || len(tr.hub) == 0:
		rec, err := tr.w.portal.Create(portal.Person, "contacts", map[string]string{"email": email, "firstname": name})
		tr.hub, tr.hubID[email], tr.want[email] = append(tr.hub, email), rec.ID, name
		return err
	case k == 1 || len(tr.dest) == 0:
		rec, err := tr.w.company.Create("customers", map[string]any{"email": email, "first_name": name})
		tr.dest, tr.cust[email], tr.want[email] = append(tr.dest, email), rec.ID, name
		return err
	case k == 2:
		email = tr.hub[tr.rand.IntN(len(tr.hub))]
		tr.want[email] = name
		_, err := tr.w.portal.Update(portal.Person, "contacts", tr.hubID[email], "", map[string]string{"firstname": name})
		return err
	}
	email = tr.dest[tr.rand.IntN(len(tr.dest))]
	tr.want[email] = name
	_, err := tr.w.company.Update("customers", tr.cust[email], map[string]any{"first_name": name}, 0)
	return err
}

// TestKill ends the real process with kill -9 at random moments of traffic in
// both directions, and checks the invariants once the last one has come to rest.
func TestKill(t *testing.T) {
	n := *kills
	if testing.Short() {
		n = min(n, 2)
	}
	seed := rand.Uint64()
	t.Logf("seed %d, %d kills", seed, n)
	w := newWorld(t)
	data, listen := t.TempDir(), freeAddress(t)
	w.target = []string{"http://" + listen}
	p := w.start(data, listen)
	ctx, stop := context.WithCancel(t.Context())
	delivering, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	var editing, sending sync.WaitGroup
	tr := w.traffic(seed)
	editing.Go(func() { tr.run(ctx) })
	sending.Go(func() { w.deliver(delivering) })
	for range n {
		time.Sleep(time.Duration(50+rand.IntN(400)) * time.Millisecond)
		p.kill()
		p = w.start(data, listen)
	}
	stop()
	editing.Wait()
	w.quiet(p)
	w.redriveAll(p)
	w.quiet(p)
	w.invariants(p, tr.want)

	before := w.writes.Load()
	hangUp()
	sending.Wait()
	for _, batch := range w.delivered {
		w.post(batch)
	}
	w.quiet(p)
	if n := w.writes.Load() - before; n != 0 {
		t.Errorf("replaying every delivery made %d writes", n)
	}
	if t.Failed() {
		t.Logf("the last process's log:\n%s", p.err)
	}
}
