package cloud

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"tandem/internal/beat"
	"tandem/internal/cloud/names"
)

const (
	// beatRest is how long after a failed attempt none is made to open the reporter.
	beatRest = time.Minute
	// openWithin bounds what a record may wait for it.
	openWithin = 500 * time.Millisecond
)

// reporting is the reporter of a function. One whose secret could not be read when
// the process started is opened later: a process may live for hours, and a healthy
// one that never beats is called down. Its zero value reports nothing, as without
// a Centre.
type reporting struct {
	open func(context.Context) (*beat.Reporter, error)
	now  func() time.Time
	log  *slog.Logger

	mu     sync.Mutex
	opened *beat.Reporter
	tried  time.Time
}

// reporter opens it if that is due; nil, which reports nothing, if it cannot.
func (r *reporting) reporter(ctx context.Context) *beat.Reporter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.opened != nil || r.open == nil || r.now().Sub(r.tried) < beatRest {
		return r.opened
	}
	r.tried = r.now()
	var err error
	if r.opened, err = r.open(ctx); err != nil {
		r.log.Warn("this function sends no beats", "error", err)
	}
	return r.opened
}

// missing reports whether there is a Centre that cannot be told of anything.
func (r *reporting) missing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open != nil && r.opened == nil
}

// beats is what this function reports through.
func (h *Host) beats() *beat.Reporter {
	ctx, cancel := context.WithTimeout(context.Background(), openWithin)
	defer cancel()
	return h.reporting.reporter(ctx)
}

// reporter sends this function's beats to the Centre.
func (h *Host) reporter(ctx context.Context, getenv func(string) string) (*beat.Reporter, error) {
	secret, err := h.Secrets.Get(ctx, names.CentreSecret)
	if err != nil {
		return nil, err
	}
	prices, err := beat.ParsePrices(getenv(names.Prices))
	if err != nil {
		return nil, err
	}
	o := beat.Options{Prices: prices, Client: h.Spec.Client, Handler: h.Name, Direction: h.Direction, URL: getenv(names.CentreURL), Secret: secret, Log: h.Log,
		Interval: Promise(h.Spec, h.Name, h.Direction)}
	r, err := beat.New(o)
	if err != nil {
		return nil, fmt.Errorf("beats: %w", err)
	}
	return r, nil
}
