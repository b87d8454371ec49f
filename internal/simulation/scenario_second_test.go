package simulation

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"time"

	"tandem/internal/destination"
	"tandem/internal/flow"
	"tandem/internal/hubspot"
	"tandem/internal/record"
	"tandem/internal/simulator/erp"
	"tandem/internal/table/embedded"
	"tandem/spec"
)

// other runs a command on a second integration: another client of ours with a
// destination, a mapping and external ids of its own, on the same portal.
func (st *stage) other(ctx context.Context, w []string) error {
	if len(w) < 2 {
		return errUsage
	}
	if st.second == nil {
		if err := st.open(); err != nil {
			return err
		}
	}
	return st.second.do(ctx, st.where, quote(w[1:]))
}

// open makes the second integration, in this world and on this portal.
func (st *stage) open() error {
	s, err := sibling(st.document())
	if err != nil {
		return err
	}
	two, err := newStage(s)
	if err != nil {
		return err
	}
	now := func() time.Time { return st.now }
	st.hub.DefineFor(s)
	two.world, two.hub, two.first, st.second = st.world, st.hub, st, two
	two.onePortal, st.onePortal = true, true
	two.erp = erp.New(erp.Usual(), now, st.rng)
	two.handlers[record.HubSpot], two.handlers[record.Destination] = st.handlers[record.HubSpot], erp.Handler(two.erp, ourToken)
	if two.table, err = embedded.Open("", now); err != nil {
		return err
	}
	if two.calm, _, err = two.clients(s, false); err != nil {
		return err
	}
	hub, err := hubspot.NewReceiver(func() []string { return []string{hubSecret} }, s.HubSpot.PortalID, hubspot.PropertyTypes(s), now)
	if err != nil {
		return err
	}
	dest, err := destination.NewReceiver(s, destSecret)
	if err != nil {
		return err
	}
	two.ingress.Receivers = map[record.System]flow.Receiver{record.HubSpot: hub, record.Destination: dest}
	return two.adopt(s)
}

// sibling is the same spec for another client, with other external ids in HubSpot.
func sibling(doc any) (*spec.Spec, error) {
	data, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	text := strings.NewReplacer(`"client":"acme"`, `"client":"second"`, `"externalId":"erp_id"`, `"externalId":"second_id"`).Replace(string(data))
	return spec.Parse("spec of the second integration", []byte(text))
}

// shared are the script's names for HubSpot's records, which both integrations see.
func (st *stage) shared(name string) map[record.System]string {
	known := maps.Clone(st.names[name])
	if st.first != nil && known[record.HubSpot] == "" {
		if id := st.first.names[name][record.HubSpot]; id != "" {
			known = map[record.System]string{record.HubSpot: id}
		}
	}
	return known
}
