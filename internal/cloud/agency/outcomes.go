package agency

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tandem/internal/beat"
	"tandem/internal/centre"
	"tandem/internal/centre/drill"
	"tandem/internal/ledger"
	"tandem/internal/local/why"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

// outcomes implements centre.Outcomes over the clients' own tables, which it finds
// by name and only reads. What a client's rows are of, it learns from the spec that
// the client's self-check keeps beside them: neither stack knows the other.
//
// It reads no field's value: rows of conflicts, which hold some, are not granted
// (cdk/centre.go), and the systems are not asked. A base is a fingerprint.
type outcomes struct {
	clients []string
	table   func(client string) table.Table
	trace   func(client string) drill.Trace
	now     func() time.Time
}

const (
	// rowsAtOnce deliveries are read at a time; a search gives up after searched
	// events.
	rowsAtOnce, searched = 20, 2000
	// clockSkew is how far a function's clock may run ahead of this one's.
	clockSkew = 5 * time.Second
	// execution is how long one may last, by the machines' own timeout.
	execution = 5 * time.Minute
	// asked is how many records are looked up at once.
	asked = 16
	// mostLetters is how many dead letters of a direction are listed.
	mostLetters = 500
)

// client is one client's table with what its rows are of.
type client struct {
	ledger *ledger.Ledger
	spec   *spec.Spec
	trace  drill.Trace
}

// open finds a client. Its table may be missing, out of reach, or too young.
func (o *outcomes) open(ctx context.Context, name string) (*client, error) {
	if !slices.Contains(o.clients, name) {
		return nil, centre.ErrUnknown
	}
	c := &client{ledger: &ledger.Ledger{Table: o.table(name), Client: name, Now: o.now}, trace: o.trace(name)}
	hash, text, err := c.ledger.Described(ctx)
	if err != nil {
		return nil, unreadable(name, err)
	}
	if text == "" {
		return nil, &centre.Unreadable{Err: errors.New("no row SPEC"), Why: "The table of " + name + " is there, and does not say yet what it holds: " +
			"the client's self-check does, within five minutes of a deployment."}
	}
	c.spec = new(spec.Spec)
	if err := json.Unmarshal([]byte(text), c.spec); err != nil {
		return nil, &centre.Unreadable{Err: err, Why: "The spec of " + name + " is of another version than this Centre: deploy both, cdk deploy --all -c client=" + name + "."}
	}
	c.spec.Hash = hash
	return c, nil
}

// unreadable says of a table what to do about it.
func unreadable(name string, err error) error {
	coded, ok := errors.AsType[interface {
		error
		ErrorCode() string
	}](err)
	if !ok {
		return err
	}
	switch coded.ErrorCode() {
	case "ResourceNotFoundException":
		return &centre.Unreadable{Err: err, Why: "There is no table of " + name + " in this account and region, so that only its counts are known here: the client is not deployed yet " +
			"(cdk deploy tandem-" + name + "), or lives in another account, where tandem why --aws " + name + " answers."}
	case "AccessDeniedException":
		return &centre.Unreadable{Err: err, Why: "The Centre may not read the table of " + name + ": it was deployed before it knew this client. Deploy it again: cdk deploy tandem-centre."}
	}
	return err
}

// List implements centre.Outcomes. Dead letters come from the rows of the queue's
// look-out, anything else from what arrived lately; a record's id is looked up by
// itself, however long ago.
func (o *outcomes) List(ctx context.Context, q centre.OutcomeQuery) (centre.OutcomePage, error) {
	c, err := o.open(ctx, q.Client)
	if err != nil {
		return centre.OutcomePage{}, err
	}
	letters, err := c.ledger.Letters(ctx, q.Direction, mostLetters)
	if err != nil {
		return centre.OutcomePage{}, unreadable(q.Client, err)
	}
	q.Limit = cmp.Or(min(max(q.Limit, 0), 200), 200)
	if q.Kind == beat.Dead {
		return c.dead(q, letters), nil
	}
	if q.Text != "" && q.After == "" {
		if page, err := c.ofRecord(ctx, q, letters); err != nil || len(page.Outcomes) > 0 {
			return page, err
		}
	}
	return c.lately(ctx, q, letters)
}

