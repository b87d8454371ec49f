package centre

import (
	"maps"
	"time"

	"tandem/internal/beat"
	"tandem/internal/flow"
	"tandem/spec"
)

// ringMinutes is how many one-minute buckets a handler's sparklines have.
const ringMinutes = 60

// State is what is known of one handler: its newest beat, today's counts (days
// and months are UTC), and the last hour minute by minute. The minutes live in
// the same row, so that a beat is one write and a page reads one row a handler;
// old minutes fall out of the ring by their number.
type State struct {
	Client    string         `json:"client"`
	Handler   string         `json:"handler"`
	Direction spec.Direction `json:"direction,omitempty"`
	Interval  int            `json:"interval"` // seconds, 0 without a promise
	LastBeat  time.Time      `json:"lastBeat"` // by the Centre's clock

	Day    string                       `json:"day"`
	Ways   map[spec.Direction]*beat.Way `json:"ways,omitempty"`
	Errors map[flow.Code]int            `json:"errors,omitempty"`
	Last   map[spec.Direction]time.Time `json:"last,omitempty"` // newest event, whichever day
	Signal map[beat.Signal]int          `json:"signals,omitempty"`
	Month  string                       `json:"month"`
	Cost   int64                        `json:"cost,omitempty"` // this month, millionths of a US dollar
	API    *beat.API                    `json:"api,omitempty"`
	APIAt  time.Time                    `json:"apiAt,omitzero"`
	Checks []beat.Check                 `json:"checks,omitempty"`
	// Waiting is how many dead letters wait for a person, nil where this handler
	// does not look.
	Waiting *int `json:"waiting,omitempty"`
	// Portal is what the handler writes to, Writers the deployments that said so
	// lately: two of one client share this row.
	Portal  string               `json:"portal,omitempty"`
	Writers map[string]time.Time `json:"writers,omitempty"`
	Ring    Ring                 `json:"ring,omitempty"`
	// Heard counts what a person should hear of, ever rising, so that the watch
	// can tell what is new since it last told.
	Heard map[Topic]int `json:"heard,omitempty"`
}

// Topic is what equal messages are grouped by: kind/direction/word, as in
// "dead/hubspot-to-destination/UnknownEnum".
type Topic string

func topic(kind string, d spec.Direction, word string) Topic {
	return Topic(kind + "/" + string(d) + "/" + word)
}

// ID is the handler's name within its client.
func (s *State) ID() string {
	if s.Direction == "" {
		return s.Handler
	}
	return s.Handler + "." + string(s.Direction)
}

// apply adds a beat received at now.
func (s *State) apply(b *beat.Beat, now time.Time) {
	now = now.UTC()
	s.Client, s.Handler, s.Direction, s.Interval = b.Client, b.Handler, b.Direction, b.Interval
	if now.After(s.LastBeat) {
		s.LastBeat = now
	}
	s.turn(now)
	for d, w := range b.Ways {
		if w.LastEvent.After(now) { // a sender's clock that runs ahead
			w.LastEvent = now
		}
		s.applyWay(d, w)
	}
	sum(&s.Errors, b.Errors)
	sum(&s.Signal, b.Signals)
	for sig, n := range b.Signals {
		s.hear(topic("signal", "", string(sig)), n)
	}
	s.Cost += b.CostMicros
	if b.API != nil {
		s.API, s.APIAt = b.API, now
	}
	if b.Checks != nil {
		s.Checks = b.Checks
	}
	if b.Waiting != nil {
		s.Waiting = b.Waiting
	}
	s.wrote(b.Writer, now)
	s.ring(b, now.Unix()/60)
}

// turn begins a new day or month.
func (s *State) turn(now time.Time) {
	if day := now.Format(time.DateOnly); s.Day != day {
		s.Day, s.Ways, s.Errors, s.Signal = day, nil, nil, nil
	}
	if month := now.Format("2006-01"); s.Month != month {
		s.Month, s.Cost = month, 0
	}
}

func (s *State) applyWay(d spec.Direction, w *beat.Way) {
	if s.Ways == nil {
		s.Ways = map[spec.Direction]*beat.Way{}
	}
	if s.Ways[d] == nil {
		s.Ways[d] = &beat.Way{}
	}
	s.Ways[d].Merge(*w)
	if s.Last == nil {
		s.Last = map[spec.Direction]time.Time{}
	}
	if w.LastEvent.After(s.Last[d]) {
		s.Last[d] = w.LastEvent
	}
	for _, k := range []beat.Kind{beat.Dead, beat.Parked} {
		for cause, n := range w.Causes[k] {
			s.hear(topic(string(k), d, string(cause)), n)
		}
	}
}

func (s *State) hear(t Topic, n int) { sum(&s.Heard, map[Topic]int{t: n}) }

// ring adds the beat to its minute.
func (s *State) ring(b *beat.Beat, minute int64) {
	m := Minute{minute}
	var all beat.Sketch
	for _, w := range b.Ways {
		m[1] += int64(w.Events)
		all.Merge(w.Latency)
	}
	for _, n := range b.Errors {
		m[2] += int64(n)
	}
	m[3] = all.Quantile(0.95).Milliseconds()
	s.Ring.add(m)
}

func sum[K comparable](to *map[K]int, from map[K]int) {
	if len(from) == 0 {
		return
	}
	if *to == nil {
		*to = maps.Clone(from)
		return
	}
	for k, n := range from {
		(*to)[k] += n
	}
}
