package cost

import (
	"encoding/json"
	"maps"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"tandem/internal/asl"
	"tandem/internal/beat"
	"tandem/internal/table"
	"tandem/internal/table/embedded"
	"tandem/spec"
)

func acme(t *testing.T) *spec.Spec {
	t.Helper()
	s, err := spec.Load("../../spec/acme/integration-spec.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A bill against one that was worked out with paper: a million events of five
// invocations of 20 ms at 128 MB, one execution of 0.6 s, two write units and one
// read unit, 16 KiB of trace, kept for 30 days.
func TestBillByHand(t *testing.T) {
	u := Usage{
		Invocations: 5, GBSeconds: 5 * 0.020 * 0.125, Executions: 1, ExpressSeconds: 0.6 / 16, WriteUnits: 2, ReadUnits: 1,
		LimitUnits: 0.5, TraceBytes: 16384, ErrorBytes: 100, LogBytes: 1024, Messages: 0.01, EgressBytes: 2000, Traces: 1,
	}
	want := Bill{
		{"Lambda requests", 1.00},      // 5 x 0.20
		{"Lambda GB-seconds", 0.17},    // 12,500 x 0.0000133334 = 0.1667
		{"Express executions", 1.00},   // 1 x 1.00
		{"Express GB-seconds", 0.63},   // 37,500 x 0.00001667 = 0.6251
		{"DynamoDB writes", 1.42},      // 2 x 0.7115 = 1.423
		{"DynamoDB reads", 0.14},       // 0.1423
		{"DynamoDB rate limits", 0.36}, // 0.5 x 0.7115 = 0.3558
		{"Trace, level ALL", 10.73},    // 15.2588 GiB x 0.703 = 10.7269
		{"Lambda log lines", 0.67},     // 0.95367 GiB x 0.703 = 0.6704
		{"X-Ray", 5.00},                // 5.00
		{"SQS and egress", 0.22},       // 0.004 + 1.8626 GiB x 0.114 = 0.2163
	}
	got := BillFor(u, All, 30)
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("line %d is %v, want %v", i, got[i], want[i])
		}
	}
	if got.Total() != 21.34 {
		t.Errorf("total %v, want 21.34", got.Total())
	}
	if quiet := BillFor(u, Error, 30); quiet[7] != (Line{"Trace, level ERROR", 0.07}) || quiet.Total() != 10.68 {
		t.Errorf("at level ERROR %v, %v", quiet[7], quiet.Total())
	}
}

// The sizes of the records against what was computed once from the shapes that AWS
// documents, for five functions and a choice with one payload between all states.
func TestTraceIsAsLargeAsKnown(t *testing.T) {
	for _, c := range []struct {
		payload int
		kib     float64
	}{{300, 19.2}, {1000, 38.1}, {2000, 64.3}, {5000, 143.3}} {
		l := constant(payload(c.payload), true)
		got := float64(l.bytes) / 1024
		if l.n != 29 || math.Abs(got/c.kib-1) > 0.06 {
			t.Errorf("%d bytes between states: %d records of %.1f KiB, want 29 of %.1f", c.payload, l.n, got, c.kib)
		}
	}
	if got := float64(constant(payload(300), false).bytes) / 1024; math.Abs(got/9.5-1) > 0.1 {
		t.Errorf("without data %.1f KiB, want 9.5", got)
	}
}

// payload is JSON with as many quotes as records have, of n bytes.
func payload(n int) json.RawMessage {
	s := `{"event":{"client":"acme","id":"508369434001"},"fields":{`
	for i := 0; len(s) < n-24; i++ {
		s += `"field` + strconv.Itoa(i) + `":"the value of it",`
	}
	return json.RawMessage(s + `"z":"` + strings.Repeat("z", max(0, n-len(s)-8)) + `"}}`)
}

func constant(p json.RawMessage, withData bool) *log {
	res := asl.Result{Status: asl.Succeeded, Output: p}
	var calls []invocation
	for _, name := range []string{"Verify", "Transform", "Lookup", "Decide", "Write", "Stamp"} {
		st := asl.Step{State: name, Type: "Choice", Input: p, Output: p}
		if name != "Decide" {
			st.Type, st.Result, st.Attempts = "Task", p, make([]asl.Attempt, 1)
			calls = append(calls, invocation{"${" + name + "Arn}", p})
		}
		res.Steps = append(res.Steps, st)
	}
	return traceOf("acme-hubspot-to-destination", "contact-12345678-1731200000000-abcdef12", p, res, calls, withData)
}

// Units are those of the sizes that DynamoDB documents.
func TestUnits(t *testing.T) {
	inner, err := embedded.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	m := &meter{Table: inner}
	a, b := table.Key{PK: "A", SK: "A"}, table.Key{PK: "LIMIT#hubspot", SK: "window"}
	for _, c := range []struct {
		what                  string
		do                    func() error
		reads, writes, limits float64
	}{
		{"an absent row is read", func() error { _, err := m.Get(t.Context(), a); return err }, 1, 0, 0},
		{"a small row is made", func() error { _, err := m.Update(t.Context(), set(a, 100)); return err }, 0, 1, 0},
		{"it grows", func() error { _, err := m.Update(t.Context(), set(a, 2500)); return err }, 0, 3, 0},
		{"it shrinks: the larger size counts", func() error { _, err := m.Update(t.Context(), set(a, 10)); return err }, 0, 3, 0},
		{"a condition fails", func() error {
			_, err := m.Update(t.Context(), table.Update{Key: a, If: table.AtRev(77), Set: map[string]string{"x": "y"}})
			if _, moved := table.Moved(err); !moved {
				t.Errorf("%v", err)
			}
			return nil
		}, 0, 1, 0},
		{"two rows in a transaction", func() error { _, err := m.Update(t.Context(), set(a, 2100), set(b, 10)); return err }, 0, 6, 2},
		{"both are read", func() error { _, err := m.Get(t.Context(), a, b); return err }, 2, 0, 0},
		{"a partition is listed", func() error { _, err := m.Query(t.Context(), "A", "", 10); return err }, 1, 0, 0},
	} {
		was := *m
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		if m.reads-was.reads != c.reads || m.writes-was.writes != c.writes || m.limits-was.limits != c.limits {
			t.Errorf("%s: %v read, %v write, %v limit units; want %v, %v, %v", c.what,
				m.reads-was.reads, m.writes-was.writes, m.limits-was.limits, c.reads, c.writes, c.limits)
		}
	}
}

