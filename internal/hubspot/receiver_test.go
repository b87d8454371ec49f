package hubspot

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
)

var testTypes = map[string]map[string]record.Type{
	"contacts": {"email": record.String, "firstname": record.String, "birthday": record.Date, "tags": record.Set, "erp_id": record.String},
	"deals":    {"amount": record.Number, "closedate": record.DateTime},
}

const ours = `"portalId":48975575,"occurredAt":1782371969536`

func parse(t *testing.T, body string) ([]flow.Notification, error) {
	t.Helper()
	return receiver(t, time.UnixMilli(1782371969536), "s").Parse(flow.Delivery{Body: []byte(body)})
}

func TestParse(t *testing.T) {
	at := time.UnixMilli(1782371969536).UTC()
	cases := map[string]struct {
		event string
		want  flow.Notification
	}{
		"a real creation": {
			`{"eventId":60775291,"subscriptionId":6527595,"appId":39522895,` + ours + `,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":508369434347,"changeFlag":"CREATED","changeSource":"INTEGRATION","sourceId":"39522895"}`,
			flow.Notification{ID: "60775291", Object: "contacts", Record: "508369434347", Kind: flow.Changed, At: at},
		},
		"a real property change": {
			`{"eventId":2572854942,"appId":39522895,` + ours + `,"subscriptionType":"contact.propertyChange","objectId":508369434347,"propertyName":"firstname","propertyValue":"Maton","changeSource":"INTEGRATION","sourceId":"39522895"}`,
			flow.Notification{ID: "2572854942", Object: "contacts", Record: "508369434347", Kind: flow.Changed, At: at, Values: record.Fields{"firstname": "Maton"}},
		},
		"a person's change": {
			`{"appId":39522895,` + ours + `,"subscriptionType":"contact.propertyChange","objectId":1,"propertyName":"firstname","propertyValue":"Maton","changeSource":"CRM_UI","sourceId":"userId:864745280"}`,
			flow.Notification{Object: "contacts", Record: "1", Kind: flow.Changed, At: at, Values: record.Fields{"firstname": "Maton"}, Other: true},
		},
		"another app's change": {
			`{"appId":2930857,` + ours + `,"subscriptionType":"contact.propertyChange","objectId":1,"propertyName":"firstname","propertyValue":"Maton","changeSource":"INTEGRATION","sourceId":"2931120"}`,
			flow.Notification{Object: "contacts", Record: "1", Kind: flow.Changed, At: at, Values: record.Fields{"firstname": "Maton"}, Other: true},
		},
		"a change without the app it is told to": {
			`{` + ours + `,"subscriptionType":"contact.propertyChange","objectId":1,"propertyName":"firstname","propertyValue":"Maton","changeSource":"INTEGRATION","sourceId":"39522895"}`,
			flow.Notification{Object: "contacts", Record: "1", Kind: flow.Changed, At: at, Values: record.Fields{"firstname": "Maton"}},
		},
		"an instant in milliseconds": {
			`{` + ours + `,"subscriptionType":"deal.propertyChange","objectId":1,"propertyName":"closedate","propertyValue":"1752559200000"}`,
			flow.Notification{Object: "deals", Record: "1", Kind: flow.Changed, At: at, Values: record.Fields{"closedate": "2025-07-15T06:00:00.000Z"}},
		},
		"a cleared value": {
			`{` + ours + `,"subscriptionType":"contact.propertyChange","objectId":1,"propertyName":"birthday","propertyValue":""}`,
			flow.Notification{Object: "contacts", Record: "1", Kind: flow.Changed, At: at, Values: record.Fields{"birthday": ""}},
		},
		"a value without a value": {
			`{` + ours + `,"subscriptionType":"contact.propertyChange","objectId":1,"propertyName":"birthday"}`,
			flow.Notification{Object: "contacts", Record: "1", Kind: flow.Changed, At: at},
		},
		"a redacted value": {
			`{` + ours + `,"subscriptionType":"contact.propertyChange","objectId":1,"propertyName":"firstname","propertyValue":"REDACTED"}`,
			flow.Notification{Object: "contacts", Record: "1", Kind: flow.Changed, At: at},
		},
		"a sensitive value": {
			`{` + ours + `,"subscriptionType":"object.propertyChange","objectTypeId":"0-1","objectId":1,"propertyName":"firstname","propertyValue":"x","isSensitive":true}`,
			flow.Notification{Object: "contacts", Record: "1", Kind: flow.Changed, At: at},
		},
		"a value of another type": {
			`{` + ours + `,"subscriptionType":"deal.propertyChange","objectId":1,"propertyName":"amount","propertyValue":"much"}`,
			flow.Notification{Object: "deals", Record: "1", Kind: flow.Changed, At: at},
		},
		"a property that is not in the spec": {
			`{` + ours + `,"subscriptionType":"deal.propertyChange","objectId":1,"propertyName":"dealname","propertyValue":"x"}`,
			flow.Notification{Object: "deals", Record: "1", Kind: flow.Changed, At: at},
		},
		"a custom object": {
			`{"eventId":2145459286,` + ours + `,"subscriptionType":"object.creation","objectId":180584432881,"objectTypeId":"2-143967026"}`,
			flow.Notification{ID: "2145459286", Object: "2-143967026", Record: "180584432881", Kind: flow.Changed, At: at},
		},
		"the documented name of the type": {
			`{` + ours + `,"eventType":"company.deletion","objectId":6674551525}`,
			flow.Notification{Object: "companies", Record: "6674551525", Kind: flow.Deleted, At: at},
		},
		"a restore":          {`{` + ours + `,"subscriptionType":"ticket.restore","objectId":101}`, flow.Notification{Object: "tickets", Record: "101", Kind: flow.Restored, At: at}},
		"a privacy deletion": {`{` + ours + `,"subscriptionType":"contact.privacyDeletion","objectId":101}`, flow.Notification{Object: "contacts", Record: "101", Kind: flow.Purged, At: at}},
		"a merge": {
			`{` + ours + `,"subscriptionType":"contact.merge","primaryObjectId":101,"mergedObjectIds":[102,103],"newObjectId":900,"numberOfPropertiesMoved":7}`,
			flow.Notification{Object: "contacts", Record: "900", Kind: flow.Merged, At: at, Merged: []string{"101", "102", "103"}},
		},
		"a merge into the primary": {
			`{` + ours + `,"subscriptionType":"contact.merge","primaryObjectId":101,"mergedObjectIds":[102]}`,
			flow.Notification{Object: "contacts", Record: "101", Kind: flow.Merged, At: at, Merged: []string{"102"}},
		},
		"a real association change, without objectId": {
			`{"eventId":2073333923,` + ours + `,"subscriptionType":"deal.associationChange","changeSource":"USER","associationType":"DEAL_TO_LINE_ITEM","fromObjectId":64058987777,"toObjectId":58061514894,"associationRemoved":false,"sourceId":"userId:82088707"}`,
			flow.Notification{ID: "2073333923", Object: "deals", Record: "64058987777", Kind: flow.Changed, At: at},
		},
		"the other end of an association": {
			`{` + ours + `,"subscriptionType":"deal.associationChange","associationType":"COMPANY_TO_DEAL","fromObjectId":2,"toObjectId":1}`,
			flow.Notification{Object: "companies", Record: "2", Kind: flow.Changed, At: at},
		},
		"a generic association change": {
			`{` + ours + `,"subscriptionType":"object.associationChange","fromObjectTypeId":"0-3","toObjectTypeId":"0-2","fromObjectId":2,"toObjectId":1,"associationTypeId":"5"}`,
			flow.Notification{Object: "deals", Record: "2", Kind: flow.Changed, At: at},
		},
		"an id that no machine word holds": {`{` + ours + `,"subscriptionType":"contact.creation","objectId":18446744073709551616}`, flow.Notification{Object: "contacts", Record: "18446744073709551616", Kind: flow.Changed, At: at}},
		"an id in quotes":                  {`{` + ours + `,"subscriptionType":"contact.deletion","objectId":"9007199254740993"}`, flow.Notification{Object: "contacts", Record: "9007199254740993", Kind: flow.Deleted, At: at}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := parse(t, "["+c.event+"]")
			if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], c.want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, c.want)
			}
		})
	}
}

