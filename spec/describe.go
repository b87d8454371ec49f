package spec

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"tandem/internal/formula"
	"tandem/internal/logic"
	"tandem/internal/record"
)

// Describe writes the mapping document of s in Markdown, with a Mermaid diagram:
// what a client reads and agrees to. What is lossy or travels one way only is in
// bold, and each of the checker's findings stands at its pair.
func Describe(s *Spec, w io.Writer) error {
	d := &document{spec: s, findings: Check(s)}
	d.line("# %s: HubSpot and %s", s.Client, s.Destination.Name)
	d.line("\nGenerated from `%s` (version %s); edit that file, not this one.\n", FileName, s.Hash)
	d.diagram()
	for i, p := range s.Pairs {
		d.pair(p, index("pairs", i))
	}
	d.general()
	d.formulas()
	_, err := w.Write(d.Bytes())
	return err
}

// document is the text so far.
type document struct {
	bytes.Buffer
	spec     *Spec
	findings []Finding
}

func (d *document) line(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

// diagram draws the pairs and how each side's changes are noticed.
func (d *document) diagram() {
	d.line("```mermaid\nflowchart LR\n  subgraph HubSpot")
	for i, p := range d.spec.Pairs {
		d.line("    h%d[%q]", i, p.HubSpot.Object)
	}
	d.line("  end\n  subgraph destination[%q]", d.spec.Destination.Name)
	for i, p := range d.spec.Pairs {
		d.line("    d%d[%q]", i, p.Destination.Object)
	}
	d.line("  end")
	for i, p := range d.spec.Pairs {
		if n := travelling(p, ToDestination); n > 0 {
			d.line("  h%d -->|%s, %s| d%d", i, trigger(p.HubSpot), fieldCount(n), i)
		}
		if n := travelling(p, ToHubSpot); n > 0 {
			d.line("  d%d -->|%s, %s| h%d", i, trigger(p.Destination), fieldCount(n), i)
		}
	}
	d.line("```\n")
}

func fieldCount(n int) string {
	if n == 1 {
		return "1 field"
	}
	return fmt.Sprintf("%d fields", n)
}

func travelling(p Pair, way Direction) (n int) {
	for _, f := range p.Fields {
		if f.Travels(way) {
			n++
		}
	}
	return n
}

func trigger(s Side) string {
	if s.Trigger == "poll" {
		return "every " + strings.Replace(s.Every.String(), "m0s", "m", 1)
	}
	return "webhook"
}

// pair writes one pair's section.
func (d *document) pair(p Pair, path string) {
	d.line("## %s: %s and %s\n", p.Name, p.HubSpot.Object, p.Destination.Object)
	d.line("- Same record: %s", matchText(p))
	d.line("- Noticed by: HubSpot %s, %s %s", trigger(p.HubSpot), d.spec.Destination.Name, trigger(p.Destination))
	d.line("- Deleted in HubSpot: %s. Deleted in %s: %s.", deletion(p.Deletes.HubSpot), d.spec.Destination.Name, deletion(p.Deletes.Destination))
	d.line("- The other side's id is kept in: HubSpot %s, %s %s\n", code(p.HubSpot.ExternalID), d.spec.Destination.Name, code(p.Destination.ExternalID))
	d.line("| field | HubSpot | | %s | formula | both changed | there and back |\n|---|---|---|---|---|---|---|", cell(d.spec.Destination.Name))
	for _, f := range p.Fields {
		d.field(p, f)
	}
	d.line("")
	for _, f := range p.Fields {
		d.tables(f)
	}
	d.remarks(path)
}

func matchText(p Pair) string {
	var names []string
	for _, m := range p.Match {
		names = append(names, m.Field)
	}
	if len(names) == 0 {
		return "never recognised; only links that Tandem made itself"
	}
	return "equal " + strings.Join(names, ", else equal ") + " (blank matches nothing)"
}

func deletion(rule string) string {
	switch rule {
	case "archive":
		return "deleted on the other side too"
	case "ignore":
		return "nothing happens"
	}
	return "a person is asked"
}

// field writes one row.
func (d *document) field(p Pair, f Field) {
	j := p.Judge(f)
	verdict := string(j.Verdict)
	if slices.Contains([]Verdict{Lossy, OneWay, Refused}, j.Verdict) {
		verdict = "**" + verdict + "**"
	}
	if f.Sensitive {
		verdict += ", sensitive"
	}
	d.line("| %s | %s | %s | %s | %s | %s | %s |", cell(f.Name), side(f.HubSpot), arrow(f), side(f.Destination), formulaText(f), policyText(f), verdict)
}

func arrow(f Field) string {
	switch f.Direction {
	case OnlyDestination:
		return "→"
	case OnlyHubSpot:
		return "←"
	}
	return "⇄"
}

// side describes one property.
func side(p Prop) string {
	s := code(p.Property) + " " + string(typeOf(p))
	if p.Type == record.Reference {
		s += " to " + p.Pair
	}
	if p.MaxLength > 0 {
		s += fmt.Sprintf(", at most %d", p.MaxLength)
	}
	return s
}

func formulaText(f Field) string {
	s := oneFormula(f.Formula)
	if f.Reverse != nil {
		s += ", back " + oneFormula(f.Reverse)
	}
	return s
}

func oneFormula(f *Formula) string {
	switch kind := f.Kind(); kind {
	case "null":
		return "copy"
	case "concat":
		return "concat " + code(strings.Join(f.Concat, ""))
	case Logic:
		return "logic " + code(f.Logic)
	default:
		return kind
	}
}

// policyText says who wins; a field that travels one way has no conflicts.
func policyText(f Field) string {
	switch {
	case f.Direction == OnlyDestination || f.Direction == OnlyHubSpot:
		return ""
	case f.newestWins():
		return "the newest wins"
	case f.Policy == PolicyHubSpot:
		return "HubSpot wins"
	}
	return "the destination wins"
}

// tables lists the entries of the field's enumMaps.
func (d *document) tables(f Field) {
	for _, t := range []struct {
		formula *Formula
		what    string
	}{{f.Formula, "becomes"}, {f.Reverse, "comes back as"}} {
		if t.formula.Kind() != "enumMap" {
			continue
		}
		var entries []string
		for _, from := range slices.Sorted(maps.Keys(t.formula.EnumMap)) {
			entries = append(entries, code(from)+" "+t.what+" "+code(t.formula.EnumMap[from]))
		}
		d.line("%s: %s. Any other value is refused.\n", f.Name, strings.Join(entries, ", "))
	}
}

// remarks lists the findings about what stands at path.
func (d *document) remarks(path string) {
	n := 0
	for _, f := range d.findings {
		if under(f.Path, path) {
			d.line("- %s", remark(f))
			n++
		}
	}
	if n > 0 {
		d.line("")
	}
}

func remark(f Finding) string {
	s := fmt.Sprintf("%s `%s` at `%s`: %s", f.Severity, f.Code, f.Path, f.Message)
	if f.Example != "" {
		s += ": `" + f.Example + "`"
	}
	return s + "."
}

// general lists findings that are about no pair.
func (d *document) general() {
	var rest []string
	if c := d.spec.Canary; c != nil {
		rest = append(rest, fmt.Sprintf("- The %s record `%s` is written by every scheduled beat, to see that data flows.", c.Pair, c.Record))
	}
	for _, f := range d.findings {
		if !strings.HasPrefix(f.Path, "pairs[") {
			rest = append(rest, "- "+remark(f))
		}
	}
	if len(rest) > 0 {
		d.line("## The systems\n\n%s\n", strings.Join(rest, "\n"))
	}
}

// formulas explains the formulas that this spec uses.
func (d *document) formulas() {
	used := map[string]bool{}
	for _, p := range d.spec.Pairs {
		for _, f := range p.Fields {
			for _, g := range []*Formula{f.Formula, f.Reverse} {
				used[g.Kind()] = true
				if g.Kind() == Logic {
					used[Logic+" "+g.Logic] = true
				}
			}
		}
	}
	d.line("## The formulas used here\n")
	for _, f := range formula.All() {
		if used[f.Name] {
			d.line("- **%s**: %s", f.Name, f.Doc)
		}
	}
	for _, name := range logic.Names() {
		if fn, _ := logic.ByName(name); used[Logic+" "+name] {
			d.line("- **%s** (hand-written): %s", name, fn.Doc)
		}
	}
}

// code sets a name in code type, a dash for none.
func code(s string) string {
	if s == "" {
		return "-"
	}
	return "`" + cell(s) + "`"
}

// cell keeps a text from ending a table's cell.
func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "`", "'").Replace(s)
}
