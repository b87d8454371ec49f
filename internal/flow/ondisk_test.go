package flow_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/internal/table/embedded"
)

// onDisk puts the bench's rows into a directory.
func (b *bench) onDisk() (dir string) {
	b.t.Helper()
	dir = b.t.TempDir()
	tab, err := embedded.Open(dir, b.Now)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { tab.Close() })
	b.table, b.flow.Ledger = tab, &ledger.Ledger{Table: tab, Client: "acme", Now: b.Now}
	return dir
}

// onFile lists which of some texts any file of a directory shows.
func onFile(t *testing.T, dir string, texts ...string) (shown []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		all, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			if bytes.Contains(all, []byte(text)) {
				shown = append(shown, text)
			}
		}
	}
	return shown
}

// latecomer is a table on which another worker stores something right after the
// transaction of an erasure.
type latecomer struct {
	table.Table
	store func()
}

func (l *latecomer) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	revs, err := l.Table.Update(ctx, updates...)
	if updates[0].Erase && len(updates) > 1 && l.store != nil {
		store := l.store
		l.store = nil
		store()
	}
	return revs, err
}

// TestErasureOnDisk: what a conflict has lost, the only value that is kept, and the
// fingerprints of the others are in no file any more a minute after an erasure.
func TestErasureOnDisk(t *testing.T) {
	b := newBench(t)
	dir := b.onDisk()
	_, dest := b.created()
	b.hub.put("contacts/7", record.Fields{"zip": "2000-lost"})
	b.dest.put("customers/"+dest, record.Fields{"postcode": "3000"})
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
	personal := []string{"2000-lost", ledger.Fingerprint("acme/contacts", "lastName", record.HubSpot, "L")}
	if shown := onFile(t, dir, personal...); len(shown) != 2 {
		t.Fatalf("before the erasure the files show only %q", shown)
	}
	b.flow.Ledger.Table = &latecomer{b.table, func() {
		err := b.flow.Ledger.Lose(t.Context(), record.Ref{System: record.Destination, Object: "customers", ID: dest}, ledger.Conflict{Loser: "late-lost"})
		if err != nil || len(onFile(t, dir, "late-lost")) != 1 {
			t.Errorf("the other worker stores nothing (%v)", err)
		}
		personal = append(personal, "late-lost")
	}}
	delete(b.hub.rows, "contacts/7")
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Purged), "Dropped")
	b.now = b.now.Add(time.Minute) // at most, and whoever looks
	if b.state(record.HubSpot, "7") != ledger.Gone {
		t.Fatal(b.reason())
	}
	if shown := onFile(t, dir, personal...); len(shown) > 0 || len(personal) != 3 {
		t.Errorf("the files show %q", shown)
	}
}
