package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"tandem/internal/destination"
	"tandem/internal/flow"
	"tandem/internal/hubspot"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/simulator/erp"
	"tandem/internal/simulator/portal"
	"tandem/internal/table"
	"tandem/spec"
)

// stage is a world in which nothing goes wrong but what a script asks for.
type stage struct {
	*run
	lines    []string
	problems []string
	names    map[string]map[record.System]string // what the script calls a record -> its ids
	kinds    map[string]spec.Pair
	hooks    []*hook
	held     map[record.System][]delivered
	holding  map[record.System]bool
	last     map[record.System]delivered
	starts   []started
	lapse    map[string]bool // error lines already told
	writesTo map[record.System]int
	outcomes map[string]int
	reasons  []string
	warnings []string
	called   map[string]string // record id -> the script's name
	// second is another integration on the same portal, first the one it came after.
	first, second *stage
	source        any // the spec's file once it was changed
	seen          int // dead letters told
	excused       map[string]bool
	backup        []table.Update
	where         string // file and line of the command under way
}

// hook is a command that waits for a point of the journey.
type hook struct {
	when, point, command, where string
	always                      bool
	hits                        int
}

type started struct {
	direction spec.Direction
	name      string
	input     json.RawMessage
}

// seedOfScenarios decides nothing that a person would notice: jitter only.
const seedOfScenarios = 1

func newStage(s *spec.Spec) (*stage, error) {
	st := &stage{
		names: map[string]map[record.System]string{}, called: map[string]string{}, kinds: map[string]spec.Pair{}, lapse: map[string]bool{},
		held: map[record.System][]delivered{}, holding: map[record.System]bool{}, last: map[record.System]delivered{},
		writesTo: map[record.System]int{}, outcomes: map[string]int{}, excused: map[string]bool{},
	}
	var err error
	if st.run, err = newRun(s, seedOfScenarios, Variant{Step: st.step}, false); err != nil {
		return nil, err
	}
	st.faults = false
	st.erp.SetHabits(func(h *erp.Habits) { *h = erp.Usual() })
	st.table = &diary{Table: st.table}
	return st, st.adopt(s)
}

// adopt wires the flow for a spec, over this stage's network and a table that answers at once.
func (st *stage) adopt(s *spec.Spec) error {
	now := func() time.Time { return st.now }
	over := func(sys record.System) *http.Client { return &http.Client{Transport: &line{st, sys}} }
	o := hubspot.OptionsFor(s)
	o.BaseURL, o.HTTP, o.Now = "https://hubspot.example", over(record.HubSpot), now
	o.Token = func(context.Context) (string, error) { return ourToken, nil }
	hub, err := hubspot.New(o)
	if err != nil {
		return err
	}
	dest, err := destination.New(s, destination.Options{
		HTTP: over(record.Destination), Now: now, Secrets: func(string) (string, error) { return ourToken, nil },
	})
	if err != nil {
		return err
	}
	st.spec, st.poller = s, dest
	options := st.flow.Options
	options.Spec, options.Log, options.Now = s, slog.New(st), now
	options.Remotes = map[record.System]flow.Remote{record.HubSpot: hub, record.Destination: dest}
	options.Ledger = &ledger.Ledger{Table: table.Table(st.table), Client: s.Client, Now: now}
	if st.flow, err = flow.New(options); err != nil {
		return err
	}
	st.remotes = options.Remotes
	st.ingress.Flow, st.ingress.Starter = st.flow, st
	st.ingress.Dropped = func(e flow.Envelope, o ledger.Outcome) { st.ended(e, "dropped", o.Reason+" (at the door)") }
	return nil
}

// tell adds a line to the event log, with the script's names for records.
func (st *stage) tell(format string, args ...any) {
	text := ids.ReplaceAllStringFunc(scrub(fmt.Sprintf(format, args...)), func(id string) string {
		if name := st.called[id]; name != "" {
			return name
		}
		return id
	})
	if st.first != nil {
		st.first.tell("2|%s", text)
		return
	}
	st.lines = append(st.lines, text)
}

