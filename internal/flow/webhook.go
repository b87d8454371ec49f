package flow

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// ErrWrongPortal says that every event of a delivery is of another account.
var ErrWrongPortal = errors.New("the events are of another account")

// MaxBody is the largest delivery that is read, in bytes. HubSpot sends at most
// 100 events of below 1 KB; a Function URL takes at most 6 MB.
const MaxBody = 1 << 20

// Starter starts one execution of a direction's machine.
type Starter interface {
	Start(ctx context.Context, d spec.Direction, name string, input json.RawMessage) error
}

// Ingress turns deliveries and polls into executions, one per changed record.
type Ingress struct {
	Flow      *Flow
	Receivers map[record.System]Receiver
	Starter   Starter
	// Lanes is how many records of one delivery are dealt with at once; 16 when
	// zero. One lane starts no goroutine.
	Lanes int
	// Mark is put before the ids of polled events, to tell from where they came.
	Mark string
	// Dropped, when set, hears of each event that ended here because its own
	// values showed that nothing has changed: no execution will tell of it.
	Dropped func(Envelope, ledger.Outcome)
	// Arrived, when set, hears of all events of a delivery or of a page that were
	// accepted, started or dropped, after the last of them.
	Arrived func(context.Context, spec.Direction, []ledger.Arrival)
}

// Answer is what a delivery is answered with.
type Answer struct {
	Status  int    `json:"-"`
	Events  int    `json:"events"`
	Started int    `json:"started"`
	Dropped int    `json:"dropped"`
	Problem string `json:"problem,omitempty"`
}

// Deliver authenticates one delivery and starts an execution per record. It
// refuses a bad signature (401), a foreign portal or unknown route (404), and
// what is too large (413). Anything else that is authentic gets a 2xx, since
// senders redeliver every 4xx, unless an execution could not be started: then
// 503, and the redelivery is harmless.
func (in *Ingress) Deliver(ctx context.Context, sys record.System, d Delivery) Answer {
	receiver := in.Receivers[sys]
	switch {
	case receiver == nil:
		return Answer{Status: http.StatusNotFound, Problem: "no webhook is wired for " + string(sys)}
	case len(d.Body) > MaxBody:
		return Answer{Status: http.StatusRequestEntityTooLarge, Problem: "the body is larger than 1 MiB"}
	}
	if err := receiver.Verify(d); err != nil {
		in.Flow.Log.Warn("delivery refused", "system", sys, "error", err)
		return Answer{Status: http.StatusUnauthorized, Problem: "the signature is missing, wrong or out of time"}
	}
	events, err := receiver.Parse(d)
	switch {
	case errors.Is(err, ErrWrongPortal):
		return Answer{Status: http.StatusNotFound, Problem: err.Error()}
	case CodeOf(err) == TooLarge:
		return Answer{Status: http.StatusRequestEntityTooLarge, Problem: err.Error()}
	case err != nil:
		in.Flow.Log.Error("authentic delivery not understood", "system", sys, "error", err)
		return Answer{Status: http.StatusOK, Problem: "signed, but not the documented JSON: nothing was started"}
	}
	return in.accept(ctx, sys, events)
}

// accept groups events by record and deals with the records side by side.
func (in *Ingress) accept(ctx context.Context, sys record.System, events []Notification) Answer {
	groups := in.group(sys, events)
	answer := Answer{Status: http.StatusOK, Events: len(events)}
	var mu sync.Mutex
	var arrived []ledger.Arrival
	each(groups, orElse(in.Lanes, lanes), func(g *group) {
		execution, started, err := in.one(ctx, sys, g)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			arrived = append(arrived, ledger.Arrival{Ref: g.ref, Execution: execution})
		}
		switch {
		case err != nil:
			in.Flow.Log.Error("execution not started", "system", sys, "record", g.ref.String(), "error", err)
			answer.Status, answer.Problem = http.StatusServiceUnavailable, "not every execution could be started: deliver again"
		case started:
			answer.Started++
		default:
			answer.Dropped++
		}
	})
	if in.Arrived != nil && len(arrived) > 0 {
		in.Arrived(ctx, spec.From(sys), arrived)
	}
	return answer
}

// lanes is the default of Ingress.Lanes.
const lanes = 16

