package cloud

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
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
	h.starter, _ = machinesOf(t)
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
