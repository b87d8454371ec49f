package portal

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxBatch       = 100 // events in one delivery
	maxConcurrent  = 10  // deliveries in flight, per account
	answerDeadline = 5 * time.Second
)

// DeliveryOptions say where events go. URL and Secret are required.
type DeliveryOptions struct {
	// URL is the target as the receiver has it configured: it is signed.
	URL string
	// Secret returns the app's client secret.
	Secret func() string
	// HTTP sends the deliveries; one that waits 5 s for an answer when nil.
	HTTP *http.Client
	// Attempts is how often a delivery is sent; 11 when zero, which is HubSpot's
	// first attempt and its ten redeliveries.
	Attempts int
	// Backoff is the pause before an attempt (1, 2, ...); doubling from 1 s to
	// 1 min when nil. HubSpot spreads its ten over 24 hours.
	Backoff func(attempt int) time.Duration
	// Gather is how long events are collected into one delivery; 20 ms when zero.
	Gather time.Duration
	Log    *slog.Logger
}

// Deliverer posts a portal's events, signed, in real time. Anything but a 2xx
// is sent again with a fresh timestamp and a higher attempt number.
type Deliverer struct {
	p         *Portal
	o         DeliveryOptions
	slots     chan struct{}
	delivered atomic.Int64
	gaveUp    atomic.Int64
}

// Deliverer makes a deliverer; Run starts it.
func (p *Portal) Deliverer(o DeliveryOptions) *Deliverer {
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: answerDeadline}
	}
	if o.Attempts == 0 {
		o.Attempts = 11
	}
	if o.Backoff == nil {
		o.Backoff = func(attempt int) time.Duration { return min(time.Second<<min(attempt-1, 6), time.Minute) }
	}
	if o.Gather == 0 {
		o.Gather = 20 * time.Millisecond
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Deliverer{p: p, o: o, slots: make(chan struct{}, maxConcurrent)}
}

// Counts tells how many events were answered with a 2xx, and how many were
// given up after the last attempt.
func (d *Deliverer) Counts() (delivered, gaveUp int64) { return d.delivered.Load(), d.gaveUp.Load() }

// Run delivers until ctx ends; what is not delivered by then stays with the
// portal. It returns ctx's error.
func (d *Deliverer) Run(ctx context.Context) error {
	var deliveries sync.WaitGroup
	defer deliveries.Wait()
	for {
		token, events := d.p.hand()
		if len(events) > 0 {
			deliveries.Go(func() {
				defer d.p.settle(token)
				d.deliver(ctx, events)
			})
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.p.wake:
			pause(ctx, d.o.Gather)
		}
	}
}

// deliver repeats one delivery until it is accepted or given up.
func (d *Deliverer) deliver(ctx context.Context, events []Event) {
	for attempt := range d.o.Attempts {
		if attempt > 0 && !pause(ctx, d.o.Backoff(attempt)) {
			break
		}
		if d.post(ctx, events, attempt) {
			d.delivered.Add(int64(len(events)))
			return
		}
	}
	if ctx.Err() != nil {
		d.p.Requeue(events)
		return
	}
	d.gaveUp.Add(int64(len(events)))
	d.o.Log.Warn("webhook delivery given up", "events", len(events), "attempts", d.o.Attempts)
}

func (d *Deliverer) post(ctx context.Context, events []Event, attempt int) bool {
	d.slots <- struct{}{}
	defer func() { <-d.slots }()
	delivery := d.p.Delivery(d.o.Secret(), d.o.URL, events, attempt)
	req, err := http.NewRequestWithContext(ctx, delivery.Method, delivery.URL, bytes.NewReader(delivery.Body))
	if err != nil {
		return false
	}
	for name, value := range delivery.Header {
		req.Header.Set(name, value)
	}
	req.Header.Set("X-HubSpot-Timeout-Millis", "10000")
	resp, err := d.o.HTTP.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // So that the connection is used again.
	if resp.StatusCode > 299 {
		d.o.Log.Info("webhook delivery refused", "status", resp.StatusCode, "events", len(events), "attempt", attempt)
	}
	return resp.StatusCode >= 200 && resp.StatusCode <= 299
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// hand gives out at most one delivery's events, which are remembered until
// they are settled: a portal saved in between still has them.
func (p *Portal) hand() (token uint64, events []Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pending) == 0 {
		return 0, nil
	}
	n := min(len(p.pending), maxBatch)
	events, p.pending = slices.Clone(p.pending[:n]), p.pending[n:]
	p.tokens++
	p.handed[p.tokens] = events
	return p.tokens, events
}

func (p *Portal) settle(token uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.handed, token)
	p.changes++
}
