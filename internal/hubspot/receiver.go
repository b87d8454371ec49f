package hubspot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// ErrWrongPortal means that every event of an authentic delivery is of another
// portal: the app is installed there too, or the portal id is wrong.
var ErrWrongPortal = fmt.Errorf("%w: the spec's hubspot.portalId is not that of any event", flow.ErrWrongPortal)

// Receiver authenticates webhook deliveries and reads their events.
type Receiver struct {
	secrets func() []string
	portal  string
	types   map[string]map[string]record.Type
	now     func() time.Time
}

var _ flow.Receiver = (*Receiver)(nil)

// NewReceiver makes a receiver. secrets returns the app's client secret, and
// the previous one while it is being rotated; portalID is the only portal whose
// events are read; types canonicalise the values events carry (PropertyTypes).
func NewReceiver(secrets func() []string, portalID string, types map[string]map[string]record.Type, now func() time.Time) (*Receiver, error) {
	if _, err := strconv.ParseUint(portalID, 10, 63); err != nil {
		return nil, errors.New("hubspot: the portal id must be digits, as Settings > Account shows it")
	}
	current := secrets()
	for _, s := range current {
		if s == "" {
			return nil, errors.New("hubspot: a client secret is empty; deliveries could not be told from forgeries")
		}
	}
	if len(current) == 0 {
		return nil, errors.New("hubspot: no client secret; store it as hubspot-client-secret")
	}
	if now == nil {
		now = time.Now
	}
	return &Receiver{secrets: secrets, portal: portalID, types: types, now: now}, nil
}

// Parse reads a verified delivery: a JSON array of events. Events of other
// portals and kinds that mean nothing here are left out; ErrWrongPortal is
// returned when that leaves no event of this portal.
func (r *Receiver) Parse(d flow.Delivery) ([]flow.Notification, error) {
	var events []event
	body := bytes.TrimSpace(d.Body)
	if len(body) == 0 || body[0] != '[' {
		return nil, flow.Errorf(flow.BadBody, "a HubSpot delivery is a JSON array of events; this body is not")
	}
	if err := json.Unmarshal(body, &events); err != nil && !partly(events, err) {
		return nil, flow.Errorf(flow.BadBody, "a HubSpot delivery is a JSON array of events; this one does not parse: %s", position(err))
	}
	notifications, foreign := make([]flow.Notification, 0, len(events)), 0
	for _, e := range events {
		if p := string(e.PortalID); p != "" && p != r.portal {
			foreign++
			continue
		}
		if n, ok := r.read(e); ok {
			notifications = append(notifications, n)
		}
	}
	if foreign > 0 && foreign == len(events) {
		return nil, ErrWrongPortal
	}
	return notifications, nil
}

// partly reports whether some elements of a delivery are events although another
// is no object: it is left out, as an event of an unknown shape is, since its
// neighbours are not told again.
func partly(events []event, err error) bool {
	var mistyped *json.UnmarshalTypeError
	return errors.As(err, &mistyped) && slices.ContainsFunc(events, func(e event) bool { return e.SubscriptionType+e.EventType != "" })
}

// position says where JSON breaks, without quoting it.
func position(err error) string {
	var syntax *json.SyntaxError
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return "syntax error at byte " + strconv.FormatInt(syntax.Offset, 10)
	case errors.As(err, &mistyped):
		return "unexpected " + strings.SplitN(mistyped.Value, " ", 2)[0] + " at byte " + strconv.FormatInt(mistyped.Offset, 10)
	}
	return "not JSON"
}
