package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"tandem/internal/cost"
	"tandem/spec"
)

// costs is what tandem cost prints with --json. Amounts are US$.
type costs struct {
	Client        string       `json:"client"`
	Pair          string       `json:"pair"`
	Level         string       `json:"traceLevel"`
	RetentionDays int          `json:"retentionDays"`
	Events        []priced     `json:"events"`
	Month         monthOfCosts `json:"month"`
}

type priced struct {
	cost.Event
	Bill  cost.Bill `json:"bill"`
	Total float64   `json:"usdPerMillion"`
	// Quiet is the total at trace level ERROR.
	Quiet float64 `json:"usdPerMillionWithoutTrace"`
}

type monthOfCosts struct {
	Records int     `json:"records"`
	USD     float64 `json:"usd"`
}

const costNotes = `It plays records of the spec's first pair through the real flow and the shipped state
machines, counts what AWS bills (invocations, units of the table, the bytes of every log
record) and multiplies by list prices of ap-southeast-2, without free tiers. Times are
assumed, see the flags. Not in it: what a stack costs while nothing happens (alarms,
metrics, secrets: 1 to 3 US$ a month), the table's storage, and the two systems.`

func costCommand(_ context.Context, e *env, args []string) error {
	f, a := e.flags("cost", "[flags]", costNotes), cost.Usual
	file := f.String("spec", cmp.Or(e.getenv("TANDEM_SPEC"), exampleSpec), "the client's spec `file`")
	level := f.String("level", "", "trace level, ALL or ERROR; the spec's when not given")
	days := f.Int("retention", 0, "`days` that logs are kept; the spec's when not given")
	asJSON := f.Bool("json", false, "print JSON")
	f.IntVar(&a.Records, "records", a.Records, "updates a month")
	f.IntVar(&a.Fields, "fields", a.Fields, "fields of a record that are edited at a time")
	f.IntVar(&a.PerDelivery, "per-delivery", a.PerDelivery, "records that one webhook delivery tells of")
	f.DurationVar(&a.Remote, "remote-latency", a.Remote, "how long HubSpot or the destination take to answer")
	f.DurationVar(&a.Transition, "transition", a.Transition, "what Step Functions adds to the time of every task")
	if err := parse(f, args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return misused("%q is no flag; name the spec with --spec", f.Arg(0))
	}
	s, err := loadSpec(*file)
	if err != nil {
		return err
	}
	if *level = cmp.Or(*level, s.Trace.Level, cost.All); *level != cost.All && *level != cost.Error {
		return misused("--level is %q; allowed are ALL and ERROR", *level)
	}
	given := false
	f.Visit(func(one *flag.Flag) { given = given || one.Name == "retention" })
	if min(a.Records, a.Fields, a.PerDelivery) < 1 || given && *days < 1 || a.Remote < 0 || a.Transition < 0 {
		return misused("--records, --fields, --per-delivery and --retention must be at least 1, and no time negative")
	}
	out, err := price(s, a, *level, cmp.Or(*days, s.Trace.RetentionDays, cost.DefaultRetention))
	if err != nil {
		return err
	}
	if *asJSON {
		enc := json.NewEncoder(e.out)
		enc.SetIndent("", "  ")
		return enc.Encode(out)
	}
	return printCosts(e, out)
}

// price measures a spec's events and makes out their bills.
func price(s *spec.Spec, a cost.Assumptions, level string, days int) (*costs, error) {
	events, err := cost.Measure(s, a)
	if err != nil {
		return nil, err
	}
	c := &costs{Client: s.Client, Pair: s.Pairs[0].Name, Level: level, RetentionDays: days}
	c.Month.Records = a.Records
	for _, ev := range events {
		p := priced{Event: ev, Bill: cost.BillFor(ev.Usage, level, days), Quiet: cost.BillFor(ev.Usage, cost.Error, days).Total()}
		p.Total = p.Bill.Total()
		c.Events = append(c.Events, p)
		if ev.Name == cost.UpdateDestination || ev.Name == cost.EchoDestination {
			c.Month.USD += p.Total * float64(a.Records) / 1e6
		}
	}
	return c, nil
}

// printCosts prints one column for each kind of event.
func printCosts(e *env, c *costs) error {
	fmt.Fprintf(e.out, "US$ for a million of each, AWS list prices in Sydney; client %s, pair %s, trace level %s kept %d days\n\n",
		c.Client, c.Pair, c.Level, c.RetentionDays)
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(title string, cell func(p priced) string) {
		cells := []string{fmt.Sprintf("%-22s", title)}
		for _, p := range c.Events {
			cells = append(cells, cell(p))
		}
		fmt.Fprintln(w, strings.Join(cells, "\t")+"\t")
	}
	row("", func(p priced) string { return p.Name })
	for i, l := range c.Events[0].Bill {
		if slices.ContainsFunc(c.Events, func(p priced) bool { return p.Bill[i].USD > 0 }) {
			row(l.Item, func(p priced) string { return amount(p.Bill[i].USD) })
		}
	}
	row("total", func(p priced) string { return amount(p.Total) })
	row("total, level ERROR", func(p priced) string { return amount(p.Quiet) })
	row("trace, KiB each", func(p priced) string { return fmt.Sprintf("%.1f", p.TraceBytes/1024) })
	row("states", func(p priced) string { return fmt.Sprint(len(p.Path)) })
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(e.out, "\nA month of %d updates of the destination with their echoes: %s US$.\n", c.Month.Records, amount(c.Month.USD))
	return err
}

func amount(usd float64) string { return fmt.Sprintf("%.2f", usd) }