// ids are record ids of either system.
var ids = regexp.MustCompile(`\b(\d{9,}|[aco]_\d+)\b`)

// name remembers what the script calls a record, and so its partner.
func (st *stage) name(linked map[record.System]string) {
	for sys, id := range linked {
		other := linked[sys.Other()]
		name := st.called[id]
		if name == "" || st.called[other] != "" {
			continue
		}
		st.called[other] = name
		if st.names[name] == nil {
			st.names[name] = map[record.System]string{}
		}
		st.names[name][sys.Other()] = other // of two, the one that it is linked to now
	}
}

// Enabled and the following make a stage the flow's log: what operators are
// warned of is part of the story.
func (st *stage) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle implements slog.Handler.
func (st *stage) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	st.warnings = append(st.warnings, text)
	st.once("    warning: %s", text)
	return nil
}

// WithAttrs implements slog.Handler.
func (st *stage) WithAttrs([]slog.Attr) slog.Handler { return st }

// WithGroup implements slog.Handler.
func (st *stage) WithGroup(string) slog.Handler { return st }

// Start implements flow.Starter and remembers what was started.
func (st *stage) Start(ctx context.Context, d spec.Direction, name string, input json.RawMessage) error {
	if err := st.reach(ctx, "before", string(d.Source())+" start"); err != nil {
		return err
	}
	st.starts = append(st.starts, started{d, name, input})
	return st.run.Start(ctx, d, name, input)
}

// step is one step of an execution; it tells what was decided and what failed.
func (st *stage) step(f *flow.Flow, ctx context.Context, step string, s flow.State) (any, error) {
	point := string(s.Event.Direction.Source()) + " " + step
	if err := st.reach(ctx, "before", point); err != nil {
		return nil, &flow.Error{Code: flow.RemoteBusy, Message: err.Error(), Err: err}
	}
	section, err := f.Handle(ctx, step, s)
	who := st.who(s.Event)
	switch plan, _ := section.(*flow.Plan); {
	case err != nil:
		st.once("    %s: %s: %v", who, step, err)
	case plan != nil && plan.Act == flow.ActDrop:
		st.ended(s.Event, "dropped", plan.Reason)
	case step == "Stamp":
		st.name(section.(*flow.Stamped).IDs)
		st.ended(s.Event, "stamped", "")
	}
	if late := st.reach(ctx, "after", point); late != nil && err == nil {
		err = &flow.Error{Code: flow.RemoteBusy, Message: late.Error(), Err: late}
	}
	return section, err
}

// once tells a line that retries would repeat.
func (st *stage) once(format string, args ...any) {
	if text := scrub(fmt.Sprintf(format, args...)); !st.lapse[text] {
		st.lapse[text] = true
		st.tell("%s", text)
	}
}

func (st *stage) who(e flow.Envelope) string {
	p, _ := st.spec.PairByName(e.Pair)
	return fmt.Sprintf("%s %s %s", e.Direction.Source(), p.Side(e.Direction.Source()).Object, e.ID)
}

// ended counts how an event ended; parked is a drop that asks for a person.
func (st *stage) ended(e flow.Envelope, kind, reason string) {
	if rest, parked := strings.CutPrefix(reason, "parked: "); parked {
		kind, reason = "parked", rest
	}
	st.outcomes[kind]++
	st.reasons = append(st.reasons, kind+" "+reason)
	if reason != "" {
		kind += ": " + reason
	}
	st.tell("    %s: %s", st.who(e), kind)
}

// reach runs the hooks of a point.
func (st *stage) reach(ctx context.Context, when, point string) error {
	for _, h := range slices.Clone(st.hooks) {
		if h.when != when || h.point != point || h.hits > 0 && !h.always {
			continue
		}
		h.hits++
		st.tell("  (%s %s) %s", when, point, h.command)
		if err := st.do(ctx, h.where, h.command); err != nil {
			return err
		}
	}
	return nil
}

