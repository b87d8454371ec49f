package centre

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/internal/beat"
)

// group is what notices of one client become: one section of a message.
type group struct {
	client     string
	directions []string
	lines      []string
}

// compose sums notices up in one message: a header with the worst first, one
// section per client, links at the end. Equal counts of several handlers are
// added; a hundred silent handlers of one client are one line.
func compose(notices []Notice, o Options) Message {
	groups := byClient(notices)
	title := headline(notices)
	m := Message{Text: escape(title), Blocks: []Block{header(title)}}
	for i, g := range groups {
		if len(m.Blocks) == maxBlocks-2 {
			m.Blocks = append(m.Blocks, section(fmt.Sprintf("and %d more integrations: see the dashboard", len(groups)-i)))
			break
		}
		m.Blocks = append(m.Blocks, section(text(g, o)))
	}
	if o.URL != "" {
		m.Blocks = append(m.Blocks, contextBlock(link(o.URL, "All integrations")))
	}
	return m
}

func byClient(notices []Notice) []group {
	clients := map[string][]Notice{}
	for _, n := range notices {
		clients[n.Client] = append(clients[n.Client], n)
	}
	var out []group
	for _, client := range slices.Sorted(maps.Keys(clients)) {
		out = append(out, group{client, directions(clients[client]), lines(clients[client])})
	}
	return out
}

func directions(notices []Notice) []string {
	var out []string
	for _, n := range notices {
		if n.Direction != "" && !slices.Contains(out, n.Direction) {
			out = append(out, n.Direction)
		}
	}
	return out
}

// text keeps whole lines within a section's limit, and says how many it left
// out; cutting through a line could cut an escape or a link in two.
func text(g group, o Options) string {
	var b strings.Builder
	if g.client != "" {
		fmt.Fprintf(&b, "*%s*", escape(g.client))
		if o.URL != "" && g.client != self {
			b.WriteString("  " + link(strings.TrimSuffix(o.URL, "/")+"/c/"+g.client, "dashboard"))
		}
	}
	for _, d := range g.directions {
		if o.Console == nil {
			break
		}
		if address := o.Console(g.client, d); address != "" {
			b.WriteString("  " + link(address, "console: "+d))
		}
	}
	const room = maxText - 100 // for the last line
	for i, l := range g.lines {
		if b.Len()+len(l) > room {
			fmt.Fprintf(&b, "\nand %d more: see the dashboard", len(g.lines)-i)
			break
		}
		b.WriteString("\n" + l)
	}
	return strings.TrimPrefix(b.String(), "\n")
}

func link(address, label string) string { return "<" + escape(address) + "|" + label + ">" }

func lines(notices []Notice) []string {
	var out []string
	counts := map[Topic]int{}
	handlers := map[string][]string{}
	for _, n := range notices {
		switch {
		case n.Kind == "count":
			counts[n.Topic] += n.Count
		case n.Kind == "handler" && n.Count == 1:
			handlers[n.State] = append(handlers[n.State], fmt.Sprintf("`%s`%s", escape(n.Handler), promise(n)))
		default:
			out = append(out, changeLine(n))
		}
	}
	if names := handlers[up]; names != nil {
		out = append([]string{":white_check_mark: beating again: " + strings.Join(names, ", ")}, out...)
	}
	if names := handlers[down]; names != nil {
		out = append([]string{":red_circle: no beat for more than twice the interval: " + strings.Join(names, ", ")}, out...)
	}
	for _, t := range slices.SortedFunc(maps.Keys(counts), func(a, b Topic) int {
		return cmp.Or(counts[b]-counts[a], strings.Compare(string(a), string(b)))
	}) {
		out = append(out, countLine(t, counts[t]))
	}
	return out
}

func promise(n Notice) string {
	if n.State == down && n.Interval > 0 {
		return fmt.Sprintf(" (every %v)", time.Duration(n.Interval)*time.Second)
	}
	return ""
}

func changeLine(n Notice) string {
	what, icon := "`"+escape(n.Handler)+"`", ":large_yellow_circle:"
	switch n.Kind {
	case "check":
		what = "self-check of `" + escape(n.Check) + "`"
		if n.State == down && n.Topic != "" {
			what += " (" + escape(string(n.Topic)) + ")"
		}
	case "portal":
		return portalLine(n)
	case "alarm":
		what = "alarm `" + escape(n.Handler) + "`"
		if n.Link != "" {
			what += " " + link(n.Link, "console")
		}
	}
	switch n.State {
	case down, "ALARM":
		icon = ":red_circle:"
	case up, alarmCalm:
		icon = ":white_check_mark:"
	}
	if n.Count > 1 {
		return fmt.Sprintf(":large_yellow_circle: %s changed %d times, now *%s* since %s UTC", what, n.Count, n.State, n.Since.UTC().Format("15:04"))
	}
	return fmt.Sprintf("%s %s is *%s* since %s UTC", icon, what, n.State, n.Since.UTC().Format("15:04"))
}

func portalLine(n Notice) string {
	if n.State == alone {
		return fmt.Sprintf(":white_check_mark: HubSpot portal %s has one writer again", escape(n.Handler))
	}
	return fmt.Sprintf(":red_circle: two deployments without a common table write to HubSpot portal %s (%s): stop one, they undo each other's work", escape(n.Handler), escape(string(n.Topic)))
}

func countLine(t Topic, n int) string {
	p := strings.SplitN(string(t), "/", 3)
	direction, word := p[1], p[2]
	switch p[0] {
	case "dead":
		return fmt.Sprintf(":red_circle: %s dead-lettered, `%s`, %s", count(n, "record"), escape(word), direction)
	case "parked":
		if word == string(beat.Guard) {
			return fmt.Sprintf(":red_circle: the mass-change guard holds back %s, %s", count(n, "record"), direction)
		}
		return fmt.Sprintf(":large_yellow_circle: %s parked for a person, `%s`, %s", count(n, "record"), escape(word), direction)
	}
	return fmt.Sprintf(":large_yellow_circle: %s, %s", escape(signalWords(word)), times(n))
}

// signalled are the signals in words for a channel.
var signalled = map[beat.Signal]string{
	beat.SignatureRefused: "webhook deliveries refused: their sender did not sign them",
	beat.SealRefused:      "executions refused: not started by our own webhook or poll",
	beat.BeatRefused:      "heartbeats refused: forged, malformed or of an unknown client",
	beat.FieldParked:      "fields parked: both sides kept changing them back and forth",
	beat.DriftFound:       "records found different by the comparison, and brought in step",
	beat.SecondWriter:     "another deployment writes to the same HubSpot portal",
}

func signalWords(s string) string { return cmp.Or(signalled[beat.Signal(s)], words(s)) }

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// headline counts what the message is about, the worst first.
func headline(notices []Notice) string {
	var silent, back, other, records int
	for _, n := range notices {
		switch {
		case n.Kind == "count" && strings.HasPrefix(string(n.Topic), "dead/"):
			records += n.Count
		case n.Kind == "handler" && n.Count == 1 && n.State == down:
			silent++
		case n.Kind == "handler" && n.Count == 1:
			back++
		default:
			other++
		}
	}
	var parts []string
	for _, p := range []struct {
		n    int
		text string
	}{{silent, count(silent, "handler") + " down"}, {records, count(records, "record") + " dead-lettered"},
		{back, count(back, "handler") + " up again"}, {other, count(other, "other notice")}} {
		if p.n > 0 {
			parts = append(parts, p.text)
		}
	}
	return "Tandem: " + strings.Join(parts, ", ")
}
