package destination

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tandem/internal/destination/signature"
	"tandem/internal/flow"
	"tandem/spec"
)

// maxEvents bounds what one delivery may hold; the largest known senders put
// 100 events into one.
const maxEvents = 1000

// Receiver implements flow.Receiver for the destination's webhooks.
type Receiver struct {
	webhook spec.Webhook
	scheme  *signature.Scheme
	words   map[string]string // an event's word for an object
}

var _ flow.Receiver = (*Receiver)(nil)

// NewReceiver makes the receiver of a spec's destination for its current secret
// and, during a rotation, the previous one. Blank secrets are left out; without
// any it refuses to be made.
func NewReceiver(s *spec.Spec, secrets ...string) (*Receiver, error) {
	w := s.Destination.Webhook
	if w == nil {
		return nil, errors.New("destination.webhook is missing; a destination without webhooks is polled")
	}
	scheme, err := signature.New(*w, secrets...)
	if err != nil {
		return nil, fmt.Errorf("destination.webhook: %w", err)
	}
	r := &Receiver{webhook: *w, scheme: scheme, words: map[string]string{}}
	for name, o := range s.Destination.Objects {
		r.words[cmp.Or(o.Event, name)] = name
	}
	return r, nil
}

// Verify implements flow.Receiver.
func (r *Receiver) Verify(d flow.Delivery) error {
	if err := r.scheme.Verify(signature.Message{Header: d.Header, Body: d.Body}, d.At); err != nil {
		return &flow.Error{Code: flow.BadSignature, Message: "destination webhook: " + err.Error(), Err: err}
	}
	return nil
}

// Parse implements flow.Receiver. Events of objects that the spec does not
// describe, or without a record's id, are left out.
func (r *Receiver) Parse(d flow.Delivery) ([]flow.Notification, error) {
	var body any
	if err := decode(d.Body, &body); err != nil {
		return nil, flow.Errorf(flow.BadBody, "destination webhook: the body is not one JSON value")
	}
	found, ok := at(body, r.webhook.Events)
	if !ok {
		return nil, flow.Errorf(flow.BadBody, "destination webhook: the body has nothing at %q; check destination.webhook.events", r.webhook.Events)
	}
	events := list(found)
	if events == nil && r.webhook.Events != "" {
		if _, empty := found.([]any); !empty {
			return nil, flow.Errorf(flow.BadBody, "destination webhook: %q must be an array of events", r.webhook.Events)
		}
	}
	if len(events) > maxEvents {
		return nil, flow.Errorf(flow.TooLarge, "%d events in one delivery, at most %d are taken: send fewer", len(events), maxEvents)
	}
	var out []flow.Notification
	for _, e := range events {
		if n, ok := r.notification(e, d.Header); ok {
			out = append(out, n)
		}
	}
	return out, nil
}

// notification reads one event.
func (r *Receiver) notification(e any, header map[string]string) (flow.Notification, bool) {
	w := r.webhook
	object, ok := r.words[said(e, header, w.Object, w.ObjectHeader)]
	if !ok && w.Object == "" && w.ObjectHeader == "" && len(r.words) == 1 {
		for _, object = range r.words { // the only one there is
			ok = true
		}
	}
	n := flow.Notification{ID: text(e, w.ID), Object: object, Record: identifier(e, w.Record), Kind: flow.Changed}
	if slices.Contains(w.Deleted, said(e, header, w.Action, w.ActionHeader)) {
		n.Kind = flow.Deleted
	}
	if w.At != "" {
		v, _ := at(e, w.At)
		n.At = instant(v)
	}
	return n, ok && strings.Trim(n.Record, ".") != ""
}

// said reads a word from the event or, where the sender says it there, a header.
func said(e any, header map[string]string, path, name string) string {
	if name != "" {
		return header[strings.ToLower(name)]
	}
	return text(e, path)
}
