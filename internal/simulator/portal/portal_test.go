package portal

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/hubspot"
	"tandem/internal/record"
)

// clock is a clock that a test moves.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Date(2026, 9, 10, 8, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time { return c.now }

func (c *clock) pass(d time.Duration) { c.now = c.now.Add(d) }

var testTypes = map[string]map[string]record.Type{
	"contacts":  {"email": record.String, "firstname": record.String, "birthday": record.Date, "erp_id": record.String},
	"companies": {"name": record.String, "domain": record.String, "regions": record.Set},
	"deals":     {"dealname": record.String, "amount": record.Number, "closedate": record.DateTime},
}

// rig is a portal, its clock, and the real client over it.
type rig struct {
	*testing.T
	*clock
	p      *Portal
	client *hubspot.Client
	ctx    context.Context
}

func newRig(t *testing.T, o Options) *rig {
	t.Helper()
	c := newClock()
	if o.Now == nil {
		o.Now = c.Now
	}
	if o.Rand == nil {
		o.Rand = rand.New(rand.NewPCG(7, 7))
	}
	p := New(o)
	p.Define("contacts", Property{Name: "birthday", Type: record.Date}, Property{Name: "erp_id", Type: record.String, Unique: true})
	p.Define("companies", Property{Name: "regions", Type: record.Set})
	client, err := Remote(p, hubspot.Options{Types: testTypes, Unique: map[string][]string{"contacts": {"erp_id"}}})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t, c, p, client, t.Context()}
}

func (r *rig) create(object string, f record.Fields) record.Record {
	r.Helper()
	rec, err := r.client.Create(r.ctx, object, f, "", "k")
	if err != nil {
		r.Fatal(err)
	}
	return rec
}

func (r *rig) read(object, id string, properties ...string) record.Record {
	r.Helper()
	rec, err := r.client.Read(r.ctx, object, id, properties)
	if err != nil {
		r.Fatal(err)
	}
	return rec
}

func (r *rig) fields(got record.Record, want record.Fields) {
	r.Helper()
	for name, v := range want {
		if text, told := got.Fields[name]; !told || text != v {
			r.Errorf("%s = %q (told %v), want %q", name, text, told, v)
		}
	}
}

func asError(t *testing.T, err error, code flow.Code) *flow.Error {
	t.Helper()
	var e *flow.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got %v, want code %s", err, code)
	}
	return e
}

func TestCreateReadUpdate(t *testing.T) {
	r := newRig(t, Options{})
	made := r.create("contacts", record.Fields{"email": "Ann@Example.com", "firstname": "Ann", "birthday": "1990-01-01"})
	r.fields(made, record.Fields{"email": "ann@example.com", "birthday": "1990-01-01"})
	r.pass(time.Second)
	got := r.read("contacts", made.ID, "email", "firstname", "birthday", "lastname")
	r.fields(got, record.Fields{"email": "ann@example.com", "firstname": "Ann", "birthday": "1990-01-01", "lastname": ""})
	if got.Version != "2026-09-10T08:00:00.000Z" || got.UpdatedAt.IsZero() || got.ETag != "" {
		t.Errorf("version %q, updated %v, etag %q", got.Version, got.UpdatedAt, got.ETag)
	}
	updated, err := r.client.Update(r.ctx, "contacts", made.ID, record.Fields{"firstname": ""}, "")
	if err != nil {
		t.Fatal(err)
	}
	r.fields(updated, record.Fields{"firstname": ""})
	if record.CompareVersions(updated.Version, got.Version) <= 0 {
		t.Errorf("version %s is not newer than %s", updated.Version, got.Version)
	}
	if len(updated.Fields) != 1 {
		t.Errorf("an update answered %v, want only what was sent", updated.Fields.Names())
	}
}

func TestReadOfUnknownAndArchived(t *testing.T) {
	r := newRig(t, Options{})
	_, err := r.client.Read(r.ctx, "contacts", "1", []string{"email"})
	asError(t, err, flow.RecordMissing)
	made := r.create("contacts", record.Fields{"email": "a@example.com"})
	for range 2 { // Archiving what is archived is no error.
		if err := r.client.Archive(r.ctx, "contacts", made.ID, ""); err != nil {
			t.Fatal(err)
		}
	}
	got := r.read("contacts", made.ID, "email")
	if !got.Archived {
		t.Error("an archived record is not shown as archived")
	}
	found, consistent, err := r.client.Find(r.ctx, "contacts", "email", "a@example.com", []string{"email"})
	if err != nil || !consistent || len(found) != 0 {
		t.Errorf("found %d archived records, consistent %v, %v", len(found), consistent, err)
	}
	r.create("contacts", record.Fields{"email": "a@example.com"})
	if err := r.p.Restore(Person, "contacts", made.ID); err == nil {
		t.Error("a record whose e-mail is taken by now could be restored")
	}
}

