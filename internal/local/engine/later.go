package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/table"
	"tandem/spec"
)

// later is the partition of events that a machine has postponed: what a delay
// queue and the function behind it are in AWS. A row's key is the job that wrote
// it, so that a job that runs again after a crash postpones once.
const later = "LATER"

// postponed is an event that waits for its next execution.
type postponed struct {
	key table.Key
	due time.Time
	job job // without number
	in  json.RawMessage
	why flow.Cause // known to the execution that postponed it
}

// postpone keeps what the machine would send to the queue of later events.
func (r *run) postpone(ctx context.Context, input json.RawMessage) (json.RawMessage, error) {
	var m struct {
		DelaySeconds int
		MessageBody  flow.Postponed
	}
	if err := json.Unmarshal(input, &m); err != nil {
		return nil, fmt.Errorf("the postponed event is not the JSON that the machine writes: %w", err)
	}
	name, in, err := m.MessageBody.Next()
	if err != nil {
		return nil, err
	}
	p := postponed{
		key: table.Key{PK: later, SK: sortable(r.job.seq)}, due: time.Now().Add(time.Duration(m.DelaySeconds) * time.Second),
		job: job{direction: m.MessageBody.Machine, name: name}, in: in, why: m.MessageBody.Error,
	}
	if err := r.engine.store.postpone(ctx, p); err != nil {
		return nil, err
	}
	r.waits = &p
	return json.Marshal(map[string]string{"MessageId": p.key.SK})
}

// conclude lets the postponed event of an ended execution wait for its time. One
// that ended badly after all has its dead letter instead.
func (e *Engine) conclude(ctx context.Context, r *run, o *Outcome) error {
	switch {
	case r.waits == nil:
		return nil
	case o == nil:
		if e.o.Postponed != nil {
			e.o.Postponed(flow.Code(r.waits.why.Error))
		}
		e.schedule(*r.waits)
		return nil
	}
	return e.store.drop(ctx, r.waits.key)
}

func (s *store) drop(ctx context.Context, key table.Key) error {
	_, err := s.table.Update(ctx, table.Update{Key: key, If: table.Always, Delete: true})
	return err
}

func (s *store) postpone(ctx context.Context, p postponed) error {
	_, err := s.table.Update(ctx, table.Update{Key: p.key, If: table.Always, Set: map[string]string{
		"direction": string(p.job.direction), "name": p.job.name, "input": string(p.in), "due": strconv.FormatInt(p.due.UnixMilli(), 10),
	}})
	return err
}

// postponed lists the events that wait, and takes out those of unfinished jobs,
// which are run again.
func (s *store) postponed(ctx context.Context, unfinished map[string]bool) (out []postponed, err error) {
	return out, s.each(ctx, later, "", func(it table.Item) error {
		if unfinished[it.SK] {
			return s.drop(ctx, it.Key)
		}
		ms, _ := strconv.ParseInt(it.Attrs["due"], 10, 64)
		out = append(out, postponed{
			key: it.Key, due: time.UnixMilli(ms), in: json.RawMessage(it.Attrs["input"]),
			job: job{direction: spec.Direction(it.Attrs["direction"]), name: it.Attrs["name"]},
		})
		return nil
	})
}

// resume turns a postponed event into an accepted execution, in one step.
func (s *store) resume(ctx context.Context, p postponed) (job, error) {
	s.mu.Lock()
	s.last++
	j := job{seq: s.last, direction: p.job.direction, name: p.job.name}
	s.mu.Unlock()
	_, err := s.table.Update(ctx, acceptance(j, p.in), table.Update{Key: p.key, If: table.Always, Delete: true})
	return j, err
}

// schedule lets a postponed event go on when it is due.
func (e *Engine) schedule(p postponed) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.deferred++
	time.AfterFunc(e.o.Wait(time.Until(p.due)), func() { e.resume(p) })
}

func (e *Engine) resume(p postponed) {
	e.mu.Lock()
	closing := e.closing
	if !closing {
		e.resuming.Add(1)
	}
	e.mu.Unlock()
	if closing {
		return // it is in the store, and scheduled again when that is opened next
	}
	defer e.resuming.Done()
	j, err := e.store.resume(context.WithoutCancel(e.ctx), p)
	if err != nil {
		e.o.Log.Error("a postponed event could not be started; it is tried again in a minute", "execution", p.job.name, "error", err)
		time.AfterFunc(time.Minute, func() { e.resume(p) })
		return
	}
	e.mu.Lock()
	e.deferred--
	e.queue = append(e.queue, j)
	e.mu.Unlock()
	e.rouse()
}

// isLater reports whether a message is for the queue of later events.
func isLater(input json.RawMessage) bool {
	var m struct{ QueueUrl string }
	return json.Unmarshal(input, &m) == nil && strings.Contains(m.QueueUrl, "LaterUrl")
}