// pump brings what both systems have to tell, unless it is held.
func (st *stage) pump() {
	if events := unique(st.hub.Events()); len(events) > 0 {
		st.take(delivered{system: record.HubSpot, hub: events})
		if st.second != nil {
			st.second.take(delivered{system: record.HubSpot, hub: events})
		}
	}
	st.fetch()
	if st.second != nil {
		st.second.fetch()
	}
}

// fetch brings what the destination has to tell and looks at the dead letters.
func (st *stage) fetch() {
	for _, d := range st.erp.Due() {
		st.erp.Done(d.Number, http.StatusOK)
		st.take(delivered{system: record.Destination, erp: d.Body()})
	}
	for ; st.seen < len(st.letters); st.seen++ {
		l := st.letters[st.seen]
		st.outcomes["dead"]++
		st.reasons = append(st.reasons, "dead "+l.code)
		st.tell("    %s: dead letter: %s", st.who(l.state.Event), l.code)
	}
}

// unique leaves out an event's exact repetition, which this portal makes by chance.
func unique(events []portal.Event) (out []portal.Event) {
	told := map[string]bool{}
	for _, e := range events {
		e.EventID = 0
		b, _ := json.Marshal(e)
		if !told[string(b)] {
			told[string(b)] = true
			out = append(out, e)
		}
	}
	return out
}

func (st *stage) take(d delivered) {
	st.told = append(st.told, d)
	if st.last[d.system] = d; st.holding[d.system] {
		st.held[d.system] = append(st.held[d.system], d)
		return
	}
	st.bring(d, 0, 20*time.Millisecond)
}

// bring makes one delivery, again until it is answered with 2xx.
func (st *stage) bring(d delivered, attempt int, delay time.Duration) {
	st.inFlight++
	again := func() { st.inFlight--; st.bring(d, attempt+1, 10*time.Second) }
	st.start(delay, true, func(ctx context.Context) {
		st.tell("  %s delivers %s", d.system, d)
		if a := st.ingress.Deliver(ctx, d.system, st.delivery(d, attempt)); a.Status != http.StatusOK {
			st.tell("    answered %d: %s", a.Status, a.Problem)
			again()
			return
		}
		st.inFlight--
	}, again)
}

// String lists what a delivery tells.
func (d delivered) String() string {
	var out []string
	for _, e := range d.hub {
		text := fmt.Sprintf("%s %d %s", e.SubscriptionType, max(e.ObjectID, e.NewObjectID), e.PropertyName)
		out = append(out, strings.TrimSpace(text))
	}
	var body struct{ Events []erp.Event }
	_ = json.Unmarshal(d.erp, &body)
	for _, e := range body.Events {
		out = append(out, e.Object+"."+e.Action+" "+e.Record)
	}
	slices.Sort(out) // the simulated portal shuffles them
	if len(out) > 6 {
		out = append(out[:5], fmt.Sprintf("and %d more", len(out)-5))
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// wait lets time pass; quiet waits until nothing is under way.
func (st *stage) wait(ctx context.Context, d time.Duration) error {
	tick := max(50*time.Millisecond, d/1000)
	for end := st.now.Add(d); st.now.Before(end); {
		st.pump()
		if err := sleep(ctx, min(tick, end.Sub(st.now))); err != nil {
			return err
		}
	}
	st.pump()
	return nil
}

func (st *stage) busy() bool { return st.inFlight > 0 || st.erp.Pending() > 0 }

func (st *stage) quiet(ctx context.Context) error {
	for begin := st.now; ; {
		st.pump()
		if !st.busy() && (st.second == nil || !st.second.busy()) {
			return nil
		}
		if st.now.Sub(begin) > time.Hour {
			return fmt.Errorf("not quiet after an hour: %d tasks under way", st.inFlight)
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}
