package spec

import (
	"fmt"
	"slices"
	"strings"
)

// Severity says what a finding means for a deployment.
type Severity string

// The severities.
const (
	// Error: the spec could lose data, loop or not work; it is refused.
	Error Severity = "error"
	// Warning: a person should know and decide; a field's accept silences it.
	Warning Severity = "warning"
	// Note: an explanation of something that is right.
	Note Severity = "note"
)

// Finding is one thing the checker has to say.
type Finding struct {
	Severity Severity `json:"severity"`
	// Code names the kind of finding; accept uses it.
	Code string `json:"code"`
	// Path is where, as in pairs[0].fields[3].formula.
	Path    string `json:"path"`
	Message string `json:"message"`
	// Example is a value's journey, as in prospect -> LEAD -> lead.
	Example string `json:"example,omitempty"`
	// Fix says what to do.
	Fix string `json:"fix,omitempty"`
}

// String spells the finding on one line.
func (f Finding) String() string {
	s := fmt.Sprintf("%s %s: %s: %s", f.Severity, f.Code, f.Path, f.Message)
	if f.Example != "" {
		s += ": " + f.Example
	}
	if f.Fix != "" {
		s += ". " + f.Fix
	}
	return s
}

// Refuses reports whether findings hold an Error, with which nothing may be deployed.
func Refuses(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Severity == Error })
}

// Check decides what spec s does to data: for every two-way field whether it is
// invertible, canonicalising, lossy or refused, and whether matching, triggers,
// deletions and references can work at all. It looks at s only; whether the two
// systems have these properties is another check's question.
func Check(s *Spec) []Finding {
	c := &checker{spec: s}
	c.system()
	c.pairNames()
	for i, p := range s.Pairs {
		pc := &pairChecker{checker: c, pair: p, path: index("pairs", i)}
		pc.object, pc.hasObject = s.Destination.Objects[p.Destination.Object]
		pc.check()
	}
	c.references()
	c.canary()
	c.retention()
	return c.found
}

// checker gathers findings.
type checker struct {
	spec  *Spec
	found []Finding
}

func (c *checker) add(severity Severity, code, path, message, fix string) *Finding {
	c.found = append(c.found, Finding{Severity: severity, Code: code, Path: path, Message: message, Fix: fix})
	return &c.found[len(c.found)-1]
}

func (c *checker) refuse(code, path, message, fix string) *Finding {
	return c.add(Error, code, path, message, fix)
}

func (c *checker) warn(code, path, message, fix string) *Finding {
	return c.add(Warning, code, path, message, fix)
}

// RetentionDays are the days a trace can be kept, of those that CloudWatch knows.
var RetentionDays = []int{1, 3, 5, 7, 14, 30, 60, 90, 180, 365}

// retention refuses what no deployment could keep.
func (c *checker) retention() {
	if days := c.spec.Trace.RetentionDays; days != 0 && !slices.Contains(RetentionDays, days) {
		c.refuse("retention", "trace.retentionDays", fmt.Sprintf("CloudWatch keeps no log for %d days", days),
			"Use one of "+strings.Trim(strings.ReplaceAll(fmt.Sprint(RetentionDays), " ", ", "), "[]"))
	}
}

// pairNames: names and objects identify pairs, so none may stand twice.
func (c *checker) pairNames() {
	seen := map[string]int{}
	for i, p := range c.spec.Pairs {
		for _, key := range []struct{ what, path, value string }{
			{"pair name", "name", p.Name}, {"HubSpot object", "hubspot.object", p.HubSpot.Object}, {"destination object", "destination.object", p.Destination.Object},
		} {
			k := key.what + " " + key.value
			if first, twice := seen[k]; twice {
				c.refuse("duplicate-pair", at(index("pairs", i), key.path), fmt.Sprintf("the %s %s stands in %s already", key.what, key.value, index("pairs", first)),
					"An event is routed by it: put the fields into one pair")
				continue
			}
			seen[k] = i
		}
	}
}

// pairChecker looks at one pair.
type pairChecker struct {
	*checker
	pair      Pair
	path      string
	object    Object // the destination's
	hasObject bool
}

func (c *pairChecker) check() {
	c.calls()
	c.sides()
	c.deletes()
	c.duplicates()
	before := len(c.found)
	for i, f := range c.pair.Fields {
		c.field(f, at(c.path, index("fields", i)))
	}
	c.matches()
	c.accepted(before)
}

// accepted removes the warnings and notes that a field accepts, and reports an
// accept that silences nothing, which would hide a later finding.
func (c *pairChecker) accepted(from int) {
	for i, f := range c.pair.Fields {
		path := at(c.path, index("fields", i))
		for _, code := range f.Accept {
			kept := slices.DeleteFunc(slices.Clone(c.found[from:]), func(g Finding) bool {
				return g.Code == code && g.Severity != Error && c.concerns(g, path, f)
			})
			if len(kept) == len(c.found)-from {
				c.warn("accept-unused", at(path, "accept"), fmt.Sprintf("%q silences no warning here", code), "Remove it")
				continue
			}
			c.found = append(c.found[:from], kept...)
		}
	}
}

// concerns reports whether finding g is about field f at path; one about a match
// is about the field that it names.
func (c *pairChecker) concerns(g Finding, path string, f Field) bool {
	if under(g.Path, path) {
		return true
	}
	for i, m := range c.pair.Match {
		if m.Field == f.Name && under(g.Path, at(c.path, index("match", i))) {
			return true
		}
	}
	return false
}

// under reports whether path is root or below it.
func under(path, root string) bool {
	return path == root || len(path) > len(root) && path[:len(root)] == root && path[len(root)] == '.'
}
