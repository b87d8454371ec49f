package engine

import (
	"context"
	"encoding/json"

	"tandem/internal/asl"
	"tandem/internal/flow"
	"tandem/internal/ledger"
)

// end stores an execution's end, again and again while that fails, as on a full
// disk: until then it counts as under way. When the engine is closed meanwhile,
// the execution is run again at the next start.
func (e *Engine) end(r *run, res *asl.Result) {
	for pause := firstEndPause; ; pause = min(2*pause, lastEndPause) {
		err := e.finish(r, res)
		if err == nil {
			return
		}
		e.o.Log.Error("the end of an execution could not be stored; it is tried again", "execution", r.job.name, "error", err, "pause", pause)
		if r.Sleep(e.ctx, pause) != nil {
			return
		}
	}
}

// finish stores, in this order, what a crash in between leaves to be completed:
// the dead letter, the trace, the outcome, and at last that the job is done. What
// an earlier attempt has stored is not stored twice.
func (e *Engine) finish(r *run, res *asl.Result) error {
	ctx := context.WithoutCancel(e.ctx)
	o := r.outcome(res)
	if o != nil && o.Kind == ledger.Dead && !r.lettered {
		if err := e.letter(ctx, r, res); err != nil {
			return err
		}
	}
	if !r.traced {
		if err := e.trace(r, res, o); err != nil {
			return err
		}
		r.traced = true
	}
	if o != nil && !r.told {
		o.Start = res.Start.UTC()
		if err := e.tell(*o); err != nil {
			return err
		}
		r.told = true
	}
	if err := e.store.done(ctx, r.job); err != nil {
		return err
	}
	return e.conclude(ctx, r, o)
}

// trace stores an execution's trace and lists it as ended.
func (e *Engine) trace(r *run, res *asl.Result, o *Outcome) error {
	s := r.summary(res, o)
	line, err := encode(s, r, res)
	if err != nil {
		return err
	}
	n, err := e.traces.Append(line)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remember(n, s)
	return nil
}

// tell stores an outcome, which gives it its cursor.
func (e *Engine) tell(o Outcome) error {
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if o.Cursor, err = e.outcomes.Append(line); err == nil && e.o.Ended != nil {
		e.o.Ended(o)
	}
	return err
}

// Dropped records an event that the ingress ended without an execution; it is
// for flow.Ingress.Dropped.
func (e *Engine) Dropped(env flow.Envelope, o ledger.Outcome) {
	out := Outcome{
		Execution: o.Execution, Direction: env.Direction, Pair: env.Pair, Ref: e.ref(env),
		Kind: o.Kind, Reason: o.Reason, At: o.At, Events: o.Events,
	}
	if err := e.tell(out); err != nil {
		e.o.Log.Error("an outcome could not be stored", "execution", o.Execution, "error", err)
	}
}
