package flow_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/spec"
)

// Compared is what delivers webhooks and can list what changed; HubSpot always can.
func TestReconciled(t *testing.T) {
	s := &spec.Spec{
		Destination: spec.Destination{Objects: map[string]spec.Object{"listed": {List: &spec.List{}}, "plain": {}}},
		Pairs: []spec.Pair{
			{Name: "a", HubSpot: spec.Side{Object: "contacts"}, Destination: spec.Side{Object: "listed", Trigger: "webhook"}},
			{Name: "b", HubSpot: spec.Side{Object: "deals", Trigger: "webhook"}, Destination: spec.Side{Object: "plain"}},
			{Name: "c", HubSpot: spec.Side{Object: "companies", Trigger: "poll"}, Destination: spec.Side{Object: "listed", Trigger: "poll"}},
		},
	}
	for d, want := range map[spec.Direction][]string{spec.ToDestination: {"a", "b"}, spec.ToHubSpot: {"a"}} {
		var got []string
		for _, p := range flow.Reconciled(s, d) {
			got = append(got, p.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s compares %v, want %v", d, got, want)
		}
	}
	if got := flow.ReconcileEvery(spec.Side{Every: spec.Duration{Duration: time.Minute}}); got != time.Minute {
		t.Errorf("an interval of the spec becomes %s", got)
	}
}

type cursors struct{ seen []string }

func (c *cursors) Changed(_ context.Context, _, cursor string) ([]flow.ChangedRecord, string, bool, error) {
	c.seen = append(c.seen, cursor)
	return nil, cursor, false, nil
}

// The first comparison begins where it is told, the others where they stopped.
func TestBeginning(t *testing.T) {
	c := &cursors{}
	b := flow.Beginning{Changes: c, First: "first"}
	for _, cursor := range []string{"", "later"} {
		if _, _, _, err := b.Changed(t.Context(), "contacts", cursor); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"first", "later"}; !slices.Equal(c.seen, want) {
		t.Errorf("cursors %v, want %v", c.seen, want)
	}
}

type lines []flow.ChangedRecord

func (l lines) Changed(context.Context, string, string) ([]flow.ChangedRecord, string, bool, error) {
	return l, "", false, nil
}

type started struct{ names []string }

func (s *started) Start(_ context.Context, _ spec.Direction, name string, _ json.RawMessage) error {
	s.names = append(s.names, name)
	return nil
}

// What a create has made is seen at once, but a field that only HubSpot feeds is
// written back by the echo's execution: where the echo is lost the comparison
// starts one, once.
func TestComparisonPaysWhatIsOwed(t *testing.T) {
	b := newBench(t)
	b.dest.put("customers/c_1", record.Fields{"email": "ada@example.com", "first_name": "Ada", "last_name": "Byron"})
	b.want(b.event(record.Destination, "contacts", "c_1", flow.Changed), "Stamp")
	var start started
	in := flow.Ingress{Flow: b.flow, Starter: &start, Mark: flow.MarkReconcile}
	compare := func() int {
		made := b.hub.rows["contacts/11"]
		if made.ID == "" {
			t.Fatalf("no contact was made: %v", slices.Collect(maps.Keys(b.hub.rows)))
		}
		_, _, a, err := in.Page(t.Context(), record.HubSpot, "contacts", lines{{ID: made.ID, Version: made.Version, At: made.UpdatedAt}}, "")
		if err != nil {
			t.Fatal(err)
		}
		return a.Started
	}
	if compare() != 1 {
		t.Fatal("nothing was started, although the customer lacks its name")
	}
	b.want(b.event(record.HubSpot, "contacts", "11", flow.Changed), "Stamp")
	if got := b.dest.rows["customers/c_1"].Fields["name"]; got != "Ada Byron" {
		t.Fatalf("the customer's name is %q", got)
	}
	if n := compare(); n != 0 {
		t.Errorf("%d executions for a record that is in step", n)
	}
}

// A state is read in either of its forms: Transform gets the event inside the
// execution's input.
func TestFormsOfAState(t *testing.T) {
	for _, text := range []string{
		`{"event":{"id":"7"},"later":{"times":2}}`, `{"input":{"event":{"id":"7"},"later":{"times":2}}}`,
	} {
		var s flow.State
		if err := json.Unmarshal([]byte(text), &s); err != nil || s.Event.ID != "7" || s.Later == nil || s.Later.Times != 2 {
			t.Errorf("%s reads %+v, %v", text, s, err)
		}
	}
	var s flow.State
	if err := json.Unmarshal([]byte(`{"input":{"event":7}}`), &s); err == nil {
		t.Error("a number is an event")
	}
}

// A field is edited while the spec leaves it out, and put back: a backfill brings it,
// though every version of the record has been seen; the next one has nothing to do. So it
// does where the row had no room left for its outcomes, which tell of the spec.
func TestBackfillOfAFieldThatWasLeftOut(t *testing.T) {
	for _, room := range []bool{true, false} {
		backfillOfAFieldThatWasLeftOut(newBench(t), room)
	}
}

func backfillOfAFieldThatWasLeftOut(b *bench, room bool) {
	t := b.t
	job := spec.Field{Name: "jobTitle", HubSpot: spec.Prop{Property: "jobtitle"}, Destination: spec.Prop{Property: "job_title"}, Policy: spec.PolicyNewest}
	fields := slices.Clone(b.flow.Spec.Pairs[0].Fields)
	under := b.under
	under("with", append(fields, job)...)
	b.created()
	under("less", fields...)
	row := b.hub.put("contacts/7", record.Fields{"jobtitle": "Boss", "firstname": "Augusta"})
	b.want(b.event(record.HubSpot, "contacts", "7", flow.Changed), "Stamp")
	under("with", append(fields, job)...)
	if !room {
		key := ledger.MapKey(record.Ref{System: record.HubSpot, Object: "contacts", ID: "7"})
		update := table.Update{Key: key, If: table.Always}
		items, err := b.table.Get(t.Context(), key)
		for name := range items[0].Attrs {
			if strings.HasPrefix(name, "o:") {
				update.Remove = append(update.Remove, name)
			}
		}
		if _, failed := b.table.Update(t.Context(), update); err != nil || failed != nil || len(update.Remove) == 0 {
			t.Fatal(err, failed, update.Remove)
		}
	}
	for _, want := range []int{1, 0} {
		in := flow.Ingress{Flow: b.flow, Starter: run{b}, Mark: flow.MarkBackfill}
		_, _, a, err := in.Page(t.Context(), record.HubSpot, "contacts", lines{{ID: row.ID, Version: row.Version, At: row.UpdatedAt}}, "")
		if got := b.dest.rows["customers/c_1"].Fields["job_title"]; got != "Boss" || a.Started != want || err != nil {
			t.Errorf("the field holds %q, %d executions, want %d: %v", got, a.Started, want, err)
		}
	}
}
