package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

// Kind is how an event ended. Every event ends in exactly one.
type Kind string

// The outcomes. A dead-lettered event's record is its message in the queue.
const (
	Stamped    Kind = "stamped"
	Dropped    Kind = "dropped"
	ParkedKind Kind = "parked"
	Dead       Kind = "dead"
)

// Outcome is how one execution ended, without any value.
type Outcome struct {
	At        time.Time `json:"at"`
	Execution string    `json:"exec"`
	Direction string    `json:"dir"`
	Kind      Kind      `json:"kind,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	// Fields are the names of the fields written, Parked those taken out.
	Fields []string `json:"fields,omitempty"`
	Parked []string `json:"parkedFields,omitempty"`
	Events []string `json:"events,omitempty"`
	Spec   string   `json:"spec,omitempty"`
}

// outcomeLife is how long outcomes without a stamp are kept.
const outcomeLife = 30 * 24 * time.Hour

func outcomeKey(ref record.Ref, o Outcome) table.Key {
	return table.Key{PK: outcomePK(ref), SK: newestFirst(o.At) + "#" + o.Execution}
}

// Names of an outcome's row.
const (
	outPK       = "OUT#"
	attrOutcome = "outcome"
)

func outcomePK(ref record.Ref) string {
	return outPK + string(ref.System) + "#" + ref.Object + "#" + ref.ID
}

// Record stores the outcome of an event that stamped nothing.
func (l *Ledger) Record(ctx context.Context, ref record.Ref, o Outcome) error {
	_, err := l.Table.Update(ctx, table.Update{
		Key: outcomeKey(ref, o), If: table.Always, Set: map[string]string{attrOutcome: toJSON(o)},
		Expires: l.Now().Add(outcomeLife),
	})
	return err
}

// mostOutcomes is how many outcomes of a record are read: what is compared every
// quarter of an hour and waits for a person has thousands.
const mostOutcomes = 100

// Outcomes lists the newest recorded outcomes of one record that stamped nothing,
// oldest first.
func (l *Ledger) Outcomes(ctx context.Context, ref record.Ref) ([]Outcome, error) {
	items, err := l.Table.Query(ctx, outcomePK(ref), "", mostOutcomes)
	out := make([]Outcome, 0, len(items))
	for _, it := range items {
		var o Outcome
		fromJSON(it.Attrs[attrOutcome], &o)
		out = append(out, o)
	}
	slices.Reverse(out)
	return out, err
}

// Conflict is a field that both sides changed, or a value that was overwritten
// unseen: who won, and what the loser held.
type Conflict struct {
	At        time.Time     `json:"at"`
	Execution string        `json:"exec"`
	Pair      string        `json:"pair"`
	Field     string        `json:"field"`
	Policy    string        `json:"policy"`
	Winner    record.System `json:"winner"`
	// Loser is the value that was not kept; for an edit that was overwritten
	// before it was read, only its fingerprint is known (LoserPrint).
	Loser      string `json:"loser,omitempty"`
	LoserPrint string `json:"loserPrint,omitempty"`
}

// Lost says what was lost, as a person reads it: a blank, too, may be somebody's edit.
func (c Conflict) Lost() string {
	switch {
	case c.LoserPrint != "":
		return "fingerprint " + c.LoserPrint
	case c.Loser == "" && c.Policy == "overwritten":
		return "a value that nobody has read"
	}
	return strconv.Quote(c.Loser)
}

// Lose stores conflicts below a record. They hold values, so that a person can
// restore one; a privacy deletion removes them. One told of twice is one.
func (l *Ledger) Lose(ctx context.Context, of record.Ref, conflicts ...Conflict) error {
	var updates []table.Update
	for _, c := range conflicts {
		u := table.Update{Key: conflictKey(of, c), If: table.Always, Set: map[string]string{"conflict": toJSON(c)}, Expires: l.Now().Add(outcomeLife)}
		if !slices.ContainsFunc(updates, func(other table.Update) bool { return other.Key == u.Key }) {
			updates = append(updates, u)
		}
	}
	if len(updates) == 0 {
		return nil
	}
	_, err := l.Table.Update(ctx, updates...)
	return err
}

// bequeath moves what one record has lost to below another: nobody would find it below
// an alias, or a record that has parted from its partner, and no erasure.
func (l *Ledger) bequeath(ctx context.Context, from, to record.Ref) error {
	lost, err := l.Conflicts(ctx, from)
	for some := range slices.Chunk(lost, 20) {
		if err == nil {
			err = l.Lose(ctx, to, some...)
		}
	}
	if err == nil && len(lost) > 0 {
		_, err = l.erasePartition(ctx, conflictPK(from))
	}
	return err
}

// conflictKey is the same however often an event is decided on: during an outage
// its value loses a hundred times before the write succeeds. Of an edit that was
// overwritten the sender's time tells, since another delivery may tell of it, too.
func conflictKey(of record.Ref, c Conflict) table.Key {
	lost, which := sha256.Sum256([]byte(c.Loser+"\x1f"+c.LoserPrint)), c.Execution
	if c.Policy == "overwritten" {
		which = strconv.FormatInt(c.At.UnixMilli(), 10)
	}
	return table.Key{PK: conflictPK(of), SK: which + "#" + c.Field + "#" + hex.EncodeToString(lost[:4])}
}

func conflictPK(of record.Ref) string {
	return "LOST#" + string(of.System) + "#" + of.Object + "#" + of.ID
}

// Losses lists what a pair's conflicts lost, oldest first: below its HubSpot record,
// and below whichever destination record it was linked to at the time.
func (l *Ledger) Losses(ctx context.Context, sp spec.Pair, p *Pair) (lost []Conflict, err error) {
	for _, ref := range p.past(sp) {
		more, err := l.Conflicts(ctx, ref)
		if err != nil {
			return nil, err
		}
		lost = append(lost, more...)
	}
	slices.SortStableFunc(lost, func(a, b Conflict) int { return a.At.Compare(b.At) })
	return lost, nil
}

// Conflicts lists what is kept below one record, oldest first.
func (l *Ledger) Conflicts(ctx context.Context, of record.Ref) ([]Conflict, error) {
	var out []Conflict
	for after := ""; ; {
		items, err := l.Table.Query(ctx, conflictPK(of), after, 100)
		if err != nil {
			return nil, err
		}
		if len(items) == 0 {
			slices.SortStableFunc(out, func(a, b Conflict) int { return a.At.Compare(b.At) })
			return out, nil
		}
		for _, it := range items {
			var c Conflict
			fromJSON(it.Attrs["conflict"], &c)
			out, after = append(out, c), it.SK
		}
	}
}
