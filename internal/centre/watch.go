package centre

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"tandem/internal/table"
)

// Notice is one thing to tell: a change of state, or a count of equal ones.
type Notice struct {
	Kind      string    `json:"kind"` // handler, check, portal, alarm or count
	Client    string    `json:"client,omitempty"`
	Handler   string    `json:"handler,omitempty"` // State.ID, or the alarm's name, or the portal's id
	Direction string    `json:"direction,omitempty"`
	Check     string    `json:"check,omitempty"`
	Topic     Topic     `json:"topic,omitempty"`
	State     string    `json:"state,omitempty"`
	Count     int       `json:"count"` // equal ones, or changes of state since the last notice
	Interval  int       `json:"interval,omitempty"`
	Since     time.Time `json:"since,omitzero"`
	At        time.Time `json:"at"`
	Link      string    `json:"link,omitempty"`
}

// Watch looks at every handler once and tells Slack what has changed. Two
// watches at once tell it once: each change is stored, conditionally, together
// with its notice, and a notice is delivered by whoever claims it first. It is
// called every minute, returns what failed, and leaves that for the next call.
func (c *Centre) Watch(ctx context.Context) error {
	now := c.o.Now()
	if err := c.expect(ctx, now); err != nil {
		return err
	}
	states, err := c.states(ctx)
	if err != nil {
		return err
	}
	memories, err := c.memories(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range states {
		errs = append(errs, c.watchHandler(ctx, s, memories, now))
	}
	for sk, it := range memories {
		if strings.HasPrefix(sk, "alarm#") {
			errs = append(errs, c.held(ctx, it, now))
		}
	}
	errs = append(errs, c.watchPortals(ctx, states, memories, now)...)
	errs = append(errs, c.deliver(ctx), c.ran(ctx, now))
	return errors.Join(errs...)
}

// expect gives every expected handler without a row one, as if it had beaten
// now: its first beat is due like any other.
func (c *Centre) expect(ctx context.Context, now time.Time) error {
	for _, e := range c.o.Expect {
		s := State{Client: e.Client, Handler: e.Handler, Direction: e.Direction, Interval: int(e.Interval / time.Second), LastBeat: now.UTC()}
		key := stateKey(s.Client, s.ID())
		if c.known(key) {
			continue
		}
		_, err := c.o.Table.Update(ctx, put(key, table.Absent, &s, now.Add(stateLife)))
		if _, there := table.Moved(err); err != nil && !there {
			return fmt.Errorf("expect %s/%s: %w", s.Client, s.ID(), err)
		}
	}
	return nil
}

func (c *Centre) known(key table.Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.cache[key]
	return ok
}

const skRan = "ran"

// ran notes that a watch has come to its end, for the page.
func (c *Centre) ran(ctx context.Context, now time.Time) error {
	_, err := c.o.Table.Update(ctx, put(table.Key{PK: pkWatch, SK: skRan}, table.Always, now.UTC(), now.Add(stateLife)))
	return err
}

func (c *Centre) memories(ctx context.Context) (map[string]table.Item, error) {
	items, err := c.all(ctx, pkWatch)
	out := make(map[string]table.Item, len(items))
	for _, it := range items {
		out[it.SK] = it
	}
	return out, err
}

// watchHandler compares one handler's state with what was told of it.
func (c *Centre) watchHandler(ctx context.Context, s *State, memories map[string]table.Item, now time.Time) error {
	muted := mutedUntil(memories, s.Client).After(now)
	it := memories["handler#"+s.Client+"#"+s.ID()]
	return c.remember(ctx, "handler#"+s.Client+"#"+s.ID(), it, now, func(m *watched) []Notice {
		notices := m.Handler.changes(stateOf(s, now), up, now, muted, Notice{Kind: "handler", Interval: s.Interval})
		for _, ch := range s.Checks {
			cm := m.Checks[ch.Name]
			notices = append(notices, cm.changes(checkState(ch), up, now, muted, Notice{Kind: "check", Check: ch.Name, Topic: Topic(ch.Code)})...)
			if m.Checks == nil {
				m.Checks = map[string]memory{}
			}
			m.Checks[ch.Name] = cm
		}
		if !muted {
			notices = append(notices, topicNotices(m.Handler.news(s.Heard, now))...)
		}
		for i := range notices {
			notices[i].Client, notices[i].Handler = s.Client, s.ID()
		}
		return notices
	})
}

// watched is what a WATCH row of a handler holds.
type watched struct {
	Handler memory            `json:"handler"`
	Checks  map[string]memory `json:"checks,omitempty"`
}

func stateOf(s *State, now time.Time) string {
	if isDown(s, now) {
		return down
	}
	return up
}

func (m *memory) changes(state, calm string, now time.Time, muted bool, n Notice) []Notice {
	m.observe(state, calm, now)
	if muted {
		m.unmuted()
	}
	ch, due := m.tell(now, muted)
	if !due {
		return nil
	}
	n.State, n.Since, n.Count, n.At = ch.State, ch.Since, ch.Changes, now
	return []Notice{n}
}

func topicNotices(news map[Topic]int) []Notice {
	var out []Notice
	for _, t := range slices.Sorted(maps.Keys(news)) {
		_, rest, _ := strings.Cut(string(t), "/")
		direction, _, _ := strings.Cut(rest, "/")
		out = append(out, Notice{Kind: "count", Topic: t, Count: news[t], Direction: direction})
	}
	return out
}

// remember changes a WATCH row and stores the notices the change leads to, all
// or nothing. When another watch was first, it has told what there was to tell.
func (c *Centre) remember(ctx context.Context, sk string, it table.Item, now time.Time, decide func(*watched) []Notice) error {
	var m, before watched
	if err := errors.Join(decode(it, &m), decode(it, &before)); err != nil {
		return err
	}
	notices := decide(&m)
	if len(notices) == 0 && it.Rev != 0 && reflect.DeepEqual(m, before) {
		return nil
	}
	updates := []table.Update{put(table.Key{PK: pkWatch, SK: sk}, table.AtRev(it.Rev), m, now.Add(stateLife))}
	for i, n := range notices {
		n.At = now.UTC()
		key := table.Key{PK: pkOutbox, SK: fmt.Sprintf("%013d#%s#%03d", now.UnixMilli(), sk, i)}
		updates = append(updates, put(key, table.Absent, n, time.Time{}))
	}
	_, err := c.o.Table.Update(ctx, updates...)
	if _, moved := table.Moved(err); moved {
		return nil
	}
	return err
}

// mute is the WATCH row of a client somebody wants to hear nothing of.
type mute struct {
	Until time.Time `json:"until"`
}

func muteSK(client string) string { return "mute#" + client }

func mutedUntil(memories map[string]table.Item, client string) time.Time {
	var m mute
	if raw := memories[muteSK(client)].Attrs[attrJSON]; raw != "" && json.Unmarshal([]byte(raw), &m) == nil {
		return m.Until
	}
	return time.Time{}
}

// Mute keeps notices of a client back until an instant; a past one ends it.
// What is still wrong then is told; what came and went is not.
func (c *Centre) Mute(ctx context.Context, client string, until time.Time) error {
	_, err := c.o.Table.Update(ctx, put(table.Key{PK: pkWatch, SK: muteSK(client)}, table.Always, mute{until.UTC()}, until.Add(stateLife)))
	return err
}

// Forget removes a handler that was taken out of service for good.
func (c *Centre) Forget(ctx context.Context, client, id string) error {
	_, err := c.o.Table.Update(ctx,
		table.Update{Key: stateKey(client, id), If: table.Always, Delete: true},
		table.Update{Key: table.Key{PK: pkWatch, SK: "handler#" + client + "#" + id}, If: table.Always, Delete: true})
	return err
}
