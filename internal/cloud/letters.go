package cloud

import (
	"cmp"
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"tandem/internal/beat"
	"tandem/internal/cloud/awsjson"
	"tandem/internal/cloud/names"
	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// The machines send a dead letter straight to its queue, and no function is asked
// on the way: nothing can delay or lose it. What lies there is looked at with
// every self-check, and each letter is counted once, by the error that is written
// in it: the row that shows it on the Centre's page says that the Centre knows.

const (
	// looked is how many times ten letters are looked at in one self-check. Of more,
	// SQS shows others the next time.
	looked = 50
	// hidden keeps one look from meeting a letter twice, in seconds; they are given
	// back at its end, for whoever redrives.
	hidden = 30
	// lookWithin bounds a look.
	lookWithin = 15 * time.Second
)

// letter is a message in the queue: of the state DeadLetter, or one of the state
// Later that could not be started again and has no error in it.
type letter struct {
	Execution string         `json:"execution"`
	Machine   spec.Direction `json:"machine"`
	Event     flow.Envelope  `json:"event"`
	Error     flow.Cause     `json:"error"`
}

// received is one message as SQS hands it out.
type received struct {
	ReceiptHandle, Body string
	Attributes          struct{ SentTimestamp string }
}

// sent is when the queue took the message.
func (m *received) sent() time.Time {
	at, _ := strconv.ParseInt(m.Attributes.SentTimestamp, 10, 64) // SQS always tells it
	return time.UnixMilli(at).UTC()
}

// letters looks into the dead-letter queue and tells the Centre how many wait,
// and of those that are new why they died.
func (h *Host) letters(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	waiting, err := h.queues.Depth(ctx, h.deadLetters)
	if err != nil {
		return err
	}
	h.beats().Waiting(waiting)
	var oldest time.Time
	defer func() { h.age(oldest) }()
	for range looked {
		if waiting == 0 {
			return nil
		}
		var out struct{ Messages []received }
		err := h.queues.Call(ctx, awsjson.SQS, "ReceiveMessage", map[string]any{
			"QueueUrl": h.deadLetters, "MaxNumberOfMessages": 10, "VisibilityTimeout": hidden, "AttributeNames": []string{"SentTimestamp"},
		}, &out)
		if err != nil || len(out.Messages) == 0 {
			return err
		}
		defer h.giveBack(context.WithoutCancel(ctx), out.Messages)
		for _, m := range out.Messages {
			if sent := m.sent(); oldest.IsZero() || sent.Before(oldest) {
				oldest = sent
			}
		}
		if err := h.count(ctx, out.Messages); err != nil {
			return err
		}
	}
	return nil
}

// age tells for how long the oldest letter that was looked at has been there, if any
// has: the queue forgets it after fourteen days.
func (h *Host) age(sent time.Time) {
	if !sent.IsZero() {
		h.Metrics.Count(names.MetricOldest, "", int(h.Metrics.now().Sub(sent).Hours()))
	}
}

// giveBack makes letters visible again. What fails here becomes so by itself.
func (h *Host) giveBack(ctx context.Context, all []received) {
	var entries []map[string]any
	for i, m := range all {
		entries = append(entries, map[string]any{"Id": strconv.Itoa(i), "ReceiptHandle": m.ReceiptHandle, "VisibilityTimeout": 0})
	}
	_ = h.queues.Call(ctx, awsjson.SQS, "ChangeMessageVisibilityBatch", map[string]any{"QueueUrl": h.deadLetters, "Entries": entries}, nil)
}

// count counts those letters that nobody has counted, where somebody can be told.
func (h *Host) count(ctx context.Context, all []received) error {
	if h.reporting.missing() {
		return nil
	}
	ways := map[spec.Direction][]ledger.Letter{}
	for _, m := range all {
		if d, one, ok := h.read(m); ok {
			ways[d] = append(ways[d], one)
		}
	}
	for d, letters := range ways {
		unheard, err := h.Flow.Ledger.Unheard(ctx, d, letters)
		if err != nil {
			return err
		}
		for _, one := range unheard {
			key := ledger.LetterKey(d, one.Message)
			if _, counted := h.untold[key]; !counted {
				h.untold[key] = one
				h.beats().Outcome(d, beat.Dead, beat.Cause(one.Code), 0)
			}
		}
	}
	return nil
}

// heard notes that the Centre has been told of what was counted. A process that
// ends before it leaves nothing behind, and the next one counts the same.
func (h *Host) heard(ctx context.Context) error {
	for key, one := range h.untold {
		if err := h.Flow.Ledger.Hear(ctx, key, one); err != nil {
			return err
		}
		delete(h.untold, key)
	}
	return nil
}

// maxDetail bounds what is kept of an error's text.
const maxDetail = 300

// read is false for a message that is none of ours.
func (h *Host) read(m received) (spec.Direction, ledger.Letter, bool) {
	var l letter
	if json.Unmarshal([]byte(m.Body), &l) != nil || l.Event.Name == "" {
		return "", ledger.Letter{}, false
	}
	pair, known := h.Spec.PairByName(l.Event.Pair)
	if l.Machine != l.Event.Direction || !known {
		return "", ledger.Letter{}, false
	}
	source := l.Machine.Source()
	return l.Machine, ledger.Letter{
		Message: l.Execution, At: m.sent(), Execution: l.Event.Name,
		Ref:  record.Ref{System: source, Object: pair.Side(source).Object, ID: l.Event.ID},
		Code: cmp.Or(l.Error.Error, string(beat.NotStarted)), Detail: l.detail(),
	}, true
}

// detail is the error's text, as far as it is kept.
func (l *letter) detail() string {
	text := strings.ToValidUTF8(l.Error.Text(), "")
	return strings.ToValidUTF8(text[:min(len(text), maxDetail)], "")
}
