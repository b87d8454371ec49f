package asl

import (
	"fmt"
	"slices"
	"strings"
)

// edge is a way from a state to another.
type edge struct {
	to    *state
	label string // why it is taken: "next", the errors caught, "rule 1", "default"
}

// edges lists the ways out of a state, the normal one first.
func edges(s *state) (out []edge) {
	add := func(to *state, label string) {
		if to != nil {
			out = append(out, edge{to, label})
		}
	}
	switch b := s.body.(type) {
	case *task:
		add(b.next, "next")
		for _, c := range b.catch {
			add(c.next, strings.Join(c.errors, ", "))
		}
	case *choice:
		for i, r := range b.rules {
			add(r.next, fmt.Sprintf("rule %d", i+1))
		}
		add(b.fallback, "default")
	case *wait:
		add(b.next, "next")
	case *pass:
		add(b.next, "next")
	}
	return out
}

// ends tells whether an execution can end in a state without an error of its own.
func ends(s *state) bool {
	switch b := s.body.(type) {
	case *task:
		return b.next == nil
	case *wait:
		return b.next == nil
	case *pass:
		return b.next == nil
	case *choice:
		return false
	}
	return true
}

// reach is the set of states that can be entered from one, itself included.
func reach(from *state) map[*state]bool {
	seen := map[*state]bool{from: true}
	for todo := []*state{from}; len(todo) > 0; {
		s := todo[0]
		todo = todo[1:]
		for _, e := range edges(s) {
			if !seen[e.to] {
				seen[e.to] = true
				todo = append(todo, e.to)
			}
		}
	}
	return seen
}

// State is what a definition says about one state, for pages that draw it.
type State struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Comment string `json:"comment,omitempty"`
	// Resource is set for a Task.
	Resource string `json:"resource,omitempty"`
	Ways     []Way  `json:"ways,omitempty"`
}

// Way leads from a state to another.
type Way struct {
	To string `json:"to"`
	// Label is why it is taken: next, the names of the errors caught, rule n, default.
	Label string `json:"label"`
}

// Graph lists the states with the ways between them, in the order of the file.
func (m *Machine) Graph() []State {
	out := make([]State, 0, len(m.states))
	for _, s := range m.states {
		g := State{Name: s.name, Type: s.kind, Comment: s.comment}
		if t, ok := s.body.(*task); ok {
			g.Resource = t.resource
		}
		for _, e := range edges(s) {
			g.Ways = append(g.Ways, Way{e.to.name, e.label})
		}
		out = append(out, g)
	}
	return out
}

// Mermaid draws the machine as the text of a Mermaid flow chart, with the
// states of a path marked.
func (m *Machine) Mermaid(path []string) string {
	var b strings.Builder
	b.WriteString("flowchart TD\n")
	for _, s := range m.states {
		fmt.Fprintf(&b, "  s%d[\"%s\"]\n", s.at, mermaidText(s.name))
		for _, e := range edges(s) {
			fmt.Fprintf(&b, "  s%d -->|\"%s\"| s%d\n", s.at, mermaidText(e.label), e.to.at)
		}
		if slices.Contains(path, s.name) {
			fmt.Fprintf(&b, "  style s%d stroke-width:3px\n", s.at)
		}
	}
	return b.String()
}

// mermaidText escapes what would end a quoted label.
func mermaidText(s string) string {
	return strings.NewReplacer(`"`, "#quot;", "\n", " ").Replace(s)
}
