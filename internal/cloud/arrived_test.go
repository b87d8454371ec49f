package cloud

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/internal/table/embedded"
	"tandem/spec"
)

// slow is a table that answers after a while, unless it is given up before.
type slow struct {
	table.Table
	after time.Duration
}

func (s slow) Update(ctx context.Context, u ...table.Update) ([]int64, error) {
	select {
	case <-time.After(s.after):
		return s.Table.Update(ctx, u...)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A delivery is noted although its own time is over, and keeps its sender waiting
// no longer than it may.
func TestArrived(t *testing.T) {
	for name, c := range map[string]struct {
		left, table time.Duration // what is left of the delivery's time, what the table takes
		noted       int
		takes       time.Duration
	}{
		"in time":               {time.Second, 20 * time.Millisecond, 1, 20 * time.Millisecond},
		"as its time is ending": {10 * time.Millisecond, 20 * time.Millisecond, 1, 20 * time.Millisecond},
		"after its time":        {0, 20 * time.Millisecond, 1, 20 * time.Millisecond},
		"a table that hangs":    {4 * time.Second, time.Hour, 0, noteWithin},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rows, err := embedded.Open("", time.Now)
				if err != nil {
					t.Fatal(err)
				}
				defer rows.Close()
				l := &ledger.Ledger{Table: slow{rows, c.table}, Client: "acme", Now: time.Now}
				h := &Host{Flow: &flow.Flow{Options: flow.Options{Ledger: l}}, Log: slog.New(slog.DiscardHandler)}
				ctx, cancel := context.WithTimeout(t.Context(), c.left)
				defer cancel()
				began := time.Now()
				h.arrived(ctx, spec.ToDestination, []ledger.Arrival{{Ref: record.Ref{System: record.HubSpot, Object: "contacts", ID: "1"}, Execution: "e"}})
				if took := time.Since(began); took != c.takes {
					t.Errorf("the sender waits %s, want %s", took, c.takes)
				}
				all, _, err := l.Arrivals(t.Context(), spec.ToDestination, ledger.ArrivedBefore(time.Now().Add(time.Second)), 10)
				if err != nil || len(all) != c.noted {
					t.Errorf("noted %v, %v; want %d", all, err, c.noted)
				}
			})
		})
	}
}
