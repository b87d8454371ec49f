package destination_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/internal/destination"
	"tandem/internal/flow"
	"tandem/internal/simulator/erp"
	"tandem/spec"
)

// receive builds a receiver for the described ERP, altered.
func receive(t *testing.T, change func(*spec.Webhook)) *destination.Receiver {
	t.Helper()
	s := described()
	if change != nil {
		change(s.Destination.Webhook)
	}
	r, err := destination.NewReceiver(s, "s3")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestReceive takes what the simulator signs and nothing else.
func TestReceive(t *testing.T) {
	company, _, at := company(t, erp.Usual())
	if _, err := company.Create("customers", nil); err != nil {
		t.Fatal(err)
	}
	if err := company.Delete("customers", "c_1", 0); err != nil {
		t.Fatal(err)
	}
	body := company.Due()[0].Body()
	d := flow.Delivery{Header: erp.Sign("s3", body, at.now()), Body: body, At: at.now()}
	r := receive(t, nil)
	if err := r.Verify(d); err != nil {
		t.Fatal(err)
	}
	events, err := r.Parse(d)
	if err != nil || len(events) != 2 || events[0].Object != "customers" || events[0].Record != "c_1" || events[0].ID != "e_1" ||
		events[0].Kind != flow.Changed || events[1].Kind != flow.Deleted || !events[0].At.Equal(at.now()) {
		t.Errorf("read %+v (%v)", events, err)
	}
	for why, change := range map[string]func(*flow.Delivery){
		"late":   func(d *flow.Delivery) { d.At = d.At.Add(6 * time.Minute) },
		"early":  func(d *flow.Delivery) { d.At = d.At.Add(-6 * time.Minute) },
		"body":   func(d *flow.Delivery) { d.Body = append(slices.Clone(d.Body), ' ') },
		"secret": func(d *flow.Delivery) { d.Header = erp.Sign("s4", d.Body, d.At) },
		"none":   func(d *flow.Delivery) { d.Header = nil },
	} {
		bad := d
		change(&bad)
		if err := r.Verify(bad); flow.CodeOf(err) != flow.BadSignature {
			t.Errorf("%s: error is %v, want BadSignature", why, err)
		}
	}
	if _, err := destination.NewReceiver(described()); err == nil {
		t.Error("a receiver without a secret was made")
	}
}

// TestParse reads bodies of several forms.
func TestParse(t *testing.T) {
	single := func(w *spec.Webhook) {
		w.Events, w.Object, w.ObjectHeader, w.ActionHeader = "", "", "X-Topic", "X-Action"
	}
	for body, c := range map[string]struct {
		change func(*spec.Webhook)
		header map[string]string
		want   string // object/record/kind of the first event; "" none
		code   flow.Code
	}{
		`{"events":[{"object":"order","record_id":12,"action":"updated"}]}`: {want: "orders/12/changed"},
		`{"events":[{"object":"invoice","record_id":"1"}]}`:                 {},
		`{"events":[{"object":"order"}]}`:                                   {},
		`{"events":[{"object":"order","record_id":".."}]}`:                  {},
		`{"events":[{"object":"order","record_id":{"a":1}}]}`:               {},
		`{"events":[null,7,"x"]}`:                                           {},
		`{"events":[]}`:                                                     {},
		`{"events":"none"}`:                                                 {code: flow.BadBody},
		`{}`:                                                                {code: flow.BadBody},
		`[]`:                                                                {code: flow.BadBody},
		`{"events":[{}]`:                                                    {code: flow.BadBody},
		`{"events":[{}` + strings.Repeat(",{}", 1000) + `]}`:                {code: flow.TooLarge},
		`{"record_id":"c_1"}`:                                               {single, map[string]string{"x-topic": "customer", "x-action": "deleted"}, "customers/c_1/deleted", ""},
	} {
		events, err := receive(t, c.change).Parse(flow.Delivery{Header: c.header, Body: []byte(body)})
		got := ""
		if len(events) > 0 {
			got = events[0].Object + "/" + events[0].Record + "/" + string(events[0].Kind)
		}
		if got != c.want || flow.CodeOf(err) != c.code {
			t.Errorf("%s: read %q, %v; want %q, code %q", body, got, err, c.want, c.code)
		}
	}
}

// FuzzParse looks for authentic bodies that crash the receiver.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"events":[{"object":"order","record_id":12,"at":1795428000}]}`), "events", "at")
	f.Add([]byte(`{"a":{"b":[[]]}}`), "a.b", "")
	f.Fuzz(func(t *testing.T, body []byte, events, when string) {
		s := described()
		s.Destination.Webhook.Events, s.Destination.Webhook.At = events, when
		r, err := destination.NewReceiver(s, "s3")
		if err != nil {
			t.Fatal(err)
		}
		found, err := r.Parse(flow.Delivery{Body: body})
		if code := flow.CodeOf(err); err != nil && code != flow.BadBody && code != flow.TooLarge {
			t.Errorf("error is %v, want BadBody or TooLarge", err)
		}
		for _, n := range found {
			if n.Record == "" || n.Object == "" {
				t.Errorf("an event without a record or an object: %+v", n)
			}
		}
	})
}