// dead lists the letters that wait, newest first.
func (c *client) dead(q centre.OutcomeQuery, letters []ledger.Letter) (page centre.OutcomePage) {
	slices.SortFunc(letters, func(a, b ledger.Letter) int { return b.At.Compare(a.At) })
	for _, l := range letters {
		if q.Text == "" || l.Ref.ID == q.Text || strings.Contains(l.Message, q.Text) {
			page.Outcomes = append(page.Outcomes, drill.Letter(q.Direction, l, c.trace))
		}
	}
	page.Outcomes = page.Outcomes[:min(len(page.Outcomes), q.Limit)]
	page.Note = "Dead letters that wait, as of the last self-check; tandem dead-letters " + c.spec.Client + " lists and redrives them."
	return page
}

// ofRecord lists the outcomes of the record with the id that was searched for.
func (c *client) ofRecord(ctx context.Context, q centre.OutcomeQuery, letters []ledger.Letter) (page centre.OutcomePage, err error) {
	source := q.Direction.Source()
	for _, pair := range c.spec.Pairs {
		ref := record.Ref{System: source, Object: pair.Side(source).Object, ID: q.Text}
		all, err := c.history(ctx, pair, ref)
		if err != nil {
			return page, unreadable(q.Client, err)
		}
		for _, one := range all.outcomes {
			if one.Direction == string(q.Direction) && (q.Kind == "" || string(q.Kind) == string(one.Kind)) {
				page.Outcomes = append(page.Outcomes, drill.Outcome(one, ref, c.trace))
			}
		}
		for _, l := range letters {
			if l.Ref == ref && q.Kind == "" {
				page.Outcomes = append(page.Outcomes, drill.Letter(q.Direction, l, c.trace))
			}
		}
	}
	slices.SortStableFunc(page.Outcomes, func(a, b centre.Outcome) int { return b.At.Compare(a.At) })
	return page, nil
}

// history is what is remembered of a record's events, newest first, and when its
// pair was last stamped.
type history struct {
	outcomes []ledger.Outcome
	stamped  time.Time
}

func (c *client) history(ctx context.Context, pair spec.Pair, ref record.Ref) (h history, err error) {
	p, err := c.ledger.Find(ctx, pair, ref, "")
	if err != nil {
		return h, err
	}
	h.stamped = p.StampedAt
	h.outcomes, err = why.History(ctx, c.ledger, pair, p)
	return h, err
}

// lately lists how what arrived has ended, newest first. An event that is under
// way, or waits to be tried again, has not ended.
func (c *client) lately(ctx context.Context, q centre.OutcomeQuery, letters []ledger.Letter) (page centre.OutcomePage, err error) {
	after, skip := c.place(q.After)
	for seen := 0; ; {
		arrivals, next, err := c.ledger.Arrivals(ctx, q.Direction, after, rowsAtOnce)
		if err != nil {
			return page, unreadable(q.Client, err)
		}
		for skip < len(arrivals) {
			part := arrivals[skip:min(skip+asked*4, len(arrivals))]
			ended, err := c.ended(ctx, q, part, letters)
			if err != nil {
				return page, unreadable(q.Client, err)
			}
			page.Outcomes = append(page.Outcomes, ended...)
			skip, seen = skip+len(part), seen+len(part)
			if page.Next = fmt.Sprintf("%s|%d", after, skip); len(page.Outcomes) >= q.Limit {
				return page, nil
			}
			if seen >= searched {
				page.Note = fmt.Sprintf("The newest %d events were looked through; older ones are on the next page.", seen)
				return page, nil
			}
		}
		if after, skip = next, 0; next == "" {
			page.Next = ""
			return page, nil
		}
	}
}

// place reads where a page begins: after a row, and after so many events beyond it.
func (c *client) place(cursor string) (after string, skip int) {
	after, n, ok := strings.Cut(cursor, "|")
	skip, err := strconv.Atoi(n)
	if !ok || err != nil || skip < 0 {
		return ledger.ArrivedBefore(c.ledger.Now().Add(clockSkew)), 0
	}
	return after, skip
}

