package centre

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/internal/beat"
	"tandem/internal/table"
	"tandem/spec"
)

// The three conditions of an integration, worst first.
const (
	isBroken    = "down"
	isAttention = "attention"
	isLive      = "live"
)

// sparkPoints of two minutes each make the last hour.
const sparkPoints = ringMinutes / 2

// fleet is what the overview shows.
type fleet struct {
	Now          time.Time
	WatchRan     time.Time
	Total        int
	Broken       int
	Attention    int
	Live         int
	Events       int
	Dead         int // today
	Waiting      int // dead letters that wait now, as far as that is known
	Cost         int64
	Dropped      []share
	DeadBy       []share
	Errors       []share
	Integrations []*integration
	Recent       []noticeRow
	Query, Show  string
}

// integration sums the handlers of one client.
type integration struct {
	Client   string
	Now      time.Time
	State    string
	Why      string // why it is not simply live
	Muted    time.Time
	Rival    string // who else writes to its portal
	Handlers []*State
	Marks    string // one letter a handler: u up, d down, i idle
	Up, Beat int    // handlers that promise beats and are up, that promise
	Oldest   *State // of those that promise, the one nearest to (or furthest over) its limit
	Events   int
	Outcomes map[beat.Kind]int
	// Waiting is how many dead letters wait for a person, -1 when nobody has looked.
	Waiting int
	Errors  int
	Last    map[spec.Direction]time.Time
	Latency beat.Sketch
	API     *beat.API
	apiAt   time.Time
	Cost    int64

	EventsLine, ErrorsLine, LatencyLine []int64
}

// fleet reads everything and sums it up by client.
func (c *Centre) fleet(ctx context.Context) (*fleet, error) {
	states, err := c.states(ctx)
	if err != nil {
		return nil, err
	}
	items, err := c.o.Table.Get(ctx, table.Key{PK: pkWatch, SK: skRan})
	if err != nil {
		return nil, err
	}
	recent, err := c.history(ctx, 8)
	if err != nil {
		return nil, err
	}
	mutes, err := c.mutes(ctx)
	if err != nil {
		return nil, err
	}
	f := &fleet{Now: c.o.Now().UTC()}
	if err := decode(items[0], &f.WatchRan); err != nil {
		return nil, err
	}
	f.Recent = noticeRows(recent, f.Now)
	f.add(states, mutes)
	return f, nil
}

// mutes reads until when each client's notices are kept back.
func (c *Centre) mutes(ctx context.Context) (map[string]time.Time, error) {
	items, err := c.o.Table.Query(ctx, pkWatch, "mute#", 1000)
	out := map[string]time.Time{}
	for _, it := range items {
		client, ok := strings.CutPrefix(it.SK, "mute#")
		if !ok {
			break
		}
		out[client] = mutedUntil(map[string]table.Item{it.SK: it}, client)
	}
	return out, err
}

func (f *fleet) add(states []*State, mutes map[string]time.Time) {
	all := portals(states, f.Now)
	dropped, dead, errs := map[string]int{}, map[string]int{}, map[string]int{}
	for start := 0; start < len(states); {
		end := start + 1
		for end < len(states) && states[end].Client == states[start].Client {
			end++
		}
		in := newIntegration(states[start:end], f.Now, mutes[states[start].Client], rivals(states[start].Client, all))
		f.Integrations = append(f.Integrations, in)
		f.count(in)
		start = end
	}
	for _, s := range states {
		if s.Day != f.Now.Format(time.DateOnly) {
			continue
		}
		for _, w := range s.Ways {
			addCauses(dropped, w.Causes[beat.Dropped])
			addCauses(dead, w.Causes[beat.Dead])
		}
		for code, n := range s.Errors {
			errs[string(code)] += n
		}
	}
	f.Dropped, f.DeadBy, f.Errors = shares(dropped), shares(dead), shares(errs)
	slices.SortStableFunc(f.Integrations, func(a, b *integration) int { return rank(a.State) - rank(b.State) })
}

func (f *fleet) count(in *integration) {
	f.Total++
	switch in.State {
	case isBroken:
		f.Broken++
	case isAttention:
		f.Attention++
	default:
		f.Live++
	}
	f.Events += in.Events
	f.Dead += in.Outcomes[beat.Dead]
	f.Waiting += max(0, in.Waiting)
	f.Cost += in.Cost
}

func rank(state string) int { return slices.Index([]string{isBroken, isAttention, isLive}, state) }

// Summary is the sentence screen readers hear when it changes.
func (f *fleet) Summary() string {
	return fmt.Sprintf("%d integrations: %d down, %d need attention, %d live", f.Total, f.Broken, f.Attention, f.Live)
}

// filter keeps the integrations whose name holds q and whose state is show.
func (f *fleet) filter(q, show string) {
	f.Query, f.Show = q, show
	f.Integrations = slices.DeleteFunc(f.Integrations, func(in *integration) bool {
		return !strings.Contains(in.Client, strings.ToLower(strings.TrimSpace(q))) || rank(show) >= 0 && in.State != show
	})
}