func TestTakenEmail(t *testing.T) {
	r := newRig(t, Options{})
	first := r.create("contacts", record.Fields{"email": "a@example.com"})
	_, err := r.client.Create(r.ctx, "contacts", record.Fields{"email": "A@example.com"}, "", "k")
	if e := asError(t, err, flow.AlreadyExists); e.ExistingID != first.ID {
		t.Errorf("existing id %q, want %q", e.ExistingID, first.ID)
	}
	second := r.create("contacts", record.Fields{"email": "b@example.com"})
	_, err = r.client.Update(r.ctx, "contacts", second.ID, record.Fields{"email": "a@example.com"}, "")
	if e := asError(t, err, flow.AlreadyExists); e.ExistingID != first.ID {
		t.Errorf("existing id %q, want %q", e.ExistingID, first.ID)
	}
	for range 2 {
		r.create("companies", record.Fields{"domain": "example.com"}) // Domains are not unique over the API.
	}
}

func TestTakenExternalID(t *testing.T) {
	r := newRig(t, Options{})
	first, err := r.client.Create(r.ctx, "contacts", record.Fields{"erp_id": "c_1", "email": "a@example.com"}, "erp_id", "k1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.client.Create(r.ctx, "contacts", record.Fields{"erp_id": "c_1", "firstname": "Late"}, "erp_id", "k1")
	asError(t, err, flow.AlreadyExists)
	found, consistent, err := r.client.Find(r.ctx, "contacts", "erp_id", "c_1", []string{"email", "firstname"})
	if err != nil || !consistent || len(found) != 1 || found[0].ID != first.ID || found[0].Fields["firstname"] != "" {
		t.Errorf("found %v, consistent %v, %v", found, consistent, err)
	}
}

func TestUpsert(t *testing.T) {
	r := newRig(t, Options{})
	var ids []string
	for _, name := range []string{"Ada", "Grace"} {
		rec, err := r.p.Upsert(Person, "contacts", "erp_id", "c_1", map[string]string{"firstname": name})
		if err != nil || rec.Text("firstname") != name {
			t.Fatalf("%v, %v", rec, err)
		}
		ids = append(ids, rec.ID)
	}
	if ids[0] != ids[1] {
		t.Errorf("the same upsert made %v", ids)
	}
}

func TestSearchLags(t *testing.T) {
	r := newRig(t, Options{SearchLag: 10 * time.Second})
	made := r.create("companies", record.Fields{"name": "Acme"})
	find := func(name string) int {
		found, consistent, err := r.client.Find(r.ctx, "companies", "name", name, []string{"name", "@contacts"})
		if err != nil || consistent {
			t.Fatalf("consistent %v, %v", consistent, err)
		}
		return len(found)
	}
	if n := find("Acme"); n != 0 {
		t.Errorf("the index showed %d new records at once", n)
	}
	r.pass(10 * time.Second)
	if n := find("acme"); n != 1 {
		t.Errorf("after the lag the index showed %d records", n)
	}
	if _, err := r.client.Update(r.ctx, "companies", made.ID, record.Fields{"name": "Apex"}, ""); err != nil {
		t.Fatal(err)
	}
	if old, now := find("Acme"), find("Apex"); old != 1 || now != 0 {
		t.Errorf("within the lag the index showed %d old and %d new", old, now)
	}
	r.pass(11 * time.Second)
	if old, now := find("Acme"), find("Apex"); old != 0 || now != 1 {
		t.Errorf("after the lag the index showed %d old and %d new", old, now)
	}
}

func TestMergeMakesNewID(t *testing.T) {
	r := newRig(t, Options{})
	company := r.create("companies", record.Fields{"name": "Acme"})
	a := r.create("contacts", record.Fields{"email": "a@example.com", "@companies": company.ID})
	b := r.create("contacts", record.Fields{"email": "b@example.com", "firstname": "Bea"})
	r.p.Events()
	merged, err := r.p.Merge(Person, "contacts", a.ID, b.ID)
	if err != nil {
		t.Fatal(err)
	}
	if merged.ID == a.ID || merged.ID == b.ID {
		t.Fatalf("the merge kept id %s", merged.ID)
	}
	for _, old := range []string{a.ID, b.ID} {
		got := r.read("contacts", old, "email", "firstname", "@companies")
		if got.ID != merged.ID {
			t.Errorf("%s answered as %s, want %s", old, got.ID, merged.ID)
		}
		r.fields(got, record.Fields{"email": "a@example.com", "firstname": "Bea", "@companies": company.ID})
	}
	updated, err := r.client.Update(r.ctx, "contacts", b.ID, record.Fields{"firstname": "Ann"}, "")
	if err != nil || updated.ID != merged.ID {
		t.Errorf("a patch of an old id answered %s, %v", updated.ID, err)
	}
	_, err = r.client.Create(r.ctx, "contacts", record.Fields{"email": "b@example.com"}, "", "k")
	if e := asError(t, err, flow.AlreadyExists); e.ExistingID != merged.ID {
		t.Errorf("an additional e-mail told %q", e.ExistingID)
	}
	events := r.p.Events()
	at := slices.IndexFunc(events, func(e Event) bool { return e.SubscriptionType == "contact.merge" })
	if at < 0 || events[at].NewObjectID != number(merged.ID) || events[at].PrimaryObjectID != number(a.ID) || events[at].ObjectID != 0 {
		t.Errorf("merge event %+v", events)
	}
}

func TestAssociations(t *testing.T) {
	r := newRig(t, Options{})
	one, two, three := r.create("companies", record.Fields{"name": "1"}), r.create("companies", record.Fields{"name": "2"}), r.create("companies", record.Fields{"name": "3"})
	deal := r.create("deals", record.Fields{"dealname": "d", "@companies": one.ID})
	r.fields(deal, record.Fields{"@companies": one.ID})
	set := func(id, want string) {
		t.Helper()
		got, err := r.client.Update(r.ctx, "deals", deal.ID, record.Fields{"@companies": id}, "")
		if err != nil {
			t.Fatal(err)
		}
		r.fields(got, record.Fields{"@companies": want})
		r.fields(r.read("deals", deal.ID, "@companies"), record.Fields{"@companies": want})
	}
	set(two.ID, two.ID)
	if err := r.p.Associate(Person, "deals", deal.ID, "companies", one.ID, false); err != nil {
		t.Fatal(err)
	}
	// The lowest id would be read back; the one that is set must win all the same.
	set(three.ID, three.ID)
	if got := r.p.linked("deals", deal.ID, "companies"); len(got.Results) < 2 {
		t.Errorf("what a person associated is gone: %v", got)
	}
	set("", two.ID)
	set("", "")
}

func TestEvents(t *testing.T) {
	r := newRig(t, Options{})
	made := r.create("deals", record.Fields{"dealname": "d", "amount": "17.0", "closedate": "2026-09-30T10:00:00.000Z"})
	events := r.p.Events()
	if len(events) != 4 {
		t.Fatalf("%d events for one creation with three properties", len(events))
	}
	for _, e := range events {
		if e.OccurredAt != events[0].OccurredAt || e.ObjectID != number(made.ID) || e.ChangeSource != "INTEGRATION" || e.SourceID != "39522895" {
			t.Errorf("event %+v", e)
		}
		if e.PropertyName == "closedate" && *e.PropertyValue != "1790762400000" {
			t.Errorf("an instant came as %q", *e.PropertyValue)
		}
	}
	if _, err := r.client.Update(r.ctx, "deals", made.ID, record.Fields{"amount": "17"}, ""); err != nil {
		t.Fatal(err)
	}
	if again := r.p.Events(); len(again) != 0 {
		t.Errorf("a write that changes nothing made %d events", len(again))
	}
}

func TestLostAnswerWroteAllTheSame(t *testing.T) {
	r := newRig(t, Options{})
	for _, f := range []Fault{{Status: 502, After: true}, {Status: 504, After: true}, {Drop: true, After: true}} {
		r.p.Fail(f)
		_, err := r.client.Create(r.ctx, "companies", record.Fields{"name": "Acme"}, "", "k")
		if e := asError(t, err, flow.RemoteBusy); !e.Maybe {
			t.Errorf("%+v left no doubt", f)
		}
	}
	if page, err := r.p.List("companies", 100, "", false, nil, nil); err != nil || len(page.Results) != 3 {
		t.Errorf("%d records, want 3 (%v)", len(page.Results), err)
	}
}

func TestRateLimit(t *testing.T) {
	r := newRig(t, Options{RateLimit: 3})
	for range 3 {
		r.create("companies", record.Fields{"name": "Acme"})
	}
	_, err := r.client.Create(r.ctx, "companies", record.Fields{"name": "Acme"}, "", "k")
	if e := asError(t, err, flow.RateLimited); e.RetryAfter != 10*time.Second || e.Maybe {
		t.Errorf("retry after %v, maybe %v", e.RetryAfter, e.Maybe)
	}
	r.pass(10 * time.Second)
	r.create("companies", record.Fields{"name": "Acme"})
}