func each(groups []*group, lanes int, do func(*group)) {
	if lanes == 1 || len(groups) == 1 {
		for _, g := range groups {
			do(g)
		}
		return
	}
	var wg sync.WaitGroup
	tokens := make(chan struct{}, lanes)
	for _, g := range groups {
		tokens <- struct{}{}
		wg.Go(func() { defer func() { <-tokens }(); do(g) })
	}
	wg.Wait()
}

// group is all that one delivery says about one record.
type group struct {
	pair   spec.Pair
	ref    record.Ref
	events []Notification
}

// group collects events by record in the order they came; object types that the
// spec does not wire are left out.
func (in *Ingress) group(sys record.System, events []Notification) (out []*group) {
	byRef := map[record.Ref]*group{}
	for _, e := range events {
		pair, ok := in.Flow.Spec.PairByObject(sys, e.Object)
		if !ok || e.Record == "" {
			continue
		}
		ref := record.Ref{System: sys, Object: e.Object, ID: e.Record}
		if byRef[ref] == nil {
			byRef[ref] = &group{pair: pair, ref: ref}
			out = append(out, byRef[ref])
		}
		byRef[ref].events = append(byRef[ref].events, e)
	}
	return out
}

// weight orders kinds: of several events about one record the heaviest decides.
var weight = map[Kind]int{Changed: 0, Restored: 1, Deleted: 2, Merged: 3, Purged: 4}

// envelope seals what a group says.
func (in *Ingress) envelope(g *group) (Envelope, error) {
	e := Envelope{Client: in.Flow.Spec.Client, Direction: spec.From(g.ref.System), Pair: g.pair.Name, ID: g.ref.ID, Kind: Changed}
	last := map[Kind]time.Time{}
	for _, n := range g.events {
		last[n.Kind] = later(last[n.Kind], n.At)
		if weight[n.Kind] > weight[e.Kind] {
			e.Kind = n.Kind
		}
		e.At = max(e.At, unixMilli(n.At))
		if n.ID != "" && len(e.Events) < maxListed {
			e.Events = append(e.Events, n.ID)
		}
		e.Merged, e.Approved = append(e.Merged, n.Merged...), e.Approved || n.Approved
		in.tell(g, n, &e)
	}
	e.Back = e.Kind == Deleted && last[Restored].After(last[Deleted])
	for i := range e.Told {
		if e.Told[i].At == e.At {
			e.Told[i].At = 0
		}
	}
	e.Name = executionName(e, g.ref.Object, in.Flow.Now())
	return in.Flow.Seals.Seal(e)
}

// tell notes the fingerprints of values an event carried, or only its time where
// the sender tells none. Systems that have a conditional write need neither.
func (in *Ingress) tell(g *group, n Notification, e *Envelope) {
	if g.ref.System != record.HubSpot {
		remote := in.Flow.Remotes[g.ref.System]
		if n.Kind == Changed && remote != nil && !remote.Abilities(g.ref.Object).ConditionalWrite && !n.At.IsZero() && len(e.Told) < maxListed {
			e.Told = append(e.Told, Told{At: unixMilli(n.At)})
		}
		return
	}
	for _, field := range g.pair.Fields {
		text, told := n.Values[field.HubSpot.Property]
		if told && len(e.Told) < maxListed {
			print := ledger.Fingerprint(in.Flow.Spec.Client+"/"+g.pair.Name, field.Name, record.HubSpot, text)
			e.Told = append(e.Told, Told{Field: field.Name, Print: print, At: unixMilli(n.At), Other: n.Other})
		}
	}
}

// one starts a record's execution, unless the event's own values show that
// nothing has changed: then its outcome is recorded here, without an execution
// and without a remote read. It returns the execution's name in either case.
func (in *Ingress) one(ctx context.Context, sys record.System, g *group) (execution string, started bool, err error) {
	e, err := in.envelope(g)
	if err != nil {
		return "", false, err
	}
	same, err := in.same(ctx, g, e)
	if err != nil || same {
		return e.Name, false, err
	}
	input, err := json.Marshal(State{Event: e})
	if err != nil {
		return "", false, err
	}
	return e.Name, true, in.Starter.Start(ctx, e.Direction, e.Name, input)
}

// toldAll: every event is a change whose value was told, of a property that is
// mapped by itself and feeds no other field: a concat of it may be out of step
// although the property is not.
func toldAll(g *group, e Envelope) bool {
	plain := func(n Notification) bool {
		return n.Kind == Changed && len(n.Values) == 1 && !slices.ContainsFunc(n.Values.Names(), func(property string) bool {
			return !mapped(g.pair, property) || feeds(g.pair, property)
		})
	}
	return len(e.Told) >= len(g.events) && !slices.ContainsFunc(g.events, func(n Notification) bool { return !plain(n) })
}