func newIntegration(states []*State, now, muted time.Time, rival string) *integration {
	in := &integration{Rival: rival, Waiting: -1, Client: states[0].Client, Now: now, Handlers: states, Outcomes: map[beat.Kind]int{}, Last: map[spec.Direction]time.Time{},
		EventsLine: make([]int64, sparkPoints), ErrorsLine: make([]int64, sparkPoints), LatencyLine: make([]int64, sparkPoints)}
	if muted.After(now) {
		in.Muted = muted
	}
	for _, s := range states {
		in.add(s)
	}
	in.judge()
	return in
}

func (in *integration) add(s *State) {
	in.addBeat(s)
	in.addRing(s)
	for d, t := range s.Last {
		if t.After(in.Last[d]) {
			in.Last[d] = t
		}
	}
	if s.Waiting != nil {
		in.Waiting = max(0, in.Waiting) + *s.Waiting
	}
	if s.API != nil && s.APIAt.After(in.apiAt) {
		in.API, in.apiAt = s.API, s.APIAt
	}
	if s.Month == in.Now.Format("2006-01") {
		in.Cost += s.Cost
	}
	if s.Day != in.Now.Format(time.DateOnly) {
		return
	}
	for _, w := range s.Ways {
		in.Events += w.Events
		in.Latency.Merge(w.Latency)
		for k, n := range w.Outcomes {
			in.Outcomes[k] += n
		}
	}
	for _, n := range s.Errors {
		in.Errors += n
	}
}

func (in *integration) addBeat(s *State) {
	switch {
	case s.Interval == 0:
		in.Marks += "i"
		return
	case isDown(s, in.Now):
		in.Marks += "d"
	default:
		in.Marks += "u"
		in.Up++
	}
	in.Beat++
	if in.Oldest == nil || overdue(s, in.Now) > overdue(in.Oldest, in.Now) {
		in.Oldest = s
	}
}

// overdue is a beat's age in intervals.
func overdue(s *State, now time.Time) float64 {
	return now.Sub(s.LastBeat).Seconds() / float64(s.Interval)
}

func (in *integration) addRing(s *State) {
	first := in.Now.Unix()/60 - ringMinutes + 1
	for _, m := range s.Ring {
		i := m[0] - first
		if i < 0 || i >= ringMinutes {
			continue
		}
		in.EventsLine[i/2] += m[1]
		in.ErrorsLine[i/2] += m[2]
		in.LatencyLine[i/2] = max(in.LatencyLine[i/2], m[3])
	}
}

// judge decides the state and says why.
func (in *integration) judge() {
	in.State = isLive
	var why []string
	if in.Rival != "" {
		why = append(why, in.Rival)
	}
	for _, s := range in.Handlers {
		for _, ch := range s.Checks {
			if !ch.OK {
				why = append(why, "self-check: "+words(ch.Name))
			}
		}
		if s.Day == in.Now.Format(time.DateOnly) {
			for _, sig := range slices.Sorted(maps.Keys(s.Signal)) {
				why = append(why, words(string(sig)))
			}
		}
	}
	// One that was redriven or removed needs nobody any more.
	if in.Waiting > 0 {
		why = append(why, count(in.Waiting, "dead letter")+" waiting")
	} else if n := in.Outcomes[beat.Dead]; n > 0 && in.Waiting < 0 {
		why = append(why, count(n, "dead letter"))
	}
	if n := in.Outcomes[beat.Parked]; n > 0 {
		why = append(why, fmt.Sprintf("%d parked", n))
	}
	if in.API != nil && in.API.Limit > 0 && in.API.Used*10 >= in.API.Limit*9 {
		why = append(why, "API budget nearly used up")
	}
	if len(why) > 0 {
		in.State = isAttention
	}
	if in.Up < in.Beat {
		in.State = isBroken
		why = append([]string{fmt.Sprintf("%d of %d silent", in.Beat-in.Up, in.Beat)}, why...)
	}
	in.Why = strings.Join(slices.Compact(why), ", ")
}

// Count is how many of today's records ended in this kind of outcome.
func (in *integration) Count(kind string) int { return in.Outcomes[beat.Kind(kind)] }

// LastOf is how long ago a direction's last event came.
func (in *integration) LastOf(direction string) string {
	return age(in.Now, in.Last[spec.Direction(direction)])
}

// Limit is the interval of the oldest beat, in words.
func (in *integration) Limit() string { return span(time.Duration(in.Oldest.Interval) * time.Second) }

// P50 and P95 are today's, 0 without outcomes.
func (in *integration) P50() time.Duration { return in.Latency.Quantile(0.5) }

// P95 is the latency below which 95 of 100 of today's records stayed.
func (in *integration) P95() time.Duration { return in.Latency.Quantile(0.95) }

// Budget is the share of HubSpot's daily budget that is used, in percent, -1 when unknown.
func (in *integration) Budget() int {
	if in.API == nil || in.API.Limit == 0 {
		return -1
	}
	return in.API.Used * 100 / in.API.Limit
}
