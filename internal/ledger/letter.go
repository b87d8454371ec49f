package ledger

import (
	"context"
	"time"

	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

// Letter is a dead letter that was seen in the queue. The queue is what counts;
// this row says that the letter was told of, and shows it beside other outcomes.
type Letter struct {
	// Message is the execution that sent it; a redriven event's is another one.
	Message string     `json:"-"`
	At      time.Time  `json:"at"`
	Ref     record.Ref `json:"ref"`
	// Execution is the event's own, the name that its outcomes go by.
	Execution string `json:"exec"`
	// Code is the error's name; Detail its text, which holds no value.
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
}

// letterLife is how long SQS keeps a message at most.
const letterLife = 14 * 24 * time.Hour

// LetterKey is the row of the dead letter that an execution has sent.
func LetterKey(d spec.Direction, message string) table.Key {
	return table.Key{PK: "DEAD#" + string(d), SK: message}
}

// Unheard keeps of the letters those that no row tells of yet, at most
// table.MaxBatch at once.
func (l *Ledger) Unheard(ctx context.Context, d spec.Direction, letters []Letter) ([]Letter, error) {
	if len(letters) == 0 {
		return nil, nil
	}
	keys := make([]table.Key, len(letters))
	for i, one := range letters {
		keys[i] = LetterKey(d, one.Message)
	}
	items, err := l.Table.Get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	var unheard []Letter
	for i, it := range items {
		if it.Rev == 0 {
			unheard = append(unheard, letters[i])
		}
	}
	return unheard, nil
}

// Hear notes a letter under its LetterKey, once.
func (l *Ledger) Hear(ctx context.Context, key table.Key, one Letter) error {
	_, err := l.Table.Update(ctx, table.Update{Key: key, If: table.Absent, Set: map[string]string{"letter": toJSON(one)}, Expires: one.At.Add(letterLife)})
	if _, heard := table.Moved(err); heard {
		return nil
	}
	return err
}

// Letters lists the dead letters of a direction that were told of and neither
// redriven nor too old for the queue, at most limit.
func (l *Ledger) Letters(ctx context.Context, d spec.Direction, limit int) ([]Letter, error) {
	items, err := l.Table.Query(ctx, LetterKey(d, "").PK, "", limit)
	out := make([]Letter, len(items))
	for i, it := range items {
		fromJSON(it.Attrs["letter"], &out[i])
		out[i].Message = it.SK
	}
	return out, err
}

// described is the row that says which spec is deployed on this table.
var described = table.Key{PK: "SPEC", SK: "SPEC"}

// Describe stores the spec in force, so that whoever reads the table knows what
// its rows are of. It writes only when the spec has changed.
func (l *Ledger) Describe(ctx context.Context, hash, text string) error {
	items, err := l.Table.Get(ctx, described)
	if err != nil || items[0].Attrs["hash"] == hash {
		return err
	}
	_, err = l.Table.Update(ctx, table.Update{Key: described, If: table.Always, Set: map[string]string{"hash": hash, "spec": text}})
	return err
}

// Described is the spec in force as Describe was given it, "" before.
func (l *Ledger) Described(ctx context.Context) (hash, text string, err error) {
	items, err := l.Table.Get(ctx, described)
	if err != nil {
		return "", "", err
	}
	return items[0].Attrs["hash"], items[0].Attrs["spec"], nil
}
