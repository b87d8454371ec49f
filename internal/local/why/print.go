package why

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
)

// Print writes the report as text for a terminal.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, pair %s, spec %s, %s\n", r.Client, r.Record, r.Pair, r.Spec, r.At.Format(time.RFC3339))
	fmt.Fprintf(&b, "state       %s%s\n", r.State, because(r.Reason))
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		fmt.Fprintf(&b, "%-12s%s\n", sys+" ", orDash(r.IDs[sys]))
	}
	if !r.Stamped.IsZero() {
		fmt.Fprintf(&b, "agreed      %s\n", r.Stamped.Format(time.RFC3339))
	}
	if r.Lease != nil {
		fmt.Fprintf(&b, "lease       %s until %s\n", r.Lease.Execution, r.Lease.Until.Format(time.RFC3339))
	}
	if r.Intent != nil {
		fmt.Fprintf(&b, "%-12s%s since %s: %s\n", r.unconfirmed(), r.Intent.Execution, r.Intent.At.Format(time.RFC3339), r.Intent)
	}
	fmt.Fprintf(&b, "next        an event from %s would %s\n", r.Record.System, r.Next)
	if r.PartnerNext != nil {
		fmt.Fprintf(&b, "            an event from %s would %s\n", r.Record.System.Other(), r.PartnerNext)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "problem     %s\n", p)
	}
	r.printFields(&b)
	r.printHistory(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// unconfirmed names the write that was begun: nobody works on that of a pair at rest,
// it is remembered for the day on which the pair goes on.
func (r *Report) unconfirmed() string {
	if r.State == string(ledger.Gone) || r.State == string(ledger.Parked) {
		return "unconfirmed"
	}
	return "open write"
}

func (r *Report) printFields(b *strings.Builder) {
	b.WriteString("\nfields (* differs from what both sides agreed on)\n")
	t := tabwriter.NewWriter(b, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "  field\tdirection\thubspot\tdestination\tlast written by")
	for _, f := range r.Fields {
		last := "-"
		if f.Last != nil {
			last = fmt.Sprintf("%s, %s, spec %s", f.Last.Execution, f.Last.At.Format(time.RFC3339), f.Last.Spec)
		}
		if f.Parked != "" {
			last += "; parked: " + f.Parked
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", f.Name, f.Direction, f.HubSpot, f.Destination, last)
	}
	t.Flush()
}

func (r *Report) printHistory(b *strings.Builder) {
	b.WriteString("\noutcomes, newest first\n")
	for _, o := range r.Outcomes {
		fmt.Fprintf(b, "  %s  %-8s %s%s%s\n", o.At.Format(time.RFC3339), o.Kind, o.Execution, because(o.Reason), list(" wrote ", o.Fields))
	}
	if len(r.Conflicts) > 0 {
		b.WriteString("\nconflicts, oldest first\n")
	}
	for _, c := range r.Conflicts {
		fmt.Fprintf(b, "  %s  %s: %s won (%s); lost: %s\n", c.At.Format(time.RFC3339), c.Field, c.Winner, c.Policy, c.Lost())
	}
}

// endings complete "an event would ...".
var endings = map[string]string{
	flow.ActWrite: "be written", flow.ActStamp: "be stamped without a write", flow.ActDrop: "be dropped", "park": "be parked",
	"wait": "wait", "fail": "fail",
}

// String completes the sentence "an event would ...".
func (d Decision) String() string {
	s := cmp.Or(endings[d.Act], d.Act)
	if d.Code != "" {
		s += " with " + d.Code
	}
	s += because(d.Reason)
	if d.Create != "" {
		s += "; create in " + string(d.Create)
	}
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		s += list("; "+string(sys)+": ", d.Writes[sys])
	}
	return s
}

// String shows the value with a star when it differs from the base.
func (v Value) String() string {
	switch {
	case !v.Known:
		return "(not read)"
	case v.Changed:
		return fmt.Sprintf("%q *", v.Text)
	}
	return fmt.Sprintf("%q", v.Text)
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func list(before string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	return before + strings.Join(names, ", ")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
