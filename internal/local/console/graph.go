package console

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"tandem/internal/asl"
	"tandem/internal/local/engine"
)

// graph is a machine drawn for one execution: boxes in three columns, the usual
// way in the middle, the ways back to it on the left, the other ends on the right.
type graph struct {
	Width, Height               int
	BoxWidth, BoxHeight, Middle int
	trace                       *engine.Trace
	Boxes                       []box
	Lines                       []line
}

type box struct {
	Name, Type string
	X, Y       int
	// Result is a word for what became of the state; Class colours it.
	Result, Class string
	Link          string // the anchor of its last visit, "" when it was not entered
}

type line struct {
	Path  string
	Taken bool
	Label string
}

const (
	boxWidth, boxHeight  = 148, 44
	columnGap, rowHeight = 64, 68
	margin               = 36 // for lines outside the outer columns
)

// draw lays out the machine and colours it by what the execution did.
func draw(m *asl.Machine, t *engine.Trace) graph {
	states := m.Graph()
	at := place(states)
	g := graph{Width: 3*boxWidth + 2*columnGap + 2*margin, BoxWidth: boxWidth, BoxHeight: boxHeight, Middle: boxWidth / 2, trace: t}
	for _, s := range states {
		p := at[s.Name]
		b := box{Name: s.Name, Type: s.Type, X: p[0] * (boxWidth + columnGap), Y: p[1] * rowHeight}
		b.Result, b.Class, b.Link = result(s.Name, t)
		g.Boxes = append(g.Boxes, b)
		g.Height = max(g.Height, b.Y+boxHeight)
	}
	g.Height += 16
	taken := map[[2]string]bool{}
	for i := 1; i < len(t.Steps); i++ {
		taken[[2]string{t.Steps[i-1].State, t.Steps[i].State}] = true
	}
	drawn := map[[2]string]bool{}
	for _, s := range states {
		for _, way := range s.Ways {
			key := [2]string{s.Name, way.To}
			if !drawn[key] {
				g.Lines = append(g.Lines, line{Path: curve(at[s.Name], at[way.To]), Taken: taken[key], Label: s.Name + " to " + way.To + ": " + way.Label})
			}
			drawn[key] = true
		}
	}
	return g
}

// place gives each state a column and a row.
func place(states []asl.State) map[string][2]int {
	byName := map[string]asl.State{}
	for _, s := range states {
		byName[s.Name] = s
	}
	at := map[string][2]int{}
	row := 0
	for name := states[0].Name; ; row++ {
		at[name] = [2]int{1, row}
		next := usual(byName[name])
		if _, again := at[next]; next == "" || again {
			break
		}
		name = next
	}
	main := len(at)
	next := map[int]int{0: main / 2, 2: 1}
	for _, s := range states {
		if _, placed := at[s.Name]; placed {
			continue
		}
		column := 2
		if leads(byName, s.Name, states[0].Ways[0].To, map[string]bool{}) {
			column = 0
		}
		at[s.Name] = [2]int{column, next[column]}
		next[column]++
	}
	return at
}

// usual is the state that follows when nothing fails, "" where the machine ends.
func usual(s asl.State) string {
	for _, w := range s.Ways {
		if w.Label == "next" || w.Label == "default" || strings.HasPrefix(w.Label, "rule ") {
			return w.To
		}
	}
	return ""
}

// leads reports whether a state can be followed to another.
func leads(byName map[string]asl.State, from, to string, seen map[string]bool) bool {
	if from == to {
		return true
	}
	seen[from] = true
	for _, w := range byName[from].Ways {
		if !seen[w.To] && leads(byName, w.To, to, seen) {
			return true
		}
	}
	return false
}

// curve is the SVG path between two boxes: straight down within a column, else
// from one side to the other.
func curve(from, to [2]int) string {
	x := func(p [2]int) int { return p[0] * (boxWidth + columnGap) }
	y := func(p [2]int) int { return p[1] * rowHeight }
	if from[0] == to[0] && to[1] == from[1]+1 {
		return fmt.Sprintf("M%d %d V%d", x(from)+boxWidth/2, y(from)+boxHeight, y(to)-6)
	}
	x1, x2, bend := x(from)+boxWidth, x(to)-6, 40
	if to[0] < from[0] || to[0] == from[0] && from[0] == 0 {
		x1, x2, bend = x(from), x(to)+boxWidth+6, -40
	}
	if to[0] == from[0] {
		x2 = x1 + 6*sign(bend)
	}
	y1, y2 := y(from)+boxHeight/2, y(to)+boxHeight/2
	return fmt.Sprintf("M%d %d C%d %d %d %d %d %d", x1, y1, x1+bend, y1, x2-bend*same(from, to), y2, x2, y2)
}

func sign(n int) int {
	if n < 0 {
		return -1
	}
	return 1
}

// same bends both ends of a line within one column to the same side.
func same(from, to [2]int) int {
	if from[0] == to[0] {
		return -1
	}
	return 1
}

// result says what became of a state: of its last visit, with the number of
// visits and attempts where there was more than one.
func result(name string, t *engine.Trace) (word, class, link string) {
	visits := 0
	for i, s := range t.Steps {
		if s.State != name {
			continue
		}
		visits++
		link = fmt.Sprintf("#step-%d", i+1)
		word, class = verdict(s, t.Status == engine.Running, i == len(t.Steps)-1)
		if len(s.Attempts) > 1 {
			word += fmt.Sprintf(", %d attempts", len(s.Attempts))
		}
	}
	switch {
	case visits == 0:
		return "not entered", "idle", ""
	case visits > 1:
		word += fmt.Sprintf(", %d visits", visits)
	}
	return word, class, link
}

// verdict is the word and the class of one visit.
func verdict(s engine.Step, running, last bool) (word, class string) {
	switch {
	case running && last:
		return "running", "running"
	case s.Type == "Fail" || s.Error != "" && s.Next == "":
		return "failed", "failed"
	case s.Error != "":
		return "caught " + s.Error, "caught"
	}
	return "succeeded", "succeeded"
}

// Verdict is the word for one step, for the list below the graph.
func (g graph) Verdict(s engine.Step) string {
	word, _ := verdict(s, false, false)
	return word
}

// Class is the colour of one step.
func (g graph) Class(s engine.Step) string {
	_, class := verdict(s, false, false)
	return class
}

// Bar draws when a step ran within its execution, so that waiting shows.
func (g graph) Bar(s engine.Step) template.HTML {
	total := g.trace.Duration()
	if total <= 0 || s.End.IsZero() {
		return ""
	}
	const wide = 1000
	part := func(d time.Duration) int { return int(min(wide, max(0, wide*d/total))) }
	x := min(part(s.Start.Sub(g.trace.Start)), wide-8)
	return template.HTML(fmt.Sprintf(`<svg class="bar" viewBox="0 0 %d 6" preserveAspectRatio="none" aria-hidden="true"><rect x="%d" width="%d" height="6"/></svg>`,
		wide, x, max(8, min(part(s.End.Sub(s.Start)), wide-x)))) // numbers only
}
