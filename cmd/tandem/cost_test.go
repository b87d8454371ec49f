package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
)

// again runs a command where another test step has gone to the repository's folder.
func again(t *testing.T, args ...string) (code int, out, err string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

// The printed table and the JSON tell the same, and the sums are sums.
func TestCost(t *testing.T) {
	code, table, says := invoke(t, "cost", "--retention", "14", "--records", "20000")
	if code != exitOK || says != "" {
		t.Fatalf("ends with %d: %s", code, says)
	}
	_, text, _ := again(t, "cost", "--json", "--retention", "14", "--records", "20000")
	var c costs
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	for _, p := range c.Events {
		sum := 0.0
		for _, l := range p.Bill {
			sum += l.USD
		}
		if math.Abs(sum-p.Total) > 0.001 || p.Total <= 0 || p.Quiet > p.Total {
			t.Errorf("%s: lines add up to %.2f, the total is %.2f, without trace %.2f", p.Name, sum, p.Total, p.Quiet)
		}
		if !strings.Contains(table, amount(p.Total)) || !strings.Contains(table, p.Name) {
			t.Errorf("%s, %.2f US$ is not in the table:\n%s", p.Name, p.Total, table)
		}
	}
	both := (c.Events[0].Total + c.Events[1].Total) * 20000 / 1e6
	if len(c.Events) != 7 || math.Abs(c.Month.USD-both) > 0.001 || !strings.Contains(table, "20000 updates") {
		t.Errorf("%d events; a month costs %v, want %v", len(c.Events), c.Month.USD, both)
	}
}

// What the pages tell of costs is what the tool finds now.
func TestCostsInREADME(t *testing.T) {
	_, printed, _ := invoke(t, "cost", "--retention", "14")
	_, text, _ := again(t, "cost", "--json", "--retention", "14", "--records", "20000")
	var c costs
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	table, outage := strings.Split(printed, "\n\n")[1], c.Events[len(c.Events)-1]
	for _, p := range []struct{ page, tells, renew string }{
		{"README.md", "\n    " + strings.ReplaceAll(table, "\n", "\n    ") + "\n\n", "--retention 14"},
		{"README.md", "20,000 updates a month pays about " + amount(c.Month.USD) + " US$", "--retention 14 --records 20000"},
		{"docs/deployment.md", fmt.Sprintf("costs %.0f US$ a million with the trace and %.0f without", outage.Total, outage.Quiet), "--retention 14"},
	} {
		has, err := os.ReadFile(p.page)
		if err != nil || !strings.Contains(string(has), p.tells) {
			t.Errorf("%s is out of date (%v): put in what go run ./cmd/tandem cost %s prints, a table 4 spaces further in:\n%s", p.page, err, p.renew, p.tells)
		}
	}
}

// A longer wait for the remote systems costs more, a trace of failures only less.
func TestCostFollowsItsFlags(t *testing.T) {
	t.Chdir("../..")
	total := func(args ...string) float64 {
		_, text, says := again(t, append([]string{"cost", "--json"}, args...)...)
		var c costs
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err, says)
		}
		return c.Events[0].Total
	}
	usual := total()
	for _, c := range []struct {
		args []string
		more bool
	}{
		{[]string{"--remote-latency", "2s"}, true}, {[]string{"--fields", "2"}, true}, {[]string{"--retention", "365"}, true},
		{[]string{"--per-delivery", "1"}, true}, {[]string{"--level", "ERROR"}, false},
	} {
		if got := total(c.args...); got == usual || got > usual != c.more {
			t.Errorf("%v: %.2f US$, usually %.2f", c.args, got, usual)
		}
	}
	for _, args := range [][]string{{"--level", "WARN"}, {"--records", "0"}, {"--retention", "-1"}, {"spec.json"}, {"--spec", "none.json"}} {
		if code, _, says := again(t, append([]string{"cost"}, args...)...); code != exitMisused || says == "" {
			t.Errorf("%v ends with %d: %s", args, code, says)
		}
	}
}
