package erp

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"
)

// idle is how long a Deliverer sleeps at most: deliveries come due by the
// company's clock, which need not be this machine's.
const idle = time.Second

// Deliverer posts a company's webhooks to one URL, in their order.
type Deliverer struct {
	Company     *Company
	URL, Secret string
	// Client sends, one with a timeout of 10 s when nil.
	Client *http.Client
}

// Run delivers until ctx ends.
func (d Deliverer) Run(ctx context.Context) {
	if d.Client == nil {
		d.Client = &http.Client{Timeout: 10 * time.Second}
	}
	for ctx.Err() == nil {
		for _, delivery := range d.Company.Due() {
			d.Company.Done(delivery.Number, d.post(ctx, delivery))
		}
		d.wait(ctx)
	}
}

// wait sleeps until there may be work.
func (d Deliverer) wait(ctx context.Context) {
	pause := idle
	if next, ok := d.Company.NextDue(); ok {
		pause = max(time.Millisecond, min(idle, next.Sub(d.Company.now())))
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-d.Company.Wake():
	case <-t.C:
	}
}

// post sends one delivery and returns the status, 0 when there was no answer.
func (d Deliverer) post(ctx context.Context, delivery Delivery) int {
	body := delivery.Body()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	for name, value := range Sign(d.Secret, body, d.Company.now()) {
		r.Header.Set(name, value)
	}
	resp, err := d.Client.Do(r)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody)) // so that the connection is used again
	return resp.StatusCode
}
