package burst

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"tandem/internal/flow"
	"tandem/internal/hubspot"
	"tandem/internal/limit"
	"tandem/internal/record"
	"tandem/internal/table/dynamo"
	"tandem/spec"
)

// asWorker, when set, makes the test binary one worker: its number.
const asWorker = "BURST_WORKER"

// callers are how many changes a worker makes at once.
const callers = 4

// work makes every eighth change.
func work() error {
	number, err := strconv.Atoi(os.Getenv(asWorker))
	first, firstErr := strconv.ParseInt(os.Getenv("BURST_FIRST"), 10, 64)
	total, totalErr := strconv.Atoi(os.Getenv("BURST_CHANGES"))
	client, clientErr := newClient()
	if err := errors.Join(err, firstErr, totalErr, clientErr); err != nil {
		return err
	}
	next := atomic.Int64{}
	next.Store(int64(number))
	failed := make(chan error, callers)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := int(next.Add(workers)) - workers; i < total; i = int(next.Add(workers)) - workers {
				if err := change(client, strconv.FormatInt(first+int64(i), 10), name(i)); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed // nil when there is none
}

// change makes one change, after every wait that it is told to make.
func change(c *hubspot.Client, id, name string) error {
	for {
		_, err := c.Update(context.Background(), "contacts", id, record.Fields{"firstname": name}, "")
		var e *flow.Error
		if !errors.As(err, &e) || e.Code != flow.RateLimited {
			return err
		}
		time.Sleep(e.RetryAfter)
	}
}

// newClient is the HubSpot client within the budget that the table keeps.
func newClient() (*hubspot.Client, error) {
	db, err := dynamo.Client(os.Getenv)
	if err != nil {
		return nil, err
	}
	if err := dynamo.Ensure(context.Background(), db, "burst"); err != nil {
		return nil, err
	}
	l, err := limit.New(limit.Options{
		Table: dynamo.New(db, "burst", time.Now, nil), System: record.HubSpot,
		Budget: spec.RateLimit{Requests: allowed, Per: spec.Duration{Duration: window}},
	})
	if err != nil {
		return nil, err
	}
	o := hubspot.OptionsFor(&spec.Spec{HubSpot: spec.HubSpot{BaseURL: os.Getenv("BURST_HUBSPOT")}})
	o.HTTP = &http.Client{Transport: limit.Transport(http.DefaultTransport, l, hubspot.Pause)}
	o.Token = func(context.Context) (string, error) { return "token", nil }
	return hubspot.New(o)
}
