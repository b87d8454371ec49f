package centre

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"tandem/internal/beat"
	"tandem/spec"
)

// Status is what the pages of all integrations and of one client show, for a
// terminal or a program. Counts are of today, UTC.
type Status struct {
	At time.Time `json:"at"`
	// WatchRan is when the watch last looked; the zero time before it ever did.
	WatchRan     time.Time           `json:"watchRan,omitzero"`
	Integrations []IntegrationStatus `json:"integrations"`
}

// IntegrationStatus is one client's. Handlers, Ways, Checks, Errors and Signals are
// there when one client was asked for.
type IntegrationStatus struct {
	Client string    `json:"client"`
	State  string    `json:"state"` // live, attention or down
	Why    string    `json:"why,omitempty"`
	Muted  time.Time `json:"mutedUntil,omitzero"`
	// Up of Promised handlers that promise beats have sent one in time.
	Up         int                          `json:"up"`
	Promised   int                          `json:"promised"`
	OldestBeat time.Time                    `json:"oldestBeat,omitzero"`
	Events     int                          `json:"events"`
	Outcomes   map[beat.Kind]int            `json:"outcomes"`
	Errors     int                          `json:"errors"`
	Waiting    *int                         `json:"deadLettersWaiting,omitempty"` // nil when nobody has looked
	LastEvent  map[spec.Direction]time.Time `json:"lastEvent"`
	P50        int64                        `json:"p50Millis"`
	P95        int64                        `json:"p95Millis"`
	API        *beat.API                    `json:"api,omitempty"`
	CostMicros int64                        `json:"costMicrosThisMonth"`
	Handlers   []HandlerStatus              `json:"handlers,omitempty"`
	Ways       []WayStatus                  `json:"ways,omitempty"`
	Checks     []beat.Check                 `json:"checks,omitempty"`
	ErrorsBy   map[string]int               `json:"errorsByCode,omitempty"`
	Signals    map[string]int               `json:"signals,omitempty"`
}

// HandlerStatus is one handler's row.
type HandlerStatus struct {
	Handler  string    `json:"handler"`
	State    string    `json:"state"` // live, down, or on demand for one that promises nothing
	LastBeat time.Time `json:"lastBeat"`
	Interval int       `json:"intervalSeconds,omitempty"`
	Events   int       `json:"events"`
	Errors   int       `json:"errors"`
}

// WayStatus is one direction of a client.
type WayStatus struct {
	Direction spec.Direction `json:"direction"`
	Events    int            `json:"events"`
	Stamped   int            `json:"stamped"`
	Dropped   map[string]int `json:"droppedByReason,omitempty"`
	Parked    map[string]int `json:"parkedByReason,omitempty"`
	Dead      map[string]int `json:"deadByCause,omitempty"`
}

// Status sums all integrations up, or of one client everything. ErrUnknown is for
// a client that no handler has reported of.
func (c *Centre) Status(ctx context.Context, client string) (*Status, error) {
	f, err := c.fleet(ctx)
	if err != nil {
		return nil, err
	}
	s := &Status{At: f.Now, WatchRan: f.WatchRan, Integrations: []IntegrationStatus{}}
	if client == "" {
		for _, in := range f.Integrations {
			s.Integrations = append(s.Integrations, in.status())
		}
		return s, nil
	}
	v, err := c.clientView(ctx, client)
	if err != nil {
		return nil, err
	}
	s.Integrations = append(s.Integrations, v.status())
	return s, nil
}

func (in *integration) status() IntegrationStatus {
	out := IntegrationStatus{Client: in.Client, State: in.State, Why: in.Why, Muted: in.Muted, Up: in.Up, Promised: in.Beat, Events: in.Events,
		Outcomes: in.Outcomes, Errors: in.Errors, LastEvent: in.Last, P50: in.P50().Milliseconds(), P95: in.P95().Milliseconds(), API: in.API, CostMicros: in.Cost}
	if in.Oldest != nil {
		out.OldestBeat = in.Oldest.LastBeat
	}
	if in.Waiting >= 0 {
		out.Waiting = &in.Waiting
	}
	return out
}

