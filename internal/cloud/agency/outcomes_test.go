package agency

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/internal/beat"
	"tandem/internal/centre"
	"tandem/internal/centre/drill"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/internal/table/embedded"
	"tandem/spec"
)

// granted lets only those rows be read that cdk grants, and nothing be written.
type granted struct {
	table.Table
	t *testing.T
}

func (g granted) check(pk string) {
	g.t.Helper()
	for _, prefix := range []string{"ARRIVED#", "MAP#", "OUT#", "DEAD#", "SPEC"} {
		if strings.HasPrefix(pk, prefix) {
			return
		}
	}
	g.t.Errorf("the dashboard reads %s, which it is not granted", pk)
}

func (g granted) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	for _, k := range keys {
		g.check(k.PK)
	}
	return g.Table.Get(ctx, keys...)
}

func (g granted) Query(ctx context.Context, pk, after string, limit int) ([]table.Item, error) {
	g.check(pk)
	return g.Table.Query(ctx, pk, after, limit)
}

func (g granted) Update(context.Context, ...table.Update) ([]int64, error) {
	g.t.Error("the dashboard writes into a client's table")
	return nil, errors.New("refused")
}

// shop is a client's table with what its functions would have written.
type shop struct {
	t    *testing.T
	now  time.Time
	rows *embedded.Table
	*ledger.Ledger
}

func newShop(t *testing.T) *shop {
	s := &shop{t: t, now: time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return s.now }
	rows, err := embedded.Open("", clock)
	s.must(err)
	t.Cleanup(func() { rows.Close() })
	s.rows, s.Ledger = rows, &ledger.Ledger{Table: rows, Client: "acme", Now: clock}
	return s
}

func (s *shop) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) describe() {
	acme, err := spec.Load("../../../spec/acme/integration-spec.json")
	s.must(err)
	text, err := json.Marshal(acme)
	s.must(err)
	s.must(s.Describe(s.t.Context(), acme.Hash, string(text)))
}

func contact(id string) record.Ref {
	return record.Ref{System: record.HubSpot, Object: "contacts", ID: id}
}

// arrive notes events of contacts, in one delivery.
func (s *shop) arrive(ids ...string) {
	var all []ledger.Arrival
	for _, id := range ids {
		all = append(all, ledger.Arrival{Ref: contact(id), Execution: "acme-contacts-" + id})
	}
	s.must(s.Arrived(s.t.Context(), spec.ToDestination, all))
	s.now = s.now.Add(time.Second)
}

// stamp makes a contact's pair, as one execution has left it.
func (s *shop) stamp(id string) {
	o, err := json.Marshal(ledger.Outcome{At: s.now, Execution: "acme-contacts-" + id, Direction: string(spec.ToDestination), Fields: []string{"email"}, Events: []string{"7"}, Spec: "abc"})
	s.must(err)
	_, err = s.rows.Update(s.t.Context(), table.Update{Key: ledger.MapKey(contact(id)), If: table.Always, Set: map[string]string{
		"pair": "contacts", "partner": "c_" + id, "state": "linked", "o:0": string(o), "f:email": "hubprint destprint", "stampedAt": fmt.Sprint(s.now.UnixMilli()),
	}}, table.Update{Key: ledger.MapKey(record.Ref{System: record.Destination, Object: "customers", ID: "c_" + id}), If: table.Always, Set: map[string]string{
		"pair": "contacts", "partner": id, "state": "linked"}})
	s.must(err)
}

func (s *shop) drop(id string) {
	s.must(s.Record(s.t.Context(), contact(id), ledger.Outcome{At: s.now, Execution: "acme-contacts-" + id, Direction: string(spec.ToDestination), Kind: ledger.Dropped, Reason: "unchanged: no field differs"}))
}

func (s *shop) die(id string) {
	s.must(s.Hear(s.t.Context(), ledger.LetterKey(spec.ToDestination, "acme-contacts-"+id), ledger.Letter{
		At: s.now, Ref: contact(id), Execution: "acme-contacts-" + id, Code: "UnknownEnum", Detail: "pair contacts, field status"}))
}

func (s *shop) outcomes() *outcomes {
	return &outcomes{clients: []string{"acme"}, now: func() time.Time { return s.now },
		table: func(string) table.Table { return granted{s.rows, s.t} },
		trace: func(string) drill.Trace {
			return func(spec.Direction, string) string { return "https://console.example/" }
		}}
}

func (s *shop) list(q centre.OutcomeQuery) centre.OutcomePage {
	s.t.Helper()
	q.Client, q.Direction = "acme", spec.ToDestination
	page, err := s.outcomes().List(s.t.Context(), q)
	s.must(err)
	return page
}

func said(page centre.OutcomePage) (all []string) {
	for _, o := range page.Outcomes {
		all = append(all, o.Ref.ID+" "+string(o.Kind))
	}
	return all
}

