package engine

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"

	"tandem/internal/local/journal"
	"tandem/internal/table/embedded"
)

// Sizes of the journals: 64 MiB of traces (about 3 KB each), 64 MiB of outcomes
// (about 300 bytes each).
const (
	segment      = 8 << 20
	keepTraces   = 8
	keepOutcomes = 8
)

func (e *Engine) open() (err error) {
	if e.traces, err = journal.Open(filepath.Join(e.o.Dir, "journal"), "traces", segment, keepTraces); err != nil {
		return err
	}
	if e.outcomes, err = journal.Open(filepath.Join(e.o.Dir, "journal"), "outcomes", segment, keepOutcomes); err != nil {
		return err
	}
	t, err := embedded.Open(filepath.Join(e.o.Dir, "queue"), nil)
	if err != nil {
		return err
	}
	e.store = &store{table: t}
	traced := map[uint64]bool{}
	err = e.traces.Scan(0, func(n uint64, line []byte) bool {
		if s, err := decodeSummary(line); err == nil {
			e.remember(n, s)
			traced[s.Job] = true
			e.store.last = max(e.store.last, s.Job)
		}
		return true
	})
	if err != nil {
		return err
	}
	queue, half, waiting, err := e.store.recover(e.ctx, traced)
	e.queue = queue
	for _, p := range waiting {
		e.schedule(p)
	}
	return errors.Join(err, e.complete(half))
}

// complete ends executions that a crash caught between their trace and their end.
func (e *Engine) complete(half []job) error {
	told := map[string]bool{}
	if len(half) > 0 {
		// Executions end side by side, so the outcome may not be the very last.
		recent := e.outcomes.Last() - min(e.outcomes.Last(), maxStarted)
		err := e.outcomes.Scan(recent, func(_ uint64, line []byte) bool {
			var o Outcome
			if json.Unmarshal(line, &o) == nil {
				told[o.Execution] = true
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	for _, j := range half {
		if s := e.latest(j.seq); s.Outcome != nil && !told[j.name] {
			if err := e.tell(*s.Outcome); err != nil {
				return err
			}
		}
		if err := e.store.done(e.ctx, j); err != nil {
			return err
		}
	}
	return nil
}

// latest is the summary of a job that has been traced.
func (e *Engine) latest(seq uint64) Summary {
	for _, f := range slices.Backward(e.finished) {
		if f.Job == seq {
			return f.Summary
		}
	}
	return Summary{}
}
