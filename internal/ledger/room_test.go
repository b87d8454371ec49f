package ledger_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/internal/table/embedded"
)

// A pair that is written again and again takes no more kilobytes than its fields
// need, keeps as many outcomes as fit into those, and loses the windows of which
// no event can tell any more.
func TestPastFitsIntoWhatIsPaid(t *testing.T) {
	for _, c := range []struct {
		fields          int
		kib             int // of the row
		outcomes, atAll int // at least, at most
	}{{6, 1, 1, 2}, {12, 2, 3, 6}, {20, 2, 3, 6}, {60, 3, 2, 6}} {
		t.Run(fmt.Sprint(c.fields, " fields"), func(t *testing.T) {
			r := &rig{T: t, at: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)}
			tbl, err := embedded.Open("", r.now)
			r.must(err)
			r.Ledger = &ledger.Ledger{Table: tbl, Client: "acme", Now: r.now}
			r.linked()
			print := "svlIitWnbrM"
			base := map[string]ledger.Base{}
			for i := range c.fields {
				base[fmt.Sprintf("field%02d", i)] = ledger.Base{HubSpot: print, Destination: print}
			}
			for i := range 10 {
				r.pass(24 * time.Hour)
				exec := fmt.Sprintf("acme-contacts-508369434347-%d-abcdef%02d", r.at.UnixMilli(), i)
				in := ledger.Intent{Execution: exec, At: r.at, Before: ledger.Version(r.at),
					Sent: map[record.System]map[string][]string{record.HubSpot: {"field01": {print}}}}
				p := r.find(hub)
				r.must(r.Take(t.Context(), p, in, ledger.Change{}))
				r.must(r.Stamp(t.Context(), ledger.Fence{Key: p.Key, Rev: p.Rev}, ledger.Stamp{
					Base: base, Slot: p.Slot,
					Windows: []ledger.Window{{From: ledger.Version(r.at), To: ledger.Version(r.at), Prints: map[string][2]string{"field01": {print, print}}}},
					Outcome: ledger.Outcome{At: r.at, Execution: exec, Direction: "destination-to-hubspot", Kind: ledger.Stamped, Fields: []string{"field01"}, Spec: "51fee9be5a22"},
				}))
			}
			items, err := tbl.Get(t.Context(), ledger.MapKey(hub))
			r.must(err)
			p := r.find(hub)
			if size := table.Size(items[0]); (size+table.WriteUnit-1)/table.WriteUnit != c.kib {
				t.Errorf("the row has %d bytes, want %d KiB", size, c.kib)
			}
			if n := len(p.Outcomes); n < c.outcomes || n > c.atAll {
				t.Errorf("%d outcomes are kept, want %d to %d", n, c.outcomes, c.atAll)
			}
			newest := false
			for _, o := range p.Outcomes {
				newest = newest || o.At.Equal(r.at) && o.Kind == ledger.Stamped && strings.HasSuffix(o.Execution, "09")
			}
			if !newest || len(p.Windows) > 3 {
				t.Errorf("the newest outcome is kept: %t; %d windows, want those of two days: %+v", newest, len(p.Windows), p.Outcomes)
			}
		})
	}
}

// A fence and a base are one text each between a machine's states.
func TestTextsOfAPlan(t *testing.T) {
	type plan struct {
		Fence *ledger.Fence
		Base  map[string]ledger.Base
	}
	want := plan{
		Fence: &ledger.Fence{Key: ledger.MapKey(record.Ref{System: record.HubSpot, Object: "contacts", ID: "an id"}), Rev: 40},
		Base:  map[string]ledger.Base{"a": {HubSpot: "h", Destination: "d"}, "b": {HubSpot: "h"}, "c": {Destination: "d"}},
	}
	text, err := json.Marshal(want)
	if err != nil || string(text) != `{"Fence":"hubspot#contacts#an id 40","Base":{"a":"h d","b":"h ","c":" d"}}` {
		t.Errorf("%s, %v", text, err)
	}
	var got plan
	if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "40", "hubspot#contacts#7", "x y"} {
		if err := got.Fence.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is a fence: %+v", bad, got.Fence)
		}
	}
}
