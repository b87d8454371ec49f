package centre

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"tandem/internal/table"
)

const (
	// claimLife is how long a process may take to deliver what it has claimed.
	// One that dies between Slack's answer and the next write leaves a notice
	// that is sent twice: incoming webhooks have no idempotency key to prevent it.
	claimLife = 2 * time.Minute
	// maxNotices is how many notices one message may sum up.
	maxNotices = 500
	// perUpdate notices fit one transaction when each takes two updates.
	perUpdate = table.MaxBatch / 2

	attrClaim = "claim" // Unix milliseconds until which the row is taken
)

// deliver sends every notice that nobody else has claimed, as one message.
func (c *Centre) deliver(ctx context.Context) error {
	rows, err := c.claim(ctx)
	if len(rows) == 0 {
		return err
	}
	notices := make([]Notice, len(rows))
	for i, r := range rows {
		if err := decode(r, &notices[i]); err != nil {
			return err
		}
	}
	if sendErr := c.o.Slack.Send(ctx, compose(notices, c.o)); sendErr != nil {
		wait := 30 * time.Second
		if e, ok := errors.AsType[*SlackError](sendErr); ok && e.RetryAfter > wait {
			wait = e.RetryAfter
		}
		return errors.Join(fmt.Errorf("tell Slack: %w", sendErr), err, c.release(ctx, rows, wait))
	}
	return errors.Join(err, c.told(context.WithoutCancel(ctx), rows))
}

// claim takes the free notices, a transaction at a time: of two processes one
// gets them all and the other none.
func (c *Centre) claim(ctx context.Context) ([]table.Item, error) {
	items, err := c.o.Table.Query(ctx, pkOutbox, "", maxNotices)
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	now := c.o.Now()
	free := items[:0:0]
	for _, it := range items {
		until, _ := strconv.ParseInt(it.Attrs[attrClaim], 10, 64)
		if now.UnixMilli() >= until {
			free = append(free, it)
		}
	}
	for start := 0; start < len(free); start += table.MaxBatch {
		part := free[start:min(start+table.MaxBatch, len(free))]
		revs, err := c.o.Table.Update(ctx, claims(part, now.Add(claimLife))...)
		if _, moved := table.Moved(err); moved {
			return free[:start], nil
		}
		if err != nil {
			return free[:start], err
		}
		for i := range part {
			part[i].Rev = revs[i]
		}
	}
	return free, nil
}

func claims(rows []table.Item, until time.Time) []table.Update {
	out := make([]table.Update, len(rows))
	for i, r := range rows {
		out[i] = table.Update{Key: r.Key, If: table.AtRev(r.Rev), Set: map[string]string{attrClaim: strconv.FormatInt(until.UnixMilli(), 10)}}
	}
	return out
}

// release gives notices back after a failed delivery, to be tried after wait.
func (c *Centre) release(ctx context.Context, rows []table.Item, wait time.Duration) error {
	return c.inParts(ctx, rows, func(part []table.Item) []table.Update {
		return claims(part, c.o.Now().Add(wait))
	})
}

// told moves delivered notices to the history the page shows. What stays behind
// is sent again when its claim ends, so a busy table is asked more than once.
func (c *Centre) told(ctx context.Context, rows []table.Item) error {
	expires := c.o.Now().Add(toldLife)
	return c.inParts(ctx, rows, func(part []table.Item) []table.Update {
		var out []table.Update
		for _, r := range part {
			out = append(out, table.Update{Key: r.Key, If: table.AtRev(r.Rev), Delete: true},
				table.Update{Key: table.Key{PK: pkTold, SK: newestFirst(r.SK)}, If: table.Always,
					Set: map[string]string{attrJSON: r.Attrs[attrJSON]}, Expires: expires})
		}
		return out
	})
}

// newestFirst turns the leading milliseconds of an outbox key round, since a
// query lists a partition in one order only.
func newestFirst(sk string) string {
	ms, _ := strconv.ParseInt(sk[:13], 10, 64)
	return fmt.Sprintf("%013d%s", int64(9_999_999_999_999)-ms, sk[13:])
}

func (c *Centre) inParts(ctx context.Context, rows []table.Item, change func([]table.Item) []table.Update) error {
	for start := 0; start < len(rows); start += perUpdate {
		if err := c.insist(ctx, change(rows[start:min(start+perUpdate, len(rows))])); err != nil {
			return fmt.Errorf("update outbox: %w", err)
		}
	}
	return nil
}

// insist repeats an update that the table did not answer. A condition that
// fails on the way means that an earlier attempt was stored after all.
func (c *Centre) insist(ctx context.Context, updates []table.Update) error {
	var err error
	for range 3 {
		if _, err = c.o.Table.Update(ctx, updates...); err == nil {
			return nil
		}
		if _, moved := table.Moved(err); moved {
			return nil
		}
	}
	return err
}

// history lists the newest delivered notices.
func (c *Centre) history(ctx context.Context, n int) ([]Notice, error) {
	items, err := c.o.Table.Query(ctx, pkTold, "", n)
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	out := make([]Notice, len(items))
	for i, it := range items {
		if err := decode(it, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
