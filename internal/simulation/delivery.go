package simulation

import (
	"context"
	"net/http"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/internal/simulator/erp"
	"tandem/internal/simulator/portal"
)

// delivered is one delivery, kept for the replay.
type delivered struct {
	system record.System
	hub    []portal.Event
	erp    []byte
}

// deliver takes new events from both systems and brings them in, now and again
// until each delivery was answered with 2xx.
func (r *run) deliver() {
	for events := r.hub.Events(); len(events) > 0; {
		n := min(len(events), 1+r.rng.IntN(6))
		batch := delivered{system: record.HubSpot, hub: events[:n]}
		events = events[n:]
		r.told = append(r.told, batch)
		if !r.loses(batch) {
			r.bring(batch, 0)
		}
	}
	for _, d := range r.erp.Due() {
		r.erp.Done(d.Number, http.StatusOK) // this world's own network redelivers
		batch := delivered{system: record.Destination, erp: d.Body()}
		r.told = append(r.told, batch)
		if !r.loses(batch) {
			r.bring(batch, 0)
		}
	}
}

// late keeps what HubSpot has to tell back for d.
func (r *run) late(d time.Duration) {
	batch := delivered{system: record.HubSpot, hub: r.hub.Events()}
	r.told = append(r.told, batch)
	r.inFlight++
	r.after(d, func() { r.inFlight--; r.bring(batch, 0) })
}

func (r *run) bring(b delivered, attempt int) {
	delay := r.between(20*time.Millisecond, 900*time.Millisecond)
	if r.chance(0.05, "delivery late") {
		delay = r.between(2*time.Second, 60*time.Second)
	}
	if attempt > 0 {
		delay = r.between(5*time.Second, 40*time.Second)
	}
	r.inFlight++
	again := func() { r.inFlight--; r.bring(b, attempt+1) }
	r.start(delay, true, func(ctx context.Context) {
		answer := r.ingress.Deliver(ctx, b.system, r.delivery(b, attempt))
		if answer.Status != http.StatusOK {
			again()
			return
		}
		r.inFlight--
		if r.chance(0.03, "delivery repeated") {
			r.bring(b, attempt+1)
		}
	}, again)
}

func (r *run) delivery(b delivered, attempt int) flow.Delivery {
	if b.system == record.HubSpot {
		return r.hub.Delivery(hubSecret, hubURL, b.hub, attempt)
	}
	header := map[string]string{"content-type": "application/json"}
	for name, value := range erp.Sign(destSecret, b.erp, r.now) {
		header[strings.ToLower(name)] = value
	}
	return flow.Delivery{Method: http.MethodPost, URL: destURL, Header: header, Body: b.erp, At: r.now}
}

// poll looks at polled objects once, and at the references of the others that wait.
func (r *run) poll() {
	r.reunite()
	if r.deaf {
		r.compare()
	}
	for _, p := range r.spec.Pairs {
		if p.Destination.Trigger != "poll" {
			continue
		}
		r.inFlight++
		done := func() { r.inFlight-- }
		r.start(r.between(0, time.Second), true, func(ctx context.Context) {
			_, _ = r.ingress.Poll(ctx, record.Destination, p.Destination.Object, r.poller)
			done()
		}, done)
	}
}
