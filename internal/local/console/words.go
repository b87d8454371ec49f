package console

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"strings"
	"time"

	"tandem/internal/record"
	"tandem/spec"
)

// pretty indents JSON for reading.
func pretty(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return string(raw)
	}
	return b.String()
}

func milliseconds(d time.Duration) string {
	switch {
	case d < time.Microsecond:
		return "< 1 µs"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// clock shows an instant; the machine-readable form is in the datetime attribute.
func clock(t time.Time) template.HTML { return instant(t, "2006-01-02 15:04:05.000") }

// when is clock without the date for instants of today.
func when(t time.Time) template.HTML {
	if t.Local().Format(time.DateOnly) == time.Now().Format(time.DateOnly) {
		return instant(t, "15:04:05.000")
	}
	return instant(t, time.DateTime)
}

func instant(t time.Time, layout string) template.HTML {
	if t.IsZero() {
		return "–"
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time>`, t.UTC().Format(time.RFC3339Nano), t.Local().Format(layout)))
}

// side is a system as people call it.
func (c *console) side(s record.System) string {
	if s == record.HubSpot {
		return "HubSpot"
	}
	return cmp.Or(c.Spec.Destination.Name, "destination")
}

func (c *console) way(d spec.Direction) string {
	return c.side(d.Source()) + " → " + c.side(d.Target())
}

func travels(direction string) string {
	switch direction {
	case spec.OnlyDestination:
		return "to the destination only"
	case spec.OnlyHubSpot:
		return "to HubSpot only"
	}
	return "both ways"
}

// wins is a conflict policy in words.
func (c *console) wins(policy string) string {
	if policy == spec.PolicyNewest {
		return "newest wins"
	}
	return c.side(record.System(policy)) + " wins"
}

// events lists the ids a sender gave, the first two in full.
func events(ids []string) string {
	const shown = 2
	if len(ids) == 1 {
		return "event " + ids[0]
	}
	if len(ids) <= shown+1 {
		return "events " + strings.Join(ids, ", ")
	}
	return fmt.Sprintf("events %s and %d more", strings.Join(ids[:shown], ", "), len(ids)-shown)
}