func (v clientPage) status() IntegrationStatus {
	out := v.integration.status()
	out.Checks, out.ErrorsBy, out.Signals = v.Checks, counts(v.ErrorsBy), counts(v.Signals)
	for _, h := range v.Handlers {
		state := map[string]string{"u": isLive, "d": isBroken}[h.Mark]
		if state == "" {
			state = "on demand"
		}
		out.Handlers = append(out.Handlers, HandlerStatus{h.ID(), state, h.LastBeat, int(h.Interval / time.Second), h.EventCount, h.ErrorCount})
	}
	for _, w := range v.Ways {
		out.Ways = append(out.Ways, WayStatus{w.Direction, w.Events, w.Stamped, counts(w.DroppedBy), counts(w.ParkedBy), counts(w.DeadBy)})
	}
	return out
}

func counts(all []share) map[string]int {
	out := map[string]int{}
	for _, s := range all {
		out[s.Name] = s.N
	}
	return out
}

// status answers programs, which have no session: the login secret comes with each
// request, and failures are counted like those of the form.
func (c *Centre) status(w http.ResponseWriter, r *http.Request) {
	s, secret, err := c.signer(r.Context())
	allowed := false
	if err == nil {
		allowed, err = c.attempt(r.Context(), r.RemoteAddr)
	}
	given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case err != nil:
		c.fail(w, r, err)
		return
	case !allowed:
		http.Error(w, "too many attempts", http.StatusTooManyRequests)
		return
	case !s.same(secret, given):
		http.Error(w, "the login secret is not right", http.StatusUnauthorized)
		return
	}
	if err := c.admitted(r.Context(), r.RemoteAddr); err != nil {
		c.o.Log.Warn("login attempts not cleared", "error", err.Error())
	}
	answer, err := c.Status(r.Context(), r.FormValue("client"))
	if err != nil {
		c.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // whoever has gone needs no answer
}

// Print writes it for a terminal, as the pages put it.
func (s *Status) Print(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "INTEGRATION\tSTATE\tHANDLERS\tEVENTS\tSTAMPED\tDROPPED\tPARKED\tDEAD\tWAITING\tERRORS\tP95\tCOST")
	for _, in := range s.Integrations {
		waiting := "?"
		if in.Waiting != nil {
			waiting = fmt.Sprint(*in.Waiting)
		}
		fmt.Fprintf(w, "%s\t%s\t%d/%d\t%d\t%d\t%d\t%d\t%d\t%s\t%d\t%s\t%s\n", in.Client, in.State, in.Up, in.Promised, in.Events, in.Outcomes[beat.Stamped],
			in.Outcomes[beat.Dropped], in.Outcomes[beat.Parked], in.Outcomes[beat.Dead], waiting, in.Errors, millis(time.Duration(in.P95)*time.Millisecond), dollars(in.CostMicros))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, in := range s.Integrations {
		in.print(to, s.At)
	}
	if len(s.Integrations) == 0 {
		fmt.Fprintln(to, "no handler has sent a beat yet")
	}
	ran := "the watch has not run yet"
	if !s.WatchRan.IsZero() {
		ran = "watched " + age(s.At, s.WatchRan) + " ago"
	}
	_, err := fmt.Fprintf(to, "\ncounts are of today, UTC; %s\n", ran)
	return err
}

// print adds what there is to say of one integration.
func (in IntegrationStatus) print(to io.Writer, now time.Time) {
	if in.Why != "" {
		fmt.Fprintf(to, "\n%s: %s\n", in.Client, in.Why)
	}
	for _, w := range in.Ways {
		fmt.Fprintf(to, "\n%s: %s, %d stamped, last event %s ago\n", w.Direction, count(w.Events, "event"), w.Stamped, age(now, in.LastEvent[w.Direction]))
		for _, by := range []struct {
			what   string
			counts map[string]int
		}{{"dead letters by cause", w.Dead}, {"dropped by reason", w.Dropped}, {"parked by reason", w.Parked}} {
			list(to, by.what, by.counts)
		}
	}
	for _, h := range in.Handlers {
		fmt.Fprintf(to, "handler %s: %s, beat %s ago\n", h.Handler, h.State, age(now, h.LastBeat))
	}
	for _, ch := range in.Checks {
		state := "well"
		if !ch.OK {
			state = "FAILED " + string(ch.Code)
		}
		fmt.Fprintf(to, "self-check %s: %s\n", ch.Name, state)
	}
	list(to, "errors by code", in.ErrorsBy)
	list(to, "signals", in.Signals)
}

func list(to io.Writer, what string, counts map[string]int) {
	var parts []string
	for _, s := range shares(counts) {
		parts = append(parts, fmt.Sprintf("%s %d", s.Name, s.N))
	}
	if len(parts) > 0 {
		fmt.Fprintf(to, "  %s: %s\n", what, strings.Join(parts, ", "))
	}
}
