package simulation

import (
	"context"
	"maps"
	"strconv"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table"
)

// Broken are protocols that look right and are not: each leaves out one thing.
// They are kept to show that the simulation finds what is wrong.
var Broken = []Variant{
	{Name: "no lease", Table: func(t table.Table) table.Table { return &careless{&forgetful{Table: t, drop: "lease"}} }},
	{Name: "no intent", Table: func(t table.Table) table.Table { return &forgetful{Table: t, drop: "intent"} }},
	{Name: "lost writes not expected", Table: func(t table.Table) table.Table { return &forgetful{Table: t, drop: "ghosts"} }},
	{Name: "overwritten edits not looked for", Table: func(t table.Table) table.Table { return &forgetful{Table: t, drop: "w:"} }},
	{Name: "no fencing", Table: func(t table.Table) table.Table { return &careless{&hasty{t}} }},
	{Name: "claim on the source only", Crowded: true, Table: func(t table.Table) table.Table { return &lonely{t} }},
	{Name: "stamp what was sent", Remote: func(s record.System, r flow.Remote) flow.Remote { return &trusting{r} }},
	{Name: "echo by a time window", Step: windowEcho},
	{Name: "search believed at once", Remote: func(s record.System, r flow.Remote) flow.Remote { return &gullible{r} }},
	{Name: "what is read back is ours", Remote: func(s record.System, r flow.Remote) flow.Remote { return &hopeful{r} }},
	{Name: "no condition on the write", Remote: func(s record.System, r flow.Remote) flow.Remote { return &blind{r} }},
}

// forgetful loses one attribute of every row, or all whose names begin like it.
type forgetful struct {
	table.Table
	drop string
}

// Update implements table.Table.
func (f *forgetful) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	for i := range updates {
		updates[i].Set = maps.Clone(updates[i].Set)
		maps.DeleteFunc(updates[i].Set, func(name, _ string) bool {
			return name == f.drop || strings.HasSuffix(f.drop, ":") && strings.HasPrefix(name, f.drop)
		})
	}
	return f.Table.Update(ctx, updates...)
}

// careless stores every stamp, whoever has the lease by now.
type careless struct{ table.Table }

// Update implements table.Table.
func (c *careless) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	for i := range updates {
		if _, stamp := updates[i].Set["stampedAt"]; stamp {
			updates[i].If = table.Always
		}
	}
	return c.Table.Update(ctx, updates...)
}

// hasty takes leases that lapse while their work goes on. That is safe, as
// TestShortLeasesAreSafe shows, as long as stamps are fenced.
type hasty struct{ table.Table }

// Update implements table.Table.
func (h *hasty) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	for i := range updates {
		if ends, err := strconv.ParseInt(updates[i].Set["lease"], 10, 64); err == nil {
			updates[i].Set = maps.Clone(updates[i].Set)
			updates[i].Set["lease"] = strconv.FormatInt(ends-ledger.Lease.Milliseconds()+50, 10)
		}
	}
	return h.Table.Update(ctx, updates...)
}

// lonely claims nothing but the source's own row.
type lonely struct{ table.Table }

func shared(k table.Key) bool {
	return strings.HasPrefix(k.PK, "KEY#") || strings.HasPrefix(k.PK, "FLIGHT#")
}

// Update implements table.Table.
func (l *lonely) Update(ctx context.Context, updates ...table.Update) ([]int64, error) {
	var own []table.Update
	for _, u := range updates {
		if !shared(u.Key) {
			own = append(own, u)
		}
	}
	if len(own) == 0 {
		return make([]int64, len(updates)), nil
	}
	return l.Table.Update(ctx, own...)
}

// trusting believes that a system stored what it was sent.
type trusting struct{ flow.Remote }

// Update implements flow.Remote.
func (t *trusting) Update(ctx context.Context, object, id string, fields record.Fields, etag string) (record.Record, error) {
	rec, err := t.Remote.Update(ctx, object, id, fields, etag)
	rec.Fields = fields
	return rec, err
}

// Create implements flow.Remote.
func (t *trusting) Create(ctx context.Context, object string, fields record.Fields, externalID, key string) (record.Record, error) {
	rec, err := t.Remote.Create(ctx, object, fields, externalID, key)
	rec.Fields = fields
	return rec, err
}

// hopeful takes what stands there after a write for what was written.
type hopeful struct{ flow.Remote }

// Update implements flow.Remote.
func (h *hopeful) Update(ctx context.Context, object, id string, fields record.Fields, etag string) (record.Record, error) {
	rec, err := h.Remote.Update(ctx, object, id, fields, etag)
	if err == nil && len(rec.Fields) == 0 {
		return h.Remote.Read(ctx, object, id, fields.Names())
	}
	return rec, err
}

// blind writes whether or not the record has moved.
type blind struct{ flow.Remote }

// Update implements flow.Remote.
func (b *blind) Update(ctx context.Context, object, id string, fields record.Fields, _ string) (record.Record, error) {
	return b.Remote.Update(ctx, object, id, fields, "")
}

// gullible takes what a lagging search index does not show for absent.
type gullible struct{ flow.Remote }

// Find implements flow.Remote.
func (g *gullible) Find(ctx context.Context, object, property, value string, properties []string) ([]record.Record, bool, error) {
	found, _, err := g.Remote.Find(ctx, object, property, value, properties)
	return found, true, err
}

// echoWindow is how long a hash of the last write is remembered elsewhere.
const echoWindow = 20 * time.Second

// windowEcho takes every event soon after a stamp for an echo.
func windowEcho(f *flow.Flow, ctx context.Context, step string, s flow.State) (any, error) {
	if step == "Lookup" {
		pair, _ := f.Spec.PairByName(s.Event.Pair)
		sys := s.Event.Direction.Source()
		p, err := f.Ledger.Find(ctx, pair, record.Ref{System: sys, Object: pair.Side(sys).Object, ID: s.Event.ID}, "")
		if err == nil && p.State == ledger.Linked && f.Now().Sub(p.StampedAt) < echoWindow {
			return &flow.Plan{Act: flow.ActDrop, Reason: "echo"}, nil
		}
	}
	return f.Handle(ctx, step, s)
}