// What arrived is listed newest first with how it ended; what has not ended is not.
func TestList(t *testing.T) {
	s := newShop(t)
	s.describe()
	s.stamp("1")
	s.arrive("1")
	s.drop("2")
	s.die("3")
	s.arrive("2", "3", "9") // 9 is under way
	for _, c := range []struct {
		q    centre.OutcomeQuery
		want []string
	}{
		{centre.OutcomeQuery{}, []string{"2 dropped", "3 dead", "1 stamped"}},
		{centre.OutcomeQuery{Kind: beat.Stamped}, []string{"1 stamped"}},
		{centre.OutcomeQuery{Kind: beat.Dead}, []string{"3 dead"}},
		{centre.OutcomeQuery{Kind: beat.Dead, Text: "1"}, nil},
		{centre.OutcomeQuery{Text: "2"}, []string{"2 dropped"}},
		{centre.OutcomeQuery{Text: "3"}, []string{"3 dead"}},
		{centre.OutcomeQuery{Text: "contacts-1"}, []string{"1 stamped"}},
		{centre.OutcomeQuery{Text: "nobody"}, nil},
	} {
		if got := said(s.list(c.q)); !slices.Equal(got, c.want) {
			t.Errorf("%+v lists %q, want %q", c.q, got, c.want)
		}
	}
	if o := s.list(centre.OutcomeQuery{}).Outcomes[1]; o.Cause != "UnknownEnum" || o.Detail == "" || o.Trace == "" {
		t.Errorf("the dead letter is %+v", o)
	}
}

// Pages follow one another without a gap and without a repetition, also when
// others arrive meanwhile and a delivery is larger than a page.
func TestListInPages(t *testing.T) {
	s := newShop(t)
	s.describe()
	var want []string
	for part := range 4 {
		var ids []string
		for i := range 150 {
			ids = append(ids, fmt.Sprintf("%d%03d", part, i))
		}
		for _, id := range ids {
			s.drop(id)
		}
		s.arrive(ids...)
		var these []string
		for _, id := range ids {
			these = append(these, id+" dropped")
		}
		want = append(these, want...)
	}
	s.now = s.now.Add(time.Minute)
	var got []string
	pages := 0
	for after := ""; ; pages++ {
		page := s.list(centre.OutcomeQuery{Limit: 100, After: after})
		got = append(got, said(page)...)
		s.drop("late")
		s.now = s.now.Add(time.Minute)
		s.arrive("late")
		if after = page.Next; after == "" {
			break
		}
	}
	if !slices.Equal(got, want) || pages < 3 {
		t.Errorf("%d pages list %d outcomes, want %d in order", pages+1, len(got), len(want))
	}
}

// A record's page tells everything but values.
func TestRecord(t *testing.T) {
	s := newShop(t)
	s.describe()
	s.stamp("1")
	s.die("1")
	v, err := s.outcomes().Record(t.Context(), "acme", record.Ref{System: record.Destination, Object: "customers", ID: "c_1"})
	s.must(err)
	if v.State != "linked" || v.Partner != contact("1") || v.Unread == "" || len(v.Outcomes) != 1 {
		t.Errorf("the customer's page is %+v", v)
	}
	v, err = s.outcomes().Record(t.Context(), "acme", contact("1"))
	s.must(err)
	if len(v.Outcomes) != 2 || v.Next != "" {
		t.Errorf("the contact's outcomes are %+v", v.Outcomes)
	}
	for _, f := range v.Fields {
		if f.HubSpot != "" || f.Destination != "" || f.Name == "email" && (f.Base != "fingerprint hubprint" || f.Event != "7") {
			t.Errorf("field %+v", f)
		}
	}
	if _, err := s.outcomes().Record(t.Context(), "acme", record.Ref{System: record.HubSpot, Object: "unheard-of", ID: "1"}); !errors.Is(err, centre.ErrUnknown) {
		t.Errorf("an object outside the spec: %v", err)
	}
}

type coded string

func (c coded) Error() string     { return string(c) }
func (c coded) ErrorCode() string { return string(c) }

type broken struct {
	table.Table
	err error
}

func (b broken) Get(context.Context, ...table.Key) ([]table.Item, error) { return nil, b.err }

// A client without a readable table is said to be so, with what to do.
func TestUnreadable(t *testing.T) {
	s := newShop(t)
	for want, o := range map[string]*outcomes{
		"cdk deploy tandem-acme": {table: func(string) table.Table {
			return broken{err: fmt.Errorf("dynamodb: %w", coded("ResourceNotFoundException"))}
		}},
		"cdk deploy tandem-centre": {table: func(string) table.Table { return broken{err: coded("AccessDeniedException")} }},
		"within five minutes":      s.outcomes(),
	} {
		o.clients, o.trace, o.now = []string{"acme"}, s.outcomes().trace, s.outcomes().now
		_, err := o.List(t.Context(), centre.OutcomeQuery{Client: "acme", Direction: spec.ToHubSpot})
		u, ok := errors.AsType[*centre.Unreadable](err)
		if !ok || !strings.Contains(u.Why, want) {
			t.Errorf("%v does not say %q", err, want)
		}
		if _, err := o.List(t.Context(), centre.OutcomeQuery{Client: "nobody"}); !errors.Is(err, centre.ErrUnknown) {
			t.Errorf("a client that is not ours: %v", err)
		}
	}
	o := &outcomes{clients: []string{"acme"}, trace: s.outcomes().trace, now: s.outcomes().now, table: func(string) table.Table { return broken{err: coded("ThrottlingException")} }}
	if _, err := o.List(t.Context(), centre.OutcomeQuery{Client: "acme"}); err == nil || errors.As(err, new(*centre.Unreadable)) {
		t.Errorf("a busy table is called unreadable: %v", err)
	}
}
