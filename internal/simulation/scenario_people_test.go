package simulation

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"tandem/internal/record"
	"tandem/internal/simulator/portal"
	"tandem/spec"
)

// somebody does what a person or another program does on one side.
func (st *stage) somebody(_ context.Context, w []string) error {
	sys := record.System(w[0])
	if len(w) < 3 {
		return errUsage
	}
	switch w[1] {
	case "create":
		if len(w) < 4 {
			return errUsage
		}
		return st.create(sys, w[2], w[3], w[4:])
	case "merge":
		if len(w) != 5 {
			return errUsage
		}
		return st.merge(w[2], w[3], w[4])
	}
	id, pair, err := st.id(sys, w[2])
	if err != nil {
		return err
	}
	object := pair.Side(sys).Object
	switch w[1] + " " + string(sys) {
	case "set hubspot", "set destination":
		return st.edit(sys, pair, id, w[3:], func(props map[string]string) bool {
			_, ok := st.outside(pair, sys, id, props)
			return ok
		})
	case "write hubspot":
		return st.edit(sys, pair, id, w[3:], func(props map[string]string) bool {
			_, err := st.hub.Update(portal.App(st.hub.AppID()), object, id, "", props)
			return err == nil
		})
	case "delete hubspot":
		return st.hub.Archive(portal.Person, object, id)
	case "restore hubspot":
		return st.hub.Restore(portal.Person, object, id)
	case "purge hubspot":
		return st.hub.Purge(portal.Person, object, id, "")
	case "delete destination":
		return st.erp.Delete(object, id, 0)
	case "restore destination":
		_, err := st.erp.Restore(object, id)
		return err
	}
	return fmt.Errorf("%s cannot %q a record", sys, w[1])
}

// id finds what a record is called on one side.
func (st *stage) id(sys record.System, name string) (string, spec.Pair, error) {
	pair, names := st.kinds[name], st.shared(name)
	if st.first != nil && pair.Name == "" {
		pair, _ = st.spec.PairByName(st.first.kinds[name].Name)
	}
	if id := names[sys]; id != "" {
		return id, pair, nil
	}
	if known := names[sys.Other()]; known != "" {
		p := st.run.pairOf(pair, record.Ref{System: sys.Other(), Object: pair.Side(sys.Other()).Object, ID: known})
		if p != nil && p.IDs[sys] != "" {
			return p.IDs[sys], pair, nil
		}
	}
	return "", pair, fmt.Errorf("nothing called %q is known in %s", name, sys)
}

func (st *stage) create(sys record.System, object, name string, values []string) error {
	pair, ok := st.spec.PairByObject(sys, object)
	if !ok {
		return fmt.Errorf("the spec has no %s object %s", sys, object)
	}
	props, err := st.props(sys, pair, values)
	if err != nil {
		return err
	}
	id, ok := st.outside(pair, sys, "", props)
	if !ok {
		return fmt.Errorf("%s refused to make it", sys)
	}
	if st.names[name] == nil {
		st.names[name] = map[record.System]string{}
	}
	st.names[name][sys], st.kinds[name] = id, pair
	st.foreign[record.Ref{System: sys, Object: object, ID: id}] = true
	st.called[id] = name
	st.edited(sys, pair, id, nil)
	return nil
}

func (st *stage) edit(sys record.System, pair spec.Pair, id string, values []string, do func(map[string]string) bool) error {
	props, err := st.props(sys, pair, values)
	if err != nil {
		return err
	}
	was := st.now1(pair, sys, id)
	if !do(props) {
		return fmt.Errorf("%s refused the edit", sys)
	}
	st.edited(sys, pair, id, was)
	return nil
}

// edited notes what somebody has changed, as the system now holds it.
func (st *stage) edited(sys record.System, pair spec.Pair, id string, was map[string]string) {
	ref := record.Ref{System: sys, Object: pair.Side(sys).Object, ID: id}
	now := st.now1(pair, sys, id)
	for _, f := range pair.Fields {
		if now[f.Name] != was[f.Name] && !refers(pair, f.Name) && f.Travels(spec.From(sys)) && (f.Formula == nil || f.Formula.Concat == nil) {
			st.edits = append(st.edits, edit{at: st.now, ref: ref, pair: pair.Name, field: f.Name, text: now[f.Name]})
		}
	}
	st.observe(sys, false)
}

// props reads prop=value words; a property must be one that the spec maps.
func (st *stage) props(sys record.System, pair spec.Pair, values []string) (map[string]string, error) {
	out := map[string]string{}
	for _, v := range values {
		name, text, ok := strings.Cut(v, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not property=value", v)
		}
		i := slices.IndexFunc(pair.Fields, func(f spec.Field) bool { return f.Side(sys).Property == name })
		if i < 0 {
			return nil, fmt.Errorf("pair %s has no %s property %s", pair.Name, sys, name)
		}
		if pair.Fields[i].Side(sys).Type == record.Reference && text != "" {
			id, _, err := st.id(sys, text)
			if err != nil {
				return nil, err
			}
			text = id
		}
		out[name] = text
	}
	return out, nil
}

func (st *stage) merge(a, b, survivor string) error {
	idA, pair, err := st.id(record.HubSpot, a)
	if err != nil {
		return err
	}
	idB, _, err := st.id(record.HubSpot, b)
	if err != nil {
		return err
	}
	rec, err := st.hub.Merge(portal.Person, pair.HubSpot.Object, idA, idB)
	if err != nil {
		return err
	}
	key := pair.HubSpot.Object + "/" + rec.ID
	st.merged[key] = append(st.merged[key], idA, idB)
	st.names[survivor], st.kinds[survivor] = map[record.System]string{record.HubSpot: rec.ID}, pair
	st.meet(record.HubSpot, pair.HubSpot.Object, rec.ID)
	st.foreign[record.Ref{System: record.HubSpot, Object: pair.HubSpot.Object, ID: rec.ID}] = true
	st.observe(record.HubSpot, false)
	st.called[rec.ID] = survivor
	return nil
}
