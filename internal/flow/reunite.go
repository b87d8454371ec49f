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
	waits := slices.DeleteFunc(slices.Clone(p.Waits), func(o ledger.Wait) bool { return o.Of.System != w.Ref.System })
	switch {
	case len(waits) == 0:
		return false, l.Unlist(ctx, w)
	case !w.Woken.IsZero() && (w.Listed.Before(w.Woken) || in.Flow.Now().Before(w.Woken.Add(wakeAgain))):
		return false, nil // the execution has yet to end, or has just found it waiting again
	}
	for _, o := range waits {
		linked, err := in.linked(ctx, o.Parent)
		if err != nil {
			return false, err
		}
		if linked {
			return true, in.wake(ctx, w)
		}
	}
	return false, nil
}

// linked reports whether a record that is referred to has a partner now.
func (in *Ingress) linked(ctx context.Context, ref record.Ref) (bool, error) {
	pair, ok := in.Flow.Spec.PairByObject(ref.System, ref.Object)
	if !ok {
		return false, nil
	}
	p, err := in.Flow.Ledger.Find(ctx, pair, ref, "")
	return err == nil && p.State == ledger.Linked, err
}

// wake starts the execution of a record that waited.
func (in *Ingress) wake(ctx context.Context, w ledger.Waiting) error {
	// Without a time: nobody has edited the record.
	e := Notification{ID: MarkLinked + ledger.Version(in.Flow.Now()), Object: w.Ref.Object, Record: w.Ref.ID, Kind: Changed}
	if a := in.accept(ctx, w.Ref.System, []Notification{e}); a.Problem != "" {
		return Errorf(StoreBusy, "%s: %s", w.Ref, a.Problem)
	}
	return in.Flow.Ledger.Woke(ctx, w)
}
