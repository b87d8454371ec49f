package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"tandem/internal/engines"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/internal/table/dynamo"
	"tandem/internal/table/embedded"
	"tandem/spec"
)

var (
	contacts = spec.Pair{
		Name: "contacts", HubSpot: spec.Side{Object: "contacts"}, Destination: spec.Side{Object: "customers"},
	}
	hub  = record.Ref{System: record.HubSpot, Object: "contacts", ID: "7"}
	dest = record.Ref{System: record.Destination, Object: "customers", ID: "c_1"}
	ids  = map[record.System]string{record.HubSpot: "7", record.Destination: "c_1"}
)

// rig is a ledger on a table of its own, with a clock that is moved by hand.
type rig struct {
	*testing.T
	*ledger.Ledger
	at time.Time
}

func (r *rig) now() time.Time { return r.at }

func (r *rig) pass(d time.Duration) { r.at = r.at.Add(d) }

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) is(err, want error) {
	r.Helper()
	if !errors.Is(err, want) {
		r.Fatalf("got %v, want %v", err, want)
	}
}

func (r *rig) find(ref record.Ref) *ledger.Pair {
	r.Helper()
	p, err := r.Find(r.Context(), contacts, ref, "")
	r.must(err)
	return p
}

// claimed claims ref under key and returns the fence.
func (r *rig) claimed(ref record.Ref, key string) ledger.Fence {
	r.Helper()
	p := r.find(ref)
	r.must(r.Claim(r.Context(), p, ref, key, ledger.Intent{Execution: "e", At: r.Now(), Create: ref.System.Other()}))
	return ledger.Fence{Key: p.Key, Rev: p.Rev}
}

// claimant is who has just claimed key, as its execution knows it.
func (r *rig) claimant(ref record.Ref, key string) ledger.Claimant {
	return ledger.Claimant{Pair: contacts.Name, Ref: ref, MatchKey: key, Until: r.Now().Add(ledger.Lease)}
}

// linked joins hub and dest.
func (r *rig) linked() *ledger.Pair {
	r.Helper()
	base := map[string]ledger.Base{"email": {HubSpot: "h", Destination: "d"}}
	r.must(r.Link(r.Context(), r.claimed(hub, "k"), contacts, r.claimant(hub, "k"), ids, nil, ledger.Stamp{Base: base}))
	return r.find(hub)
}

// TestRows plays every operation on both tables.
func TestRows(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		play(t, func(r *rig) {
			tbl, err := embedded.Open("", r.now)
			r.must(err)
			r.Ledger = &ledger.Ledger{Table: tbl, Client: "acme", Now: r.now}
		})
	})
	t.Run("dynamo", func(t *testing.T) {
		if testing.Short() {
			t.Skip("a short run starts no engines")
		}
		t.Setenv("AWS_ENDPOINT_URL_DYNAMODB", engines.DynamoDBLocal(t))
		t.Setenv("AWS_ACCESS_KEY_ID", "local")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "local")
		var n atomic.Int64
		play(t, func(r *rig) {
			name := fmt.Sprint("ledger", n.Add(1))
			r.Setenv("AWS_REGION", "ap-southeast-2")
			db, err := dynamo.Client(os.Getenv)
			r.must(err)
			r.must(dynamo.Ensure(r.Context(), db, name))
			r.Ledger = &ledger.Ledger{Table: dynamo.New(db, name, r.now, nil), Client: "acme", Now: r.now}
		})
	})
}

// failing is a table that takes so many changes and no more.
type failing struct {
	table.Table
	after int
}

func (f *failing) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	if f.after--; f.after < 0 {
		return nil, errors.New("cut off")
	}
	return f.Table.Update(ctx, updates...)
}

func play(t *testing.T, open func(*rig)) {
	all := maps.Clone(onPairs)
	maps.Copy(all, onOtherRows)
	for name, test := range all {
		t.Run(name, func(t *testing.T) {
			// The next hour: what expires by this clock has not by that of DynamoDB Local,
			// which would remove it in the middle of a test.
			r := &rig{T: t, at: time.Now().Truncate(time.Hour).Add(time.Hour)}
			open(r)
			test(r)
		})
	}
}