func mapped(p spec.Pair, property string) bool {
	return slices.ContainsFunc(p.Fields, func(fd spec.Field) bool { return fd.HubSpot.Property == property })
}

// feeds reports whether a property is part of a concat.
func feeds(p spec.Pair, property string) bool {
	return slices.ContainsFunc(p.Fields, func(fd spec.Field) bool {
		return fd.Formula != nil && slices.Contains(fd.Formula.Concat, "{"+property+"}")
	})
}

// toldVersions: every event is a change that tells the record's version.
func toldVersions(g *group) bool {
	return !slices.ContainsFunc(g.events, func(n Notification) bool { return n.Kind != Changed || n.Version == "" })
}

// same reports whether what the events tell, values or versions, is what both
// sides have agreed on already, and records the outcome when it is.
func (in *Ingress) same(ctx context.Context, g *group, e Envelope) (bool, error) {
	values, versions := g.ref.System == record.HubSpot && toldAll(g, e), toldVersions(g)
	if e.Kind != Changed || !values && !versions {
		return false, nil
	}
	p, err := in.Flow.Ledger.Find(ctx, g.pair, g.ref, "")
	if errors.Is(err, ledger.ErrLongID) {
		return false, nil // delivered again it is no shorter: its execution ends in the dead letter
	}
	if err != nil {
		return false, err
	}
	now := in.Flow.Now()
	if p.State != ledger.Linked || p.IDs[g.ref.System] != g.ref.ID || p.Held(now) || p.InDoubt(now) || len(p.Waits) > 0 || p.Seen[g.ref.System].Stuck {
		return false, nil
	}
	if !(values && agreedValues(p, e) || versions && agreedVersions(p, g)) || len(e.met(p)) > 0 || e.covered(p) {
		return false, nil
	}
	if e.Bulk() && in.Flow.respelt(p) {
		return false, nil
	}
	if values && tellsNews(p, e) {
		// An execution that has read the record before must not write what it read.
		if err := in.Flow.Ledger.Note(ctx, p, ledger.Change{}); err != nil {
			return false, unlessMoved(err)
		}
	}
	o := in.Flow.outcome(&journey{Envelope: e, execution: e.Name}, ledger.Dropped, ReasonUnchanged)
	if err = in.Flow.Ledger.Record(ctx, g.ref, o); err == nil && in.Dropped != nil {
		in.Dropped(e, o)
	}
	return true, err
}

func agreedValues(p *ledger.Pair, e Envelope) bool {
	return !slices.ContainsFunc(e.Told, func(t Told) bool { return p.Base[t.Field].HubSpot != t.Print })
}

// tellsNews: a value was set after the record was last compared.
func tellsNews(p *ledger.Pair, e Envelope) bool {
	return slices.ContainsFunc(e.Told, func(t Told) bool {
		return record.CompareVersions(ledger.Version(time.UnixMilli(orElse(t.At, e.At))), p.Seen[record.HubSpot].Version) > 0
	})
}

func unlessMoved(err error) error {
	if isMoved(err) {
		return nil
	}
	return err
}

// agreedVersions: every version that was told has been seen, and the pair owes the
// other side nothing. A record that a create has made is seen before the fields
// that only this side feeds, such as a concat, are written back.
func agreedVersions(p *ledger.Pair, g *group) bool {
	seen := p.Seen[g.ref.System].Version
	return seen != "" && !slices.ContainsFunc(g.events, func(n Notification) bool { return record.CompareVersions(n.Version, seen) > 0 }) && !owes(p, g)
}

// owes reports whether the other side was blanked and is to get a field yet, or whether
// a field that HubSpot feeds has never been agreed on. HubSpot tells every property it
// is asked for, so that one execution settles it; another system may leave one out for
// ever.
func owes(p *ledger.Pair, g *group) bool {
	for _, base := range p.Base {
		if base.Owes(g.ref.System.Other()) {
			return true
		}
	}
	return g.ref.System == record.HubSpot && slices.ContainsFunc(g.pair.Fields, func(fd spec.Field) bool {
		_, agreed := p.Base[fd.Name]
		_, parked := p.ParkedFields[fd.Name]
		return fd.Travels(spec.ToDestination) && !agreed && !parked
	})
}