// ended finds how those arrivals ended that a query asks for.
func (c *client) ended(ctx context.Context, q centre.OutcomeQuery, arrivals []ledger.Arrival, letters []ledger.Letter) ([]centre.Outcome, error) {
	arrivals = slices.DeleteFunc(arrivals, func(a ledger.Arrival) bool {
		return q.Text != "" && a.Ref.ID != q.Text && !strings.Contains(a.Execution, q.Text)
	})
	histories, err := c.histories(ctx, arrivals)
	if err != nil {
		return nil, err
	}
	var out []centre.Outcome
	for _, a := range arrivals {
		one, ok := c.how(q.Direction, a, histories[a.Ref], letters)
		if ok && (q.Kind == "" || q.Kind == one.Kind) {
			out = append(out, one)
		}
	}
	return out, nil
}

// how finds an event's outcome among those of its record. A pair's row keeps its
// newest stamps only: an older one is known by there being a later.
func (c *client) how(d spec.Direction, a ledger.Arrival, h history, letters []ledger.Letter) (centre.Outcome, bool) {
	for _, o := range h.outcomes {
		if o.Execution == a.Execution {
			one := drill.Outcome(o, a.Ref, c.trace)
			one.Direction, one.Latency = d, max(0, o.At.Sub(a.At))
			return one, true
		}
	}
	for _, l := range letters {
		if l.Execution == a.Execution {
			return drill.Letter(d, l, c.trace), true
		}
	}
	if h.stamped.After(a.At) && c.ledger.Now().Sub(a.At) > execution {
		return centre.Outcome{At: a.At, Direction: d, Kind: beat.Stamped, Cause: "followed by later stamps; its own details are not kept", Ref: a.Ref,
			Execution: a.Execution, Trace: c.trace(d, a.Execution)}, true
	}
	return centre.Outcome{}, false
}

// histories reads the outcomes of the records, each once, some at a time.
func (c *client) histories(ctx context.Context, arrivals []ledger.Arrival) (map[record.Ref]history, error) {
	all := map[record.Ref]history{}
	begun := map[record.Ref]bool{}
	var mu sync.Mutex
	var work sync.WaitGroup
	var errs []error
	tokens := make(chan struct{}, asked)
	for _, a := range arrivals {
		pair, known := c.spec.PairByObject(a.Ref.System, a.Ref.Object)
		if !known || begun[a.Ref] {
			continue
		}
		begun[a.Ref] = true
		tokens <- struct{}{}
		work.Go(func() {
			defer func() { <-tokens }()
			history, err := c.history(ctx, pair, a.Ref)
			mu.Lock()
			defer mu.Unlock()
			all[a.Ref], errs = history, append(errs, err)
		})
	}
	work.Wait()
	return all, errors.Join(errs...)
}

// Record implements centre.Outcomes.
func (o *outcomes) Record(ctx context.Context, name string, ref record.Ref) (centre.RecordView, error) {
	c, err := o.open(ctx, name)
	if err != nil {
		return centre.RecordView{}, err
	}
	pair, ok := c.spec.PairByObject(ref.System, ref.Object)
	if !ok {
		return centre.RecordView{}, centre.ErrUnknown
	}
	r, err := why.Remember(ctx, c.ledger, c.spec, pair, ref)
	if err != nil {
		return centre.RecordView{}, unreadable(name, err)
	}
	letters, err := c.ledger.Letters(ctx, spec.From(ref.System), mostLetters)
	if err != nil {
		return centre.RecordView{}, unreadable(name, err)
	}
	v := drill.Record(r, pair, c.trace)
	for _, l := range letters {
		if l.Ref == ref {
			v.Outcomes = append(v.Outcomes, drill.Letter(spec.From(ref.System), l, c.trace))
		}
	}
	slices.SortStableFunc(v.Outcomes, func(a, b centre.Outcome) int { return b.At.Compare(a.At) })
	v.Unread = "The Centre reads no field's value and neither system. The execution's page in the console has its states with their data; " +
		"both sides, and what would happen next, tells tandem why --aws " + name + " " + ref.Object + " " + ref.ID + "."
	return v, nil
}