func TestParseLeavesOut(t *testing.T) {
	for name, event := range map[string]string{
		"a conversation":        `{` + ours + `,"subscriptionType":"conversation.creation","objectId":1}`,
		"an unknown kind":       `{` + ours + `,"subscriptionType":"contact.somethingNew","objectId":1}`,
		"an unknown type":       `{` + ours + `,"subscriptionType":"object.creation","objectTypeId":"0-99","objectId":1}`,
		"no id":                 `{` + ours + `,"subscriptionType":"contact.creation"}`,
		"a fraction for an id":  `{` + ours + `,"subscriptionType":"contact.creation","objectId":1.5}`,
		"an object for an id":   `{` + ours + `,"subscriptionType":"contact.creation","objectId":{}}`,
		"a number for the type": `{` + ours + `,"subscriptionType":7,"objectId":1}`,
		"nothing at all":        `{}`,
		"no object":             `"ann"`,
		"null":                  `null`,
		"merged ids as a text":  `{` + ours + `,"subscriptionType":"contact.somethingNew","objectId":1,"mergedObjectIds":"1"}`,
		"another portal":        `{"portalId":1,"subscriptionType":"contact.creation","objectId":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			good := `{` + ours + `,"subscriptionType":"contact.creation","objectId":77}`
			got, err := parse(t, "["+event+","+good+"]")
			if err != nil || len(got) != 1 || got[0].Record != "77" {
				t.Errorf("got %+v, %v; want the good event only", got, err)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"nothing": "", "an object": `{"objectId":1}`, "text": "hello ann@example.com", "cut off": `[{"objectId":1`,
		"an array of numbers": `[1]`, "trailing text": `[] ann@example.com`, "null": `null`, "form data": "a=1",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(t, body)
			if flow.CodeOf(err) != flow.BadBody {
				t.Fatalf("got %v, want BadBody", err)
			}
			if strings.Contains(err.Error(), "ann") {
				t.Errorf("the error quotes the body: %v", err)
			}
		})
	}
}

func TestWrongPortal(t *testing.T) {
	foreign := `{"portalId":1,"subscriptionType":"contact.creation","objectId":1}`
	if _, err := parse(t, "["+foreign+","+foreign+"]"); !errors.Is(err, ErrWrongPortal) {
		t.Errorf("got %v, want ErrWrongPortal", err)
	}
	if got, err := parse(t, "[]"); err != nil || len(got) != 0 {
		t.Errorf("an empty array: %v, %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`[{"eventId":1,"portalId":48975575,"subscriptionType":"contact.creation","objectId":508369434347}]`))
	f.Add([]byte(`[{"subscriptionType":"contact.merge","mergedObjectIds":[1,"2",null],"newObjectId":3}]`))
	f.Add([]byte(`[{"subscriptionType":"object.associationChange","associationType":"A_TO_B","fromObjectId":1}]`))
	f.Add([]byte(`[null,{}]`))
	r := receiver(f, time.UnixMilli(0), "s")
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := r.Parse(flow.Delivery{Body: body})
		if err != nil && flow.CodeOf(err) != flow.BadBody && !errors.Is(err, ErrWrongPortal) {
			t.Errorf("an error without a code: %v", err)
		}
		for _, n := range events {
			if n.Object == "" || n.Record == "" || n.Kind == "" || strings.ContainsAny(n.Record, "-+. ") {
				t.Errorf("a notification that points nowhere: %+v", n)
			}
		}
	})
}
