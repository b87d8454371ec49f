package hubspot

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// event is one webhook event, all kinds in one. Unknown fields are ignored and
// every field may be missing: association events, for one, have no objectId.
type event struct {
	EventID          integer   `json:"eventId"`
	PortalID         integer   `json:"portalId"`
	AppID            integer   `json:"appId"`
	SourceID         text      `json:"sourceId"`
	OccurredAt       integer   `json:"occurredAt"`
	SubscriptionType text      `json:"subscriptionType"`
	EventType        text      `json:"eventType"` // the name in HubSpot's documentation
	ObjectID         integer   `json:"objectId"`
	ObjectTypeID     text      `json:"objectTypeId"`
	PropertyName     text      `json:"propertyName"`
	PropertyValue    *text     `json:"propertyValue"`
	Sensitive        any       `json:"isSensitive"`
	PrimaryObjectID  integer   `json:"primaryObjectId"`
	MergedObjectIDs  []integer `json:"mergedObjectIds"`
	NewObjectID      integer   `json:"newObjectId"`
	AssociationType  text      `json:"associationType"`
	FromObjectID     integer   `json:"fromObjectId"`
	FromObjectTypeID text      `json:"fromObjectTypeId"`
}

// integer is a whole number as text. HubSpot's ids have up to 13 digits and more:
// neither int32 nor float64 holds them, and one of any length is read as it stands.
// Numbers in quotes are accepted; anything else reads as missing.
type integer string

// UnmarshalJSON implements json.Unmarshaler.
func (n *integer) UnmarshalJSON(b []byte) error {
	digits := string(bytes.Trim(b, `"`))
	*n = ""
	if digits != "" && strings.Trim(digits, "0123456789") == "" {
		*n = integer(cmp.Or(strings.TrimLeft(digits, "0"), "0"))
	}
	return nil
}

// text is a string; anything else that stands in its place reads as missing.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		s = ""
	}
	*t = text(s)
	return nil
}

// objectTypes maps the id of a standard object type to its name in paths. A
// custom type's id (2-<n>) is its own name.
var objectTypes = map[string]string{
	"0-1": "contacts", "0-2": "companies", "0-3": "deals", "0-5": "tickets", "0-7": "products", "0-8": "line_items",
}

// plurals maps the names in event and association types to those in paths.
var plurals = map[string]string{
	"contact": "contacts", "company": "companies", "deal": "deals",
	"ticket": "tickets", "product": "products", "line_item": "line_items",
}

// kinds maps an event type's second word; what is missing here is not read.
var kinds = map[string]flow.Kind{
	"creation": flow.Changed, "propertyChange": flow.Changed, "associationChange": flow.Changed,
	"deletion": flow.Deleted, "restore": flow.Restored, "merge": flow.Merged, "privacyDeletion": flow.Purged,
}

// read turns an event into a notification; false when it is of a kind or shape
// that points at no record.
func (r *Receiver) read(e event) (flow.Notification, bool) {
	if e.SubscriptionType == "" {
		e.SubscriptionType = e.EventType
	}
	family, verb, _ := strings.Cut(string(e.SubscriptionType), ".")
	n := flow.Notification{ID: string(e.EventID), Kind: kinds[verb], Object: object(family, string(e.ObjectTypeID)), Record: string(e.ObjectID)}
	if ms, err := strconv.ParseInt(string(e.OccurredAt), 10, 64); err == nil {
		n.At = time.UnixMilli(ms).UTC()
	}
	switch verb {
	case "merge":
		e.merged(&n)
	case "associationChange":
		e.associated(&n, family)
	case "propertyChange":
		n.Values, n.Other = r.values(n.Object, e), e.others()
	}
	return n, n.Kind != "" && n.Object != "" && n.Record != ""
}

// others: the event names as its source another than the app that it is sent to. In
// every real event of an app's own write that is known, sourceId is the app's id; a
// person's is userId:<n>. HubSpot documents none of it for these events.
func (e event) others() bool {
	return e.AppID != "" && e.SourceID != "" && string(e.SourceID) != string(e.AppID)
}

func object(family, typeID string) string {
	if family != "object" {
		return plurals[family]
	}
	if name := objectTypes[typeID]; name != "" {
		return name
	}
	if strings.HasPrefix(typeID, "2-") {
		return typeID
	}
	return ""
}

// merged files a merge under the record that lives on: since 2025 a new one.
func (e event) merged(n *flow.Notification) {
	for _, id := range []integer{e.NewObjectID, e.PrimaryObjectID, e.ObjectID} {
		if id != "" {
			n.Record = string(id)
			break
		}
	}
	for _, id := range append([]integer{e.PrimaryObjectID}, e.MergedObjectIDs...) {
		if id != "" && string(id) != n.Record {
			n.Merged = append(n.Merged, string(id))
		}
	}
}

// associated files an association event under the record it starts from; it
// has no objectId. Its type names both ends: DEAL_TO_LINE_ITEM.
func (e event) associated(n *flow.Notification, family string) {
	if e.FromObjectID != "" {
		n.Record = string(e.FromObjectID)
	}
	from, _, named := strings.Cut(string(e.AssociationType), "_TO_")
	switch {
	case e.FromObjectTypeID != "":
		n.Object = object("object", string(e.FromObjectTypeID))
	case named && plurals[strings.ToLower(from)] != "":
		n.Object = plurals[strings.ToLower(from)]
	case family != "object":
		n.Object = plurals[family]
	}
}

// redactedValue stands in classic events for the value of a sensitive property.
const redactedValue = "REDACTED"

// values is what a property event carries, in canonical form. Only properties
// of the spec have a known type; a value that does not fit it is left to the read.
func (r *Receiver) values(object string, e event) record.Fields {
	t, known := r.types[object][string(e.PropertyName)]
	if !known || e.PropertyValue == nil || *e.PropertyValue == redactedValue || e.Sensitive == true {
		return nil
	}
	value, err := record.Canonical(t, string(*e.PropertyValue))
	if err != nil {
		return nil
	}
	return record.Fields{string(e.PropertyName): value}
}
