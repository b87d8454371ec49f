// Package embedded is the table for one process: rows in memory, every change
// in an append-only log file, no server. It serves `tandem run` on a laptop,
// the tests and the simulation; it is not for two processes at once (they share
// a DynamoDB table instead) and not for data larger than memory.
//
// # Why not an emulator
//
// The one DynamoDB that can be linked into a Go program, truora/minidyn v0.8.2,
// passes 171 of the 202 conformance tests this project depends on: UpdateItem
// REMOVE leaves the attribute in place and reports success, a failed
// transaction does not return the old item, idempotency tokens are ignored, two
// concurrent CreateTable calls end the process, and nothing survives a restart.
// Package table needs three operations; here they are exact, and the suite in
// tabletest holds them against AWS's own DynamoDB Local.
//
// # What survives what
//
// An Update returns after its record has been handed to the operating system in
// one write, so it survives the end of the process, kill -9 included. With Sync
// it returns after fsync and survives loss of power; waiting callers share one
// fsync. Readers may see a change a moment before its fsync has ended.
//
// An Update that erases says so in its record. The log is rewritten soon after it, at
// most once a minute, and in any case when the table is closed or opened, so that what
// was erased is in none of the directory's files any more, kill -9 or not.
//
// A record cut short by a crash is dropped when the log is opened: nobody was
// told it had been stored. Damage anywhere else is an error, since dropping
// acknowledged changes silently would make records travel twice.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"tandem/internal/table"
)

// ErrClosed is returned by every call after Close.
var ErrClosed = errors.New("the embedded table is closed")

// Table implements table.Scanner. It starts no goroutines and, given a
// deterministic clock and calls in a fixed order, is deterministic.
type Table struct {
	now func() time.Time

	mu     sync.Mutex
	rows   rows
	log    *log // nil when in memory only
	lock   *lock
	sync   bool
	closed bool
	batch  []change // reused by Update
}

// Option changes how Open's table behaves.
type Option func(*Table)

// Sync makes every Update wait for fsync.
func Sync(t *Table) { t.sync = true }

// Open opens the table in directory dir, making both when absent. An empty dir
// keeps everything in memory. A nil now is time.Now. It fails when another process
// has the directory open and when the log is damaged before its end.
func Open(dir string, now func() time.Time, options ...Option) (*Table, error) {
	if now == nil {
		now = time.Now
	}
	t := &Table{now: now, rows: newRows()}
	for _, o := range options {
		o(t)
	}
	if dir == "" {
		return t, nil
	}
	var err error
	if t.lock, err = acquire(dir); err != nil {
		return nil, err
	}
	if t.log, err = openLog(dir, &t.rows, now()); err != nil {
		t.lock.release()
		return nil, err
	}
	return t, nil
}

// Truncated is how many bytes of an unfinished record Open cut off the log's end.
func (t *Table) Truncated() int64 {
	if t.log == nil {
		return 0
	}
	return t.log.truncated
}

// Close ends the table and lets another process open its directory.
func (t *Table) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	if t.log == nil {
		return nil
	}
	if t.rows.erased {
		t.log.compact(&t.rows, t.now())
	}
	err := t.log.close()
	t.lock.release()
	return err
}

// Get implements table.Table.
func (t *Table) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	if err := table.CheckKeys(keys...); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.usable(ctx); err != nil {
		return nil, err
	}
	now := t.now()
	items := make([]table.Item, len(keys))
	for i, k := range keys {
		items[i] = t.rows.live(k, now).item(k)
	}
	t.tidy() // erasures that wait are not to wait for a change
	return items, nil
}

// Update implements table.Table.
func (t *Table) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	if err := table.CheckUpdates(updates...); err != nil {
		return nil, err
	}
	if len(updates) == 0 {
		return nil, nil
	}
	revs, end, err := t.update(ctx, updates)
	if err == nil && t.sync && t.log != nil {
		err = t.log.syncTo(end)
	}
	if err != nil {
		return nil, err
	}
	return revs, nil
}

// update decides, logs and applies under the lock, and returns the position in
// the log up to which the caller must wait for fsync.
func (t *Table) update(ctx context.Context, updates []table.Update) ([]int64, int64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.usable(ctx); err != nil {
		return nil, 0, err
	}
	if err := t.decide(updates); err != nil {
		return nil, 0, err
	}
	var end int64
	if t.log != nil {
		var err error
		if end, err = t.log.append(t.batch); err != nil {
			return nil, 0, err
		}
	}
	revs := make([]int64, len(updates))
	for i, c := range t.batch {
		t.rows.apply(c)
		if c.row != nil && table.TellsRev(updates, i) {
			revs[i] = c.row.rev
		}
	}
	clear(t.batch)
	t.tidy()
	return revs, end, nil
}

// decide fills t.batch with what the updates make of their rows, or says which
// condition fails first. Nothing has changed until the batch is applied.
func (t *Table) decide(updates []table.Update) error {
	now := t.now()
	t.batch = t.batch[:0]
	for i, u := range updates {
		old := t.rows.live(u.Key, now)
		if !u.If.Unconditional() && u.If.Rev() != old.revision() {
			return &table.ConditionError{Current: old.item(u.Key)}
		}
		c := change{key: u.Key, erase: u.Erase}
		if !u.Delete {
			c.row = old.changed(u)
			if size := c.row.size(u.Key); size > table.MaxItemBytes {
				return fmt.Errorf("%w: update %d: the row would weigh %d bytes, at most %d",
					table.ErrInvalid, i, size, table.MaxItemBytes)
			}
		}
		t.batch = append(t.batch, c)
	}
	return nil
}

// Query implements table.Table.
func (t *Table) Query(ctx context.Context, pk, after string, limit int) ([]table.Item, error) {
	if err := table.CheckQuery(pk, limit); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.usable(ctx); err != nil {
		return nil, err
	}
	return t.rows.query(pk, after, limit, t.now()), nil
}

// Scan implements table.Scanner. Writers wait for one partition at a time, never for all.
func (t *Table) Scan(ctx context.Context, each func(table.Item)) error {
	t.mu.Lock()
	partitions := slices.Collect(maps.Keys(t.rows.partitions))
	t.mu.Unlock()
	for _, pk := range partitions {
		items, err := t.Query(ctx, pk, "", math.MaxInt)
		if err != nil {
			return err
		}
		for _, it := range items {
			each(it)
		}
	}
	return nil
}

func (t *Table) usable(ctx context.Context) error {
	if t.closed {
		return ErrClosed
	}
	return ctx.Err()
}

// tidy drops expired rows and rewrites the log, each when enough has gathered
// that the work is paid for by the changes since the last time. What was erased does not
// wait for that.
func (t *Table) tidy() {
	if t.rows.count >= t.rows.sweepAt {
		t.rows.sweep(t.now())
	}
	if t.log != nil && (t.log.due() || t.rows.erased && t.log.rested(t.now())) {
		t.log.compact(&t.rows, t.now())
	}
}
