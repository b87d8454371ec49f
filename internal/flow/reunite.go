package flow

import (
	"context"
	"slices"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// wakeAgain is how long after an execution was started for a record because of one
// that it refers to another one may be.
const wakeAgain = 10 * time.Minute

// Reunite starts an execution for each record of an object type of which a
// reference waited and can travel by now, since what it refers to was linked. Level,
// not edge: it asks the ledger, so it does not matter how that came about. Every
// poll and comparison of the object type ends with it. It returns how many were started.
func (in *Ingress) Reunite(ctx context.Context, sys record.System, object string) (started int, err error) {
	pair, ok := in.Flow.Spec.PairByObject(sys, object)
	if !ok || !pair.Refers() {
		return 0, nil
	}
	for after, more := "", true; more; more = after != "" {
		var list []ledger.Waiting
		if list, after, err = in.Flow.Ledger.Waiting(ctx, sys, object, after); err != nil {
			return started, store(err)
		}
		for _, w := range list {
			met, err := in.reunite(ctx, pair, w)
			if err != nil {
				return started, store(err)
			}
			if met {
				started++
			}
		}
	}
	return started, nil
}

// reunite looks after one record that is listed as waiting.
func (in *Ingress) reunite(ctx context.Context, pair spec.Pair, w ledger.Waiting) (started bool, err error) {
	l := in.Flow.Ledger
	p, err := l.Find(ctx, pair, w.Ref, "")
	if err != nil {
		return false, err
	}
	if followed, look, err := in.followed(ctx, w); err != nil {
		return false, err
	} else if look {
		return true, in.wake(ctx, w, followed...)
	}
	waits := slices.DeleteFunc(slices.Clone(p.Waits), func(o ledger.Wait) bool { return o.Of.System != w.Ref.System })
	switch {
	case len(waits) == 0 && len(w.Moved) > 0:
		return false, nil
	case len(waits) == 0:
		return false, l.Unlist(ctx, w)
	case !w.Woken.IsZero() && (w.Listed.Before(w.Woken) || in.Flow.Now().Before(w.Woken.Add(wakeAgain))):
		return false, nil // the execution has yet to end, or has just found it waiting again
	}
	for _, o := range waits {
		state, err := in.state(ctx, o.Parent)
		if state == "" && o.Of.System == record.Destination {
			state, err = in.anew(ctx, o.Parent)
		}
		if err != nil {
			return false, err
		}
		if state == ledger.Linked {
			return true, in.wake(ctx, w)
		}
	}
	return false, nil
}

// followed lists what a listed record refers to and what has got its other partner by
// now. It was listed before the step that brings that about, which is over in a lease.
// It is to be looked at for those, and once for one that has come to rest instead, so
// that people see what waits.
func (in *Ingress) followed(ctx context.Context, w ledger.Waiting) (refs []record.Ref, look bool, err error) {
	for ref, since := range w.Moved {
		over := since.Add(ledger.Lease)
		if in.Flow.Now().Before(over) {
			continue
		}
		switch state, err := in.state(ctx, ref); {
		case err != nil:
			return nil, false, err
		case state == ledger.Linked:
			refs, look = append(refs, ref), true
		case state == ledger.Parked || state == ledger.Gone:
			look = look || w.Woken.Before(over)
		}
	}
	return refs, look, nil
}

// state is what has become of a record that is referred to.
func (in *Ingress) state(ctx context.Context, ref record.Ref) (ledger.State, error) {
	pair, ok := in.Flow.Spec.PairByObject(ref.System, ref.Object)
	if !ok {
		return "", nil
	}
	p, err := in.Flow.Ledger.Find(ctx, pair, ref, "")
	if err != nil {
		return "", err
	}
	return p.State, nil
}

// anew is what has become of a destination record whose HubSpot record, by which it was
// known, has been made anew when it was restored.
func (in *Ingress) anew(ctx context.Context, parent record.Ref) (ledger.State, error) {
	pair, ok := in.Flow.Spec.PairByObject(parent.System, parent.Object)
	if !ok || parent.System != record.HubSpot {
		return "", nil
	}
	p, err := in.Flow.Ledger.Find(ctx, pair, parent, "")
	if err != nil || p.State != "" || len(p.Was) == 0 {
		return "", err
	}
	return in.state(ctx, record.Ref{System: record.Destination, Object: pair.Destination.Object, ID: p.Was[len(p.Was)-1]})
}

// wake starts the execution of a record that waited, or that has to follow others.
func (in *Ingress) wake(ctx context.Context, w ledger.Waiting, followed ...record.Ref) error {
	// Without a time: nobody has edited the record.
	e := Notification{ID: MarkLinked + ledger.Version(in.Flow.Now()), Object: w.Ref.Object, Record: w.Ref.ID, Kind: Changed}
	if a := in.accept(ctx, w.Ref.System, []Notification{e}); a.Problem != "" {
		return Errorf(StoreBusy, "%s: %s", w.Ref, a.Problem)
	}
	return in.Flow.Ledger.Woke(ctx, w, followed...)
}

// tellChildren lists the records that refer to a HubSpot record for a look as soon as
// it is linked, because it is about to get another partner. HubSpot moves, hides and
// shows associations then and tells nobody.
func (f *Flow) tellChildren(ctx context.Context, j *journey, id string) error {
	remote, ok := f.Remotes[record.HubSpot].(Relations)
	if !ok || id == "" {
		return nil
	}
	parent := record.Ref{System: record.HubSpot, Object: j.object(record.HubSpot), ID: id}
	for _, pair := range f.Spec.Pairs {
		if !slices.ContainsFunc(pair.Fields, func(field spec.Field) bool { return field.HubSpot.Pair == j.pair.Name }) {
			continue
		}
		object := pair.HubSpot.Object
		ids, more, err := remote.Related(ctx, parent.Object, id, object)
		switch code := CodeOf(err); {
		case code == RecordMissing: // of one that was deleted it may tell nothing
		case err != nil && !Codes[code]:
			f.Log.Warn("the records that refer to another are not told of its new partner: a backfill of them does", "execution", j.execution, "object", object, "error", err)
		case err != nil:
			return err
		case more:
			f.Log.Warn("too many records refer to one that gets another partner, not all are told: a backfill of them does", "execution", j.execution, "object", object)
		}
		children := make([]record.Ref, len(ids))
		for i, child := range ids {
			children[i] = record.Ref{System: record.HubSpot, Object: object, ID: child}
		}
		if err := f.Ledger.Follow(ctx, parent, children); err != nil {
			return err
		}
	}
	return nil
}
