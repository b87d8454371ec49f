package centre

import (
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"time"
)

// age says how long ago t was, in its two largest units at most.
func age(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return span(max(0, now.Sub(t)))
}

func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 10*time.Minute && d%time.Minute >= time.Second:
		return fmt.Sprintf("%d m %02d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < time.Hour:
		return fmt.Sprintf("%d m", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %02d m", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d", int(d.Hours())/24)
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// num groups digits by three with narrow spaces.
func num(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// dollars are whole cents, and of less than ten cents what there is of them.
func dollars(micros int64) string {
	if micros > 0 && micros < 100_000 {
		return fmt.Sprintf("$%.4f", float64(micros)/1e6)
	}
	return fmt.Sprintf("$%.2f", float64(micros)/1e6)
}

func millis(d time.Duration) string {
	switch {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return strconv.Itoa(int(d.Seconds())) + " s"
}

// tally is num, with a zero set back so that the rest stands out.
func tally(n int) template.HTML {
	if n == 0 {
		return `<s>0</s>`
	}
	return template.HTML(num(n)) // digits and spaces
}

// words turns a code of the closed sets into a caption.
func words(s string) string { return strings.ReplaceAll(s, "-", " ") }

// events shortens a list of event ids, which a burst makes long.
func events(ids string) string {
	all := strings.Fields(ids)
	if len(all) <= 3 {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:2], ", "), len(all)-2)
}

const sparkHeight = 16

// spark draws a series as an inline SVG of lines, scaled to its own maximum; the
// numbers stand beside it, so it is hidden from screen readers. kind is the CSS
// class: e for errors, l for latency, v for events.
func spark(kind string, values []int64) template.HTML {
	top := max(0, slices.Max(values))
	const step = 2
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="s %s" viewBox="0 0 %d %d" aria-hidden=true>`, template.HTMLEscapeString(kind), step*(len(values)-1), sparkHeight)
	if top == 0 { // nothing happened: an empty picture keeps the columns aligned
		return template.HTML(b.String() + "</svg>")
	}
	b.WriteString(`<path d="`)
	last, run := int64(0), 0
	for i, v := range values {
		y := sparkHeight - 1 - v*(sparkHeight-2)/top
		switch {
		case i == 0:
			fmt.Fprintf(&b, "M0 %d", y)
		case y == last:
			run++ // a level stretch is one command however long it is
		default:
			level(&b, step*run)
			fmt.Fprintf(&b, "l%d %d", step, y-last)
			run = 0
		}
		last = y
	}
	level(&b, step*run)
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String()) // numbers and an escaped class
}

func level(b *strings.Builder, n int) {
	if n > 0 {
		fmt.Fprintf(b, "h%d", n)
	}
}

// bar draws the share of n in total; the number stands beside it.
func bar(n, total int) template.HTML {
	w := 0
	if total > 0 {
		w = min(100, max(1, n*100/total))
	}
	return template.HTML(fmt.Sprintf(`<svg class=bar viewBox="0 0 100 8" preserveAspectRatio=none aria-hidden=true><rect width="%d" height="8"/></svg>`, w))
}

// marks draws one mark per handler: u up, d down (a gap above it, so that shape
// tells as well as colour), i idle.
func marks(letters string) template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class=m viewBox="0 0 %d 10" width="%d" height=10 aria-hidden=true>`, 5*len(letters), 5*len(letters))
	for _, kind := range []struct {
		letter rune
		y, h   int
	}{{'u', 0, 10}, {'d', 6, 4}, {'i', 4, 2}} {
		var path strings.Builder
		for i, l := range letters {
			if l == kind.letter {
				fmt.Fprintf(&path, "M%d %dh3v%dh-3z", 5*i, kind.y, kind.h)
			}
		}
		if path.Len() > 0 {
			fmt.Fprintf(&b, `<path class=%c d="%s"/>`, kind.letter, path.String())
		}
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) // numbers and three letters
}

// pct is n in total, in percent.
func pct(n, total int) int {
	if total == 0 {
		return 0
	}
	return n * 100 / total
}