func set(k table.Key, n int) table.Update {
	return table.Update{Key: k, If: table.Always, Set: map[string]string{"v": strings.Repeat("x", n)}}
}

// What is billed for time: the work at the function's share of a processor, and waiting.
func TestBilledTime(t *testing.T) {
	a := Assumptions{Remote: 100 * time.Millisecond, Table: 5 * time.Millisecond, Start: 10 * time.Millisecond, PerDelivery: 20}
	// (0.25 + 2 x 0.35) ms x 1769/128 = 13.13 ms, and 105 ms of waiting.
	if got := a.billed("transform", 1, 1); got != 119*time.Millisecond {
		t.Errorf("billed %v, want 119ms", got)
	}
	// (0.25 + (20 x 2 + 1) x 0.35) ms x 1769/512 = 50.44 ms, two rounds of 15 ms, and 5 ms.
	if got := a.atTheDoor(1, 1); got != 86*time.Millisecond {
		t.Errorf("at the door %v, want 86ms", got)
	}
	if got := expressSeconds(501 * time.Millisecond); got != 0.6/16 {
		t.Errorf("0.501 s of an execution are %v GB-seconds, want 0.0375", got)
	}
}

// The functions have the memory that is priced here.
func TestMemoryIsTheStacks(t *testing.T) {
	text, err := os.ReadFile("../../cdk/function.go")
	if err != nil {
		t.Fatal(err)
	}
	for name, mb := range memory {
		m := regexp.MustCompile(`"` + name + `":\s+\{(\d+),`).FindSubmatch(text)
		if m == nil || string(m[1]) != strconv.Itoa(int(mb)) {
			t.Errorf("%s: the stack gives %s MB, priced are %v", name, m, mb)
		}
	}
}

// The budgets of a million synced updates, computed and not timed.
func TestBudget(t *testing.T) {
	events, err := Measure(acme(t), Usual)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		all, quiet := BillFor(e.Usage, All, 14).Total(), BillFor(e.Usage, Error, 14).Total()
		t.Logf("%-24s ALL %5.2f  ERROR %5.2f  trace %.1f KiB, %.1f write units, %v", e.Name, all, quiet, e.TraceBytes/1024, e.WriteUnits, e.Path)
		// Towards HubSpot there is one read more, before what has no conditional write is
		// overwritten; it fits as well.
		if budgeted := e.Name == UpdateDestination || e.Name == UpdateHubSpot; budgeted && (all > 18 || quiet > 6) {
			t.Errorf("a million times %s cost %.2f US$ with the full trace and %.2f without; the budget is 18 and 6", e.Name, all, quiet)
		}
		if e.LogBytes > 0 && e.Name != DeadLetter {
			t.Errorf("%s: %v bytes of the functions' own lines", e.Name, e.LogBytes)
		}
	}
}

// Every shipped spec can be priced, twice the same.
func TestEverySpec(t *testing.T) {
	for _, client := range []string{"acme", "gitea", "jsonserver", "pocketbase"} {
		s, err := spec.Load("../../spec/" + client + "/integration-spec.json")
		if err != nil {
			t.Fatal(err)
		}
		one, err := Measure(s, Usual)
		if err != nil {
			t.Errorf("%s: %v", client, err)
			continue
		}
		two, _ := Measure(s, Usual)
		for i := range one {
			if a, b := BillFor(one[i].Usage, All, 14).Total(), BillFor(two[i].Usage, All, 14).Total(); a != b || a == 0 {
				t.Errorf("%s, %s: %v, then %v", client, one[i].Name, a, b)
			}
		}
	}
}

// What the Centre adds up is what tandem cost prints.
func TestPrices(t *testing.T) {
	s := acme(t)
	p, err := Prices(s)
	if err != nil {
		t.Fatal(err)
	}
	events, err := Measure(s, Usual)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if want := BillFor(e.Usage, All, 30).Total(); e.Name == UpdateDestination && math.Abs(float64(p[spec.ToDestination].Stamped)-1000*want) > 1 {
			t.Errorf("an update is %d billionths, tandem cost says %.2f millionths", p[spec.ToDestination].Stamped, want)
		}
	}
	for d, price := range p {
		if price.Dropped <= 0 || price.Dropped >= price.Stamped || price.Dead <= 0 {
			t.Errorf("%s: %+v", d, price)
		}
	}
	again, err := beat.ParsePrices(p.String())
	if err != nil || !maps.Equal(again, p) {
		t.Errorf("%v became %v, %v", p, again, err)
	}
	if _, err := beat.ParsePrices("{"); err == nil {
		t.Error("half a text is read")
	}
}
