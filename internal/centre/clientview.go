package centre

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/internal/beat"
	"tandem/internal/record"
	"tandem/spec"
)

// clientPage is what the page of one client shows.
type clientPage struct {
	*integration
	Alert    string
	Ways     []wayView
	Handlers []handlerView
	Checks   []beat.Check
	ErrorsBy []share
	Signals  []share
	Recent   []noticeRow
}

// wayView is one direction of a client, summed over its handlers.
type wayView struct {
	Direction spec.Direction
	From, To  string
	Events    int
	Last      time.Time
	Stamped   int
	Dropped   int
	Parked    int
	Dead      int
	P50, P95  time.Duration
	DroppedBy []share
	ParkedBy  []share
	DeadBy    []share
	Console   string
}

// handlerView is one handler's row.
type handlerView struct {
	*State
	Now        time.Time
	Mark       string
	Interval   time.Duration
	EventCount int
	ErrorCount int
	Latency    beat.Sketch // today's
	Events     []int64
	Errors     []int64
	Latencies  []int64
}

// P95 is the latency below which 95 of 100 of the handler's records stayed today.
func (h handlerView) P95() time.Duration { return h.Latency.Quantile(0.95) }

func (c *Centre) clientView(ctx context.Context, client string) (clientPage, error) {
	all, err := c.states(ctx)
	if err != nil {
		return clientPage{}, err
	}
	states := slices.DeleteFunc(slices.Clone(all), func(s *State) bool { return s.Client != client })
	if len(states) == 0 {
		return clientPage{}, ErrUnknown
	}
	recent, err := c.history(ctx, 200)
	if err != nil {
		return clientPage{}, err
	}
	mutes, err := c.mutes(ctx)
	if err != nil {
		return clientPage{}, err
	}
	recent = slices.DeleteFunc(recent, func(n Notice) bool { return n.Client != client })
	now := c.o.Now().UTC()
	v := clientPage{integration: newIntegration(states, now, mutes[client], rivals(client, portals(all, now))), Recent: noticeRows(recent[:min(20, len(recent))], now)}
	v.Alert = strings.TrimSuffix(client+": "+v.State+", "+v.Why, ", ")
	for _, d := range []spec.Direction{spec.ToDestination, spec.ToHubSpot} {
		v.Ways = append(v.Ways, newWay(states, d, now, c.console(client, d)))
	}
	v.addHandlers(states, now)
	return v, nil
}

func (v *clientPage) addHandlers(states []*State, now time.Time) {
	errs, signals := map[string]int{}, map[string]int{}
	for _, s := range states {
		today := s.Day == now.Format(time.DateOnly)
		v.Handlers = append(v.Handlers, newHandler(s, now, today))
		v.Checks = append(v.Checks, s.Checks...)
		if !today {
			continue
		}
		for code, n := range s.Errors {
			errs[string(code)] += n
		}
		for sig, n := range s.Signal {
			signals[string(sig)] += n
		}
	}
	v.ErrorsBy, v.Signals = shares(errs), shares(signals)
}

func newHandler(s *State, now time.Time, today bool) handlerView {
	one := newIntegration([]*State{s}, now, time.Time{}, "")
	h := handlerView{State: s, Now: now, Mark: one.Marks, Interval: time.Duration(s.Interval) * time.Second,
		Events: one.EventsLine, Errors: one.ErrorsLine, Latencies: one.LatencyLine, Latency: one.Latency}
	if today {
		h.EventCount, h.ErrorCount = one.Events, one.Errors
	}
	return h
}

func (v clientPage) way(d spec.Direction) wayView {
	i := slices.IndexFunc(v.Ways, func(w wayView) bool { return w.Direction == d })
	if i < 0 {
		return wayView{Direction: d}
	}
	return v.Ways[i]
}

func newWay(states []*State, d spec.Direction, now time.Time, console string) wayView {
	var sum beat.Way
	out := wayView{Direction: d, From: side(d.Source()), To: side(d.Target()), Console: console}
	for _, s := range states {
		if s.Last[d].After(out.Last) {
			out.Last = s.Last[d]
		}
		if w := s.Ways[d]; w != nil && s.Day == now.Format(time.DateOnly) {
			sum.Merge(*w)
		}
	}
	out.Events, out.P50, out.P95 = sum.Events, sum.Latency.Quantile(0.5), sum.Latency.Quantile(0.95)
	out.Stamped, out.Dropped = sum.Outcomes[beat.Stamped], sum.Outcomes[beat.Dropped]
	out.Parked, out.Dead = sum.Outcomes[beat.Parked], sum.Outcomes[beat.Dead]
	out.DroppedBy, out.ParkedBy, out.DeadBy = causes(sum, beat.Dropped), causes(sum, beat.Parked), causes(sum, beat.Dead)
	return out
}

// side is a system's name as headings write it.
func side(s record.System) string {
	if s == record.HubSpot {
		return "HubSpot"
	}
	return string(s)
}

func causes(w beat.Way, k beat.Kind) []share {
	counts := map[string]int{}
	for _, c := range slices.Sorted(maps.Keys(w.Causes[k])) {
		counts[string(c)] = w.Causes[k][c]
	}
	return shares(counts)
}

// noticeRow is a delivered notice as the pages show it.
type noticeRow struct {
	Notice
	Now  time.Time
	Tone string // bad, good or warn
	Text string
}

func noticeRows(notices []Notice, now time.Time) []noticeRow {
	out := make([]noticeRow, len(notices))
	for i, n := range notices {
		out[i] = noticeRow{Notice: n, Now: now, Tone: tone(n), Text: plain(n)}
	}
	return out
}

func tone(n Notice) string {
	switch {
	case n.State == down || n.State == "ALARM" || n.State == crowded || strings.HasPrefix(string(n.Topic), "dead/") && n.Kind == "count":
		return "bad"
	case n.State == up || n.State == alarmCalm || n.State == alone:
		return "good"
	}
	return "warn"
}

// plain is a notice in one sentence; html/template escapes it.
func plain(n Notice) string {
	switch {
	case n.Kind == "count":
		p := strings.SplitN(string(n.Topic), "/", 3)
		switch p[0] {
		case "dead":
			return count(n.Count, "record") + " dead-lettered: " + p[2] + ", " + p[1]
		case "parked":
			return count(n.Count, "record") + " parked: " + p[2] + ", " + p[1]
		}
		return signalWords(p[2]) + ", " + times(n.Count)
	case n.Count > 1:
		return n.Kind + " " + n.Handler + n.Check + " changed " + times(n.Count) + ", now " + n.State
	case n.Kind == "handler" && n.State == down:
		return n.Handler + " is down: no beat for more than twice its interval"
	case n.Kind == "handler":
		return n.Handler + " beats again"
	case n.Kind == "portal" && n.State == crowded:
		return "two deployments without a common table write to HubSpot portal " + n.Handler
	case n.Kind == "portal":
		return "HubSpot portal " + n.Handler + " has one writer again"
	case n.Kind == "check":
		return strings.TrimSuffix("self-check of "+n.Check+" is "+n.State+" ("+string(n.Topic)+")", " ()")
	}
	return n.Kind + " " + n.Handler + " is " + n.State
}
