// Package canary proves that data flows. The spec may name one linked record that
// exists for this only (spec.Canary): each scheduled beat writes a new text into
// it on one side, through the same client as every write, and looks for the text
// of the beat before on the other side. Nothing else moves it there but the
// integration itself, from the webhook or poll to the stamp.
//
// It waits for nothing: what is on its way is remembered in the client's table
// and judged by the next beat. The text names the deployment that wrote it, so
// that a second one on the same portal gives itself away.
package canary

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"tandem/internal/beat"
	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

// Row is the partition of the texts on their way, one row per direction.
const Row = "CANARY"

// DefaultWithin is how long a text may take where the spec does not say.
const DefaultWithin = 2 * time.Minute

// Report is what a beat learnt.
type Report struct {
	// Checks has one answer per direction that has been tried, the round trip in
	// milliseconds in it. A first text is judged by the next beat.
	Checks []beat.Check
	// SecondWriter: another deployment's canary sings in the same record.
	SecondWriter bool
}

// Canary is the canary of one client.
type Canary struct {
	// Flow is the client's; its Remotes write the text.
	Flow *flow.Flow
	// Deployment is ledger.Ledger.Deployment.
	Deployment string
}

// flight is a direction's row: the text on its way, and the last answer.
type flight struct {
	Text string      `json:"text,omitempty"`
	At   time.Time   `json:"at,omitzero"`
	Last *beat.Check `json:"last,omitempty"`
}

// Beat judges the last texts and sends new ones. A spec without a canary
// reports nothing.
func (c *Canary) Beat(ctx context.Context) Report {
	var r Report
	can := c.Flow.Spec.Canary
	if can == nil {
		return r
	}
	for _, d := range []spec.Direction{spec.ToDestination, spec.ToHubSpot} {
		if can.Field(d) == "" {
			continue
		}
		check, rival := c.beat(ctx, d)
		if check != nil {
			check.Name = checkName(d)
			r.Checks = append(r.Checks, *check)
		}
		r.SecondWriter = r.SecondWriter || rival
	}
	return r
}

func checkName(d spec.Direction) string {
	if d == spec.ToHubSpot {
		return beat.CanaryToHubSpot
	}
	return beat.CanaryToDestination
}

// beat is one direction's. A process that was overtaken by another on the same
// table leaves the judgement to that one.
func (c *Canary) beat(ctx context.Context, d spec.Direction) (check *beat.Check, rival bool) {
	key := table.Key{PK: Row, SK: string(d)}
	items, err := c.Flow.Ledger.Table.Get(ctx, key)
	if err != nil {
		return failed(flow.StoreBusy), false
	}
	var f flight
	if raw := items[0].Attrs["flight"]; raw != "" && json.Unmarshal([]byte(raw), &f) != nil {
		f = flight{}
	}
	way, err := c.way(ctx, d)
	if err != nil {
		return failed(code(err)), false
	}
	if f.Text != "" {
		answer, other := c.landed(ctx, way, f)
		if rival = other; answer == nil && !rival {
			return f.Last, false
		}
		if answer != nil {
			f.Last = answer
		}
	}
	f.At = c.Flow.Now().UTC()
	f.Text = text(c.Deployment, f.At)
	if err := way.write(ctx, f.Text); err != nil {
		f.Text, f.Last = "", failed(code(err))
	}
	raw, _ := json.Marshal(f) // text, times and numbers always marshal
	_, err = c.Flow.Ledger.Table.Update(ctx, table.Update{Key: key, If: table.AtRev(items[0].Rev), Set: map[string]string{"flight": string(raw)}})
	if _, moved := table.Moved(err); err != nil && !moved {
		return failed(flow.StoreBusy), rival
	}
	return f.Last, rival
}

// way is where a direction's text is written and where it is to arrive.
type way struct {
	from, to          flow.Remote
	source, target    record.Ref
	property, arrival string
	field             string
	pair              *ledger.Pair
}

