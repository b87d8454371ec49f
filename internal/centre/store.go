package centre

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"tandem/internal/beat"
	"tandem/internal/table"
)

// Partitions of the Centre's table, and how long rows without news are kept.
const (
	pkState  = "STATE"  // SK client#handler: State
	pkNonce  = "NONCE#" // PK with the nonce: beats that were counted
	pkWatch  = "WATCH"  // SK kind#...: memory, what was last told
	pkOutbox = "OUTBOX" // notices not yet delivered
	pkTold   = "TOLD"   // notices delivered, for the page
	pkLogin  = "LOGIN#" // PK with the address' hash: failed logins

	stateLife = 30 * 24 * time.Hour
	nonceLife = time.Hour // longer than beat.Reporter sends a beat again
	toldLife  = 7 * 24 * time.Hour

	attrJSON = "json"
)

// errReplay says that a beat was counted before.
var errReplay = errors.New("this beat was counted before")

// tries bounds how often a change is decided again when another process was first.
const tries = 12

func stateKey(client, id string) table.Key {
	return table.Key{PK: pkState, SK: client + "#" + id}
}

// store adds a beat to its handler's row, together with its nonce, once.
func (c *Centre) store(ctx context.Context, b *beat.Beat) error {
	now := c.o.Now()
	nonce := table.Key{PK: pkNonce + b.Client, SK: b.Nonce}
	s := State{Client: b.Client, Handler: b.Handler, Direction: b.Direction}
	key := stateKey(b.Client, s.ID())
	for range tries {
		items, err := c.o.Table.Get(ctx, key, nonce)
		if err != nil {
			return fmt.Errorf("read state: %w", err)
		}
		if items[1].Rev != 0 {
			return errReplay
		}
		s = State{}
		if err := decode(items[0], &s); err != nil {
			return err
		}
		s.apply(b, now)
		_, err = c.o.Table.Update(ctx,
			put(key, table.AtRev(items[0].Rev), &s, now.Add(stateLife)),
			table.Update{Key: nonce, If: table.Absent, Set: map[string]string{"seq": fmt.Sprint(b.Seq)}, Expires: now.Add(nonceLife)})
		if _, moved := table.Moved(err); !moved {
			return err
		}
	}
	return errors.New("state row is too busy")
}

// cached is a decoded state and the text it came from. (A revision would not
// do: a row that was forgotten and came back begins at 1 again.)
type cached struct {
	raw   string
	state *State
}

// states reads every handler's state, in the order client, handler. Rows that
// have not changed since this process last read them are not decoded again.
// The states are shared: callers only read them.
func (c *Centre) states(ctx context.Context) ([]*State, error) {
	items, err := c.all(ctx, pkState)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := make(map[table.Key]cached, len(items))
	out := make([]*State, 0, len(items))
	for _, it := range items {
		e := c.cache[it.Key]
		if raw := it.Attrs[attrJSON]; e.state == nil || e.raw != raw {
			e = cached{raw, &State{}}
			if err := decode(it, e.state); err != nil {
				return nil, err
			}
		}
		fresh[it.Key] = e
		out = append(out, e.state)
	}
	c.cache = fresh
	return out, nil
}

// all reads one partition, page by page.
func (c *Centre) all(ctx context.Context, pk string) ([]table.Item, error) {
	const page = 1000
	var out []table.Item
	for after := ""; ; {
		items, err := c.o.Table.Query(ctx, pk, after, page)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", pk, err)
		}
		out = append(out, items...)
		if len(items) < page {
			return out, nil
		}
		after = items[len(items)-1].SK
	}
}

func put(key table.Key, when table.Condition, v any, expires time.Time) table.Update {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own structs of text and numbers always encode
	}
	return table.Update{Key: key, If: when, Set: map[string]string{attrJSON: string(raw)}, Expires: expires}
}

func decode(it table.Item, v any) error {
	raw := it.Attrs[attrJSON]
	if raw == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(raw), v); err != nil {
		return fmt.Errorf("row %s/%s is not what this version writes: %w", it.PK, it.SK, err)
	}
	return nil
}
