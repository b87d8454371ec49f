package portal

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"tandem/internal/flow"
	"tandem/internal/hubspot"
	"tandem/internal/record"
)

// Event is one webhook event.
type Event struct {
	EventID                 int64   `json:"eventId"`
	SubscriptionID          int64   `json:"subscriptionId"`
	PortalID                int64   `json:"portalId"`
	AppID                   int64   `json:"appId"`
	OccurredAt              int64   `json:"occurredAt"`
	SubscriptionType        string  `json:"subscriptionType"`
	AttemptNumber           int     `json:"attemptNumber"`
	ObjectID                int64   `json:"objectId,omitempty"`
	ObjectTypeID            string  `json:"objectTypeId,omitempty"`
	ChangeFlag              string  `json:"changeFlag,omitempty"`
	PropertyName            string  `json:"propertyName,omitempty"`
	PropertyValue           *string `json:"propertyValue,omitempty"`
	IsSensitive             *bool   `json:"isSensitive,omitempty"`
	ChangeSource            string  `json:"changeSource,omitempty"`
	SourceID                string  `json:"sourceId,omitempty"`
	PrimaryObjectID         int64   `json:"primaryObjectId,omitempty"`
	MergedObjectIDs         []int64 `json:"mergedObjectIds,omitempty"`
	NewObjectID             int64   `json:"newObjectId,omitempty"`
	NumberOfPropertiesMoved int     `json:"numberOfPropertiesMoved,omitempty"`
	AssociationType         string  `json:"associationType,omitempty"`
	FromObjectID            int64   `json:"fromObjectId,omitempty"`
	ToObjectID              int64   `json:"toObjectId,omitempty"`
	AssociationRemoved      *bool   `json:"associationRemoved,omitempty"`
	IsPrimaryAssociation    *bool   `json:"isPrimaryAssociation,omitempty"`
}

// typeIDs are the ids of the standard object types.
var typeIDs = map[string]string{
	"contacts": "0-1", "companies": "0-2", "deals": "0-3", "tickets": "0-5", "products": "0-7", "line_items": "0-8",
}

// subscriptions say which events are sent, and in which of the two forms. The
// zero value sends everything in the classic form.
type subscriptions struct {
	limited bool
	events  map[string]bool // "contacts deletion", "contacts propertyChange email": true when generic
}

// readSubscriptions reads the app's webhooks-hsmeta.json.
func readSubscriptions(file []byte) subscriptions {
	if len(file) == 0 {
		return subscriptions{}
	}
	type sub struct {
		SubscriptionType, ObjectType, PropertyName string
		Active                                     bool
	}
	var f struct {
		Config struct{ Subscriptions map[string][]sub }
	}
	if err := json.Unmarshal(file, &f); err != nil {
		panic("portal: Options.Webhooks is not a webhooks-hsmeta.json: " + err.Error())
	}
	out := subscriptions{limited: true, events: map[string]bool{}}
	for group, list := range f.Config.Subscriptions {
		for _, s := range list {
			family, kind, _ := strings.Cut(s.SubscriptionType, ".")
			if family == "object" {
				family = s.ObjectType
			}
			if s.Active {
				out.events[strings.TrimSpace(plural(family)+" "+kind+" "+s.PropertyName)] = group == "crmObjects"
			}
		}
	}
	return out
}

func (s subscriptions) wants(object, kind, property string) (generic, wanted bool) {
	if !s.limited {
		return false, true
	}
	generic, wanted = s.events[strings.TrimSpace(object+" "+kind+" "+property)]
	return generic, wanted
}

// lifecycle makes an event of a kind that has no property.
func (p *Portal) lifecycle(s *store, id, kind string, by By) Event {
	e := p.event(s, kind, "", by)
	if id != "" {
		e.ObjectID = number(id)
	}
	e.ChangeFlag = map[string]string{"creation": "CREATED", "deletion": "DELETED"}[kind]
	return e
}

// event makes an event; one that no subscription wants has no type.
func (p *Portal) event(s *store, kind, property string, by By) Event {
	generic, wanted := p.subs.wants(s.name, kind, property)
	if !wanted || s.defs[property].ReadOnly {
		return Event{}
	}
	e := Event{
		PortalID: p.o.PortalID, AppID: p.o.AppID, OccurredAt: p.nowMs(), SubscriptionID: 6527595,
		SubscriptionType: singular(s.name) + "." + kind, PropertyName: property, ChangeSource: by.Source, SourceID: by.ID,
	}
	if typeID := typeIDs[s.name]; generic || typeID == "" {
		e.SubscriptionType, e.ObjectTypeID = "object."+kind, typeID
		if typeID == "" {
			e.ObjectTypeID = s.name
		}
	}
	return e
}

// propertyEvents makes one event per property that differs.
func (p *Portal) propertyEvents(s *store, id string, before, after map[string]string, by By) []Event {
	var out []Event
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if before[name] == after[name] {
			continue
		}
		e := p.event(s, "propertyChange", name, by)
		if e.SubscriptionType == "" {
			continue
		}
		value, sensitive := eventValue(s.defs[name], after[name]), s.defs[name].Sensitive
		e.ObjectID, e.PropertyValue = number(id), &value
		if e.ObjectTypeID != "" {
			e.IsSensitive = &sensitive
		}
		out = append(out, e)
	}
	return out
}

// eventValue spells a value as events do: instants in milliseconds.
func eventValue(d Property, value string) string {
	switch {
	case d.Sensitive:
		return "REDACTED"
	case value != "" && (d.Type == record.Date || d.Type == record.DateTime):
		return milliseconds(d.Type, value)
	}
	return value
}

// emit queues the events of one action: shuffled, some twice, some with an id
// that another event has.
func (p *Portal) emit(action []Event) {
	action = slices.DeleteFunc(action, func(e Event) bool { return e.SubscriptionType == "" })
	if len(action) == 0 {
		return
	}
	p.o.Rand.Shuffle(len(action), func(i, j int) { action[i], action[j] = action[j], action[i] })
	for _, e := range action {
		e.EventID = int64(p.o.Rand.Uint32())
		if p.lastID != 0 && p.chance(p.o.Clashes) {
			e.EventID = p.lastID
		}
		p.lastID = e.EventID
		p.pending = append(p.pending, e)
		if p.chance(p.o.Duplicates) {
			p.pending = append(p.pending, e)
		}
	}
	p.nudge()
}

// nudge tells a deliverer that there is something to do.
func (p *Portal) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *Portal) chance(probability float64) bool {
	return probability > 0 && p.o.Rand.Float64() < probability
}

// Events takes the events that wait for delivery.
func (p *Portal) Events() []Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.pending
	p.pending = nil
	return out
}

// Requeue puts events back in front, to be delivered again.
func (p *Portal) Requeue(events []Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending = append(slices.Clone(events), p.pending...)
	p.nudge()
}

// Delivery signs events for a receiver in process, as attempt number attempt.
func (p *Portal) Delivery(secret, url string, events []Event, attempt int) flow.Delivery {
	events = slices.Clone(events)
	for i := range events {
		events[i].AttemptNumber = attempt
	}
	body, _ := json.Marshal(events) // Numbers and texts only: cannot fail.
	now := p.o.Now()
	stamp := strconv.FormatInt(now.UnixMilli(), 10)
	return flow.Delivery{
		Method: http.MethodPost, URL: url, Body: body, At: now,
		Header: map[string]string{
			"content-type": "application/json", hubspot.TimestampHeader: stamp,
			hubspot.SignatureHeader: hubspot.Sign(secret, http.MethodPost, url, body, stamp),
		},
	}
}
