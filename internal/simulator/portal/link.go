package portal

import (
	"slices"
	"strings"
)

// linkKey is one record's associations towards one object type.
type linkKey struct{ From, ID, To string }

type link struct {
	ID      string `json:"id"`
	Primary bool   `json:"primary,omitempty"`
}

// NewLink is an association made together with a record.
type NewLink struct {
	Object, ID string
	Primary    bool
}

// LinkedList is the part of a read that lists associated records.
type LinkedList struct {
	Results []Linked `json:"results"`
}

// Linked is one association of a record: a record that is also the primary one
// is listed twice.
type Linked struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// primaries are the pairs of types that have a primary record.
var primaries = map[[2]string]int{{"contacts", "companies"}: 1, {"deals", "companies"}: 5, {"tickets", "companies"}: 26}

// plainTypes are the type ids of plain associations, as reads show them.
var plainTypes = map[[2]string]int{
	{"contacts", "companies"}: 279, {"companies", "contacts"}: 280, {"deals", "companies"}: 341, {"companies", "deals"}: 342,
	{"deals", "contacts"}: 3, {"contacts", "deals"}: 4, {"contacts", "tickets"}: 15, {"tickets", "contacts"}: 16,
	{"tickets", "companies"}: 339, {"deals", "tickets"}: 27, {"tickets", "deals"}: 28,
}

// Associate links two live records, as plain association or as the primary one;
// it can be repeated.
func (p *Portal) Associate(by By, object, id, to, toID string, primary bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, e, err := p.find(object, id, "")
	if err != nil {
		return err
	}
	if err := p.linkable(object, []NewLink{{Object: to, ID: toID, Primary: primary}}); err != nil {
		return err
	}
	p.emit(p.linkOne(by, linkKey{object, e.ID, to}, toID, primary))
	return nil
}

func (p *Portal) linkable(object string, links []NewLink) error {
	for _, l := range links {
		_, e, err := p.find(l.Object, l.ID, "")
		if err != nil || e.Archived != 0 {
			return missing(l.ID)
		}
		if _, has := primaries[[2]string{object, l.Object}]; l.Primary && !has {
			return invalid("One or more association types are invalid")
		}
	}
	return nil
}

// linkOne makes both ends of an association and returns their events.
func (p *Portal) linkOne(by By, k linkKey, toID string, primary bool) []Event {
	toID = p.objects[k.To].resolve(toID).ID
	list := p.links[k]
	at := slices.IndexFunc(list, func(l link) bool { return l.ID == toID })
	if at >= 0 && (list[at].Primary || !primary) {
		return nil
	}
	if at < 0 {
		list = append(list, link{ID: toID})
		at = len(list) - 1
		back := linkKey{k.To, toID, k.From}
		p.links[back] = append(p.links[back], link{ID: k.ID})
	}
	for i := range list {
		if primary {
			list[i].Primary = i == at
		}
	}
	p.links[k] = list
	p.changes++
	return p.linkEvents(by, k, toID, false, primary)
}

// Dissociate removes every association between two records.
func (p *Portal) Dissociate(by By, object, id, to, toID string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, e, err := p.find(object, id, "")
	if err != nil {
		return err
	}
	if _, other, err := p.find(to, toID, ""); err == nil {
		toID = other.ID
	}
	k, back := linkKey{object, e.ID, to}, linkKey{to, toID, object}
	before := len(p.links[k])
	p.links[k] = without(p.links[k], toID)
	p.links[back] = without(p.links[back], e.ID)
	if len(p.links[k]) < before {
		p.changes++
		p.emit(p.linkEvents(by, k, toID, true, false))
	}
	return nil
}

func without(list []link, id string) []link {
	return slices.DeleteFunc(slices.Clone(list), func(l link) bool { return l.ID == id })
}

// linked lists the live records of a type that a record is associated with.
func (p *Portal) linked(object, id, to string) LinkedList {
	var out LinkedList
	_, has := primaries[[2]string{object, to}]
	name := singular(object) + "_to_" + singular(to)
	for _, l := range p.live(linkKey{object, id, to}) {
		if l.Primary {
			out.Results = append(out.Results, Linked{l.ID, name})
		}
		if has {
			out.Results = append(out.Results, Linked{l.ID, name + "_unlabeled"})
		} else {
			out.Results = append(out.Results, Linked{l.ID, name})
		}
	}
	return out
}

func (p *Portal) live(k linkKey) []link {
	s := p.objects[k.To]
	var out []link
	for _, l := range p.links[k] {
		if s != nil && s.records[l.ID] != nil && s.records[l.ID].Archived == 0 {
			out = append(out, l)
		}
	}
	slices.SortFunc(out, func(a, b link) int { return int(number(a.ID) - number(b.ID)) })
	return out
}

// moveLinks hands a merged-away record's associations to the survivor.
func (p *Portal) moveLinks(object, old, id string) {
	for k, list := range p.links {
		if k.From == object && k.ID == old {
			target := linkKey{object, id, k.To}
			for _, l := range list {
				p.links[target] = joinedLinks(p.links[target], l)
			}
			delete(p.links, k)
			continue
		}
		if at := slices.IndexFunc(list, func(l link) bool { return l.ID == old }); k.To == object && at >= 0 {
			p.links[k] = joinedLinks(without(list, old), link{ID: id, Primary: list[at].Primary})
		}
	}
}

// joinedLinks adds a link to a list that has each record once and at most one
// primary one; the first stays.
func joinedLinks(list []link, l link) []link {
	primary := slices.ContainsFunc(list, func(l link) bool { return l.Primary })
	if at := slices.IndexFunc(list, func(have link) bool { return have.ID == l.ID }); at >= 0 {
		list[at].Primary = list[at].Primary || l.Primary && !primary
		return list
	}
	return append(list, link{l.ID, l.Primary && !primary})
}

func (p *Portal) linkEvents(by By, k linkKey, toID string, removed, primary bool) []Event {
	var out []Event
	for _, end := range []linkKey{k, {k.To, toID, k.From}} {
		from, to := end.ID, toID
		if end.From == k.To {
			to = k.ID
		}
		e := p.lifecycle(p.objects[end.From], "", "associationChange", by)
		e.AssociationType = strings.ToUpper(singular(end.From) + "_TO_" + singular(end.To))
		e.FromObjectID, e.ToObjectID = number(from), number(to)
		e.AssociationRemoved, e.IsPrimaryAssociation = &removed, &primary
		out = append(out, e)
	}
	return out
}
