package ledger_test

import (
	"testing"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
)

// Of a value that the write itself brought, told times say only whether it was set
// clearly before the write (Hides); that it was set in the window at all counts
// where another is known to have set it (Meets).
func TestWindowOfAWrittenValue(t *testing.T) {
	read := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	wrote := read.Add(5 * time.Second)
	w := ledger.Window{From: ledger.Version(read), To: ledger.Version(wrote), Prints: map[string][2]string{"phone": {"old", "new"}}}
	for name, c := range map[string]struct {
		w             ledger.Window
		field, print  string
		at            time.Duration
		hidden, meets bool
	}{
		"clearly before the write":       {w: w, field: "phone", print: "new", at: 2 * time.Second, hidden: true, meets: true},
		"at the time of the write":       {w: w, field: "phone", print: "new", at: 5 * time.Second, meets: true},
		"told a little later":            {w: w, field: "phone", print: "new", at: 5900 * time.Millisecond, meets: true},
		"after it":                       {w: w, field: "phone", print: "new", at: 7 * time.Second},
		"before the read":                {w: w, field: "phone", print: "new", at: 0},
		"another value":                  {w: w, field: "phone", print: "third", at: 5 * time.Second, hidden: true},
		"a field that was not written":   {w: w, field: "zip", print: "new", at: 5 * time.Second},
		"a window of the other system's": {w: ledger.Window{Side: record.Destination, From: w.From, To: w.To, Prints: w.Prints}, field: "phone", print: "new", at: 2 * time.Second},
	} {
		at := read.Add(c.at)
		if got := c.w.Hides(c.field, c.print, at); got != c.hidden {
			t.Errorf("%s: hidden is %t", name, got)
		}
		if got := c.w.Meets(c.field, c.print, at); got != c.meets {
			t.Errorf("%s: meets is %t", name, got)
		}
	}
}