// way finds the record on both sides; one that is not linked cannot be tried.
func (c *Canary) way(ctx context.Context, d spec.Direction) (way, error) {
	can := c.Flow.Spec.Canary
	sp, _ := c.Flow.Spec.PairByName(can.Pair)
	f, ok := sp.FieldByName(can.Field(d))
	if !ok {
		return way{}, flow.Errorf(flow.Unexpected, "the canary's field is not in pair %s; tandem check says more", can.Pair)
	}
	ref := func(sys record.System, id string) record.Ref {
		return record.Ref{System: sys, Object: sp.Side(sys).Object, ID: id}
	}
	p, err := c.Flow.Ledger.Find(ctx, sp, ref(record.HubSpot, can.Record), "")
	switch {
	case err != nil:
		return way{}, flow.Errorf(flow.StoreBusy, "%v", err)
	case p.State != ledger.Linked:
		return way{}, flow.Errorf(flow.RecordMissing, "the canary's record is not linked")
	}
	return way{
		from: c.Flow.Remotes[d.Source()], to: c.Flow.Remotes[d.Target()], pair: p, field: f.Name,
		source: ref(d.Source(), p.IDs[d.Source()]), target: ref(d.Target(), p.IDs[d.Target()]),
		property: f.Side(d.Source()).Property, arrival: f.Side(d.Target()).Property,
	}, nil
}

func (w way) write(ctx context.Context, text string) error {
	_, err := w.from.Update(ctx, w.source.Object, w.source.ID, record.Fields{w.property: text}, "")
	return err
}

// landed judges a text that was sent: nil while it may still be on its way. A
// newer text of another deployment has covered ours, which then stays unjudged.
func (c *Canary) landed(ctx context.Context, w way, f flight) (answer *beat.Check, rival bool) {
	rec, err := w.to.Read(ctx, w.target.Object, w.target.ID, []string{w.arrival})
	if err != nil {
		return failed(code(err)), false
	}
	held, now := rec.Fields[w.arrival], c.Flow.Now()
	switch by, at := author(held); {
	case held == f.Text:
		return &beat.Check{OK: true, Millis: max(0, w.stamped(f, now).Sub(f.At).Milliseconds())}, false
	case by != "" && by != mark(c.Deployment) && at > f.At.UnixMilli():
		return nil, true
	}
	if now.Sub(f.At) < within(c.Flow.Spec.Canary) {
		return nil, false
	}
	return failed(flow.Code(beat.NotArrived)), false
}

// stamped is when the text was stamped: the pair remembers which execution wrote
// the field. Where that has passed out of its memory, it is now.
func (w way) stamped(f flight, now time.Time) time.Time {
	at := now
	for _, o := range w.pair.Outcomes {
		if o.Kind == ledger.Stamped && slices.Contains(o.Fields, w.field) && !o.At.Before(f.At) && o.At.Before(at) {
			at = o.At
		}
	}
	return at
}

func within(c *spec.Canary) time.Duration {
	if c.Within.Duration > 0 {
		return c.Within.Duration
	}
	return DefaultWithin
}

var song = regexp.MustCompile(`^tandem-canary-([0-9a-f]{8})-([0-9]{1,16})$`)

// text is lower case and without spaces, at most spec.CanaryLength characters.
func text(deployment string, at time.Time) string {
	return fmt.Sprintf("tandem-canary-%s-%d", mark(deployment), at.UnixMilli())
}

func mark(deployment string) string { return deployment[:min(8, len(deployment))] }

// author is whose text it is and of when, in Unix milliseconds; "" for any other text.
func author(text string) (by string, at int64) {
	m := song.FindStringSubmatch(text)
	if m == nil {
		return "", 0
	}
	at, _ = strconv.ParseInt(m[2], 10, 64)
	return m[1], at
}

func failed(c flow.Code) *beat.Check { return &beat.Check{Code: c} }

func code(err error) flow.Code {
	if c := flow.CodeOf(err); c != "" {
		return c
	}
	return flow.Code(beat.Other)
}
