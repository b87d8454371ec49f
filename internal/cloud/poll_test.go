package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tandem/internal/cloud/names"
	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table/embedded"
	"tandem/spec"
)

// changes is a system's list by object.
type changes map[string]func(ctx context.Context, cursor string) ([]flow.ChangedRecord, string, bool, error)

func (c changes) Changed(ctx context.Context, object, cursor string) ([]flow.ChangedRecord, string, bool, error) {
	return c[object](ctx, cursor)
}

// nothing is the answer of a list without changes.
func nothing(context.Context, string) ([]flow.ChangedRecord, string, bool, error) {
	return nil, "", false, nil
}

// refused is that of a list that cannot be read.
func refused(context.Context, string) ([]flow.ChangedRecord, string, bool, error) {
	return nil, "", false, flow.Errorf(flow.RemoteRefused, "record 7 cannot be read")
}

// poller is a poll of a destination with customers and orders.
func poller(t *testing.T, metrics *bytes.Buffer) *Host {
	t.Helper()
	s := &spec.Spec{Client: "acme", Pairs: []spec.Pair{
		{Name: "contacts", HubSpot: spec.Side{Object: "contacts"}, Destination: spec.Side{Object: "customers", Trigger: "poll"}},
		{Name: "deals", HubSpot: spec.Side{Object: "deals"}, Destination: spec.Side{Object: "orders", Trigger: "poll"}},
	}}
	rows, err := embedded.Open("", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rows.Close() })
	seals := &flow.Sealer{Secrets: func(record.System) ([]string, error) { return []string{"secret"}, nil }}
	h := &Host{Name: "poll", Direction: spec.ToHubSpot, Spec: s, Metrics: NewMetrics(metrics, "acme", time.Now), Log: slog.New(slog.DiscardHandler)}
	h.Flow, err = flow.New(flow.Options{Spec: s, Ledger: &ledger.Ledger{Table: rows, Client: "acme", Now: time.Now}, Seals: seals})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// A poll that goes through speaks for its own pair, and one that does not names it.
func TestEachPairIsPolledForItself(t *testing.T) {
	var metrics bytes.Buffer
	h := poller(t, &metrics)
	from := changes{"customers": refused, "orders": nothing}
	if _, err := h.sweep(t.Context(), names.Tick{Pair: "contacts"}, names.MetricPolled, from, ""); err == nil || !strings.Contains(err.Error(), "pair contacts: ") || !strings.Contains(err.Error(), `RemoteRefused`) {
		t.Errorf("a list that cannot be read: %v", err)
	}
	if _, err := h.sweep(t.Context(), names.Tick{Pair: "deals"}, names.MetricPolled, from, ""); err != nil {
		t.Error(err)
	}
	if got := metrics.String(); strings.Count(got, `"Polled":1`) != 1 || !strings.Contains(got, `"Pair":"deals"`) {
		t.Errorf("metrics %s", got)
	}
}

// census is a list with a census that is due, of which everything is listed by all.
type census struct {
	changes
	all func(ctx context.Context, cursor string) ([]flow.ChangedRecord, string, bool, error)
}

func (c *census) CensusEvery(string) time.Duration { return time.Hour }

func (c *census) Changed(ctx context.Context, object, cursor string) ([]flow.ChangedRecord, string, bool, error) {
	if cursor == "" {
		return c.all(ctx, cursor)
	}
	return c.changes.Changed(ctx, object, cursor)
}

// polledBefore is what polls have left behind: a cursor and the ids of what they listed.
func polledBefore(t *testing.T, h *Host, known int) {
	t.Helper()
	var ids []string
	for i := range known {
		ids = append(ids, fmt.Sprint(i))
	}
	err := errors.Join(h.Flow.Ledger.MoveCursor(t.Context(), record.Destination, "customers", "x", 0),
		h.Flow.Ledger.Know(t.Context(), record.Destination, "customers", ids, time.Now().Add(-time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
}

// A list of everything that is refused, that the guard stops, or that takes longer
// than the function may, is told: by an error that says which before the platform
// ends the function, and by a metric of its own, as the next poll goes through.
func TestFailedCensusIsTold(t *testing.T) {
	endless := func(ctx context.Context, _ string) ([]flow.ChangedRecord, string, bool, error) {
		<-ctx.Done()
		return nil, "", false, ctx.Err()
	}
	all5 := func(context.Context, string) (lines []flow.ChangedRecord, next string, more bool, err error) {
		for i := range 5 {
			lines = append(lines, flow.ChangedRecord{ID: fmt.Sprint(i)})
		}
		return lines, "", false, nil
	}
	for name, c := range map[string]struct {
		changes, all func(context.Context, string) ([]flow.ChangedRecord, string, bool, error)
		says         string
		known        int // records that polls have listed before
		failed       int
	}{
		"well":        {nothing, all5, "", 5, 0},
		"refused":     {nothing, refused, "pair contacts: deletions are not found: listing all customers to find deletions: ", 5, 1},
		"too long":    {nothing, endless, "pair contacts: the time of this function was over: deletions are not found: listing all customers", 5, 1},
		"guarded":     {nothing, nothing, "pair contacts: deletions are not found: RemoteRefused: 30 of 30 known customers are not listed any more", 30, 1},
		"the poll":    {refused, nothing, "pair contacts: RemoteRefused", 5, 0},
		"a long poll": {endless, nothing, "pair contacts: the time of this function was over: ", 5, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var metrics bytes.Buffer
				h := poller(t, &metrics)
				polledBefore(t, h, c.known)
				ctx, cancel := context.WithTimeout(t.Context(), 55*time.Second)
				defer cancel()
				_, err := h.sweep(ctx, names.Tick{Pair: "contacts"}, names.MetricPolled, &census{changes{"customers": c.changes}, c.all}, "")
				if got := fmt.Sprint(err); (err == nil) != (c.says == "") || !strings.Contains(got, c.says) || ctx.Err() != nil {
					t.Errorf("%v, the function's time: %v", err, ctx.Err())
				}
				if got := strings.Count(metrics.String(), `"CensusFailed":1`); got != c.failed {
					t.Errorf("told %d times: %s", got, &metrics)
				}
			})
		})
	}
}
