package portal

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Archive puts a record in the recycle bin. The last-modified instant does not
// move, search and plain reads lose the record at once, and an archived or
// unknown record is no error.
func (p *Portal) Archive(by By, object, id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.archive(by, object, id)
}

func (p *Portal) archive(by By, object, id string) error {
	s, err := p.object(object)
	if err != nil {
		return err
	}
	e := s.resolve(id)
	if e == nil || e.Archived != 0 {
		return nil
	}
	s.release(e)
	e.Archived, e.Last = p.nowMs(), by
	p.changes++
	p.emit([]Event{p.lifecycle(s, e.ID, "deletion", by)})
	return nil
}

// Restore takes a record out of the recycle bin, which only people can do.
func (p *Portal) Restore(by By, object, id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, e, err := p.find(object, id, "")
	if err != nil {
		return err
	}
	if e.Archived == 0 {
		return nil
	}
	if err := s.free(e, e.Props); err != nil {
		return err
	}
	e.Archived = 0
	s.hold(e, e.Props)
	p.touch(e, by)
	p.index(e)
	p.emit([]Event{p.lifecycle(s, e.ID, "restore", by)})
	return nil
}

// Purge deletes a record for good, as a privacy deletion does. It sends a
// deletion and a privacy deletion, in any order.
func (p *Portal) Purge(by By, object, id, idProperty string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, e, err := p.find(object, id, idProperty)
	if err != nil {
		return err
	}
	s.remove(e)
	p.changes++
	p.emit([]Event{p.lifecycle(s, e.ID, "deletion", by), p.lifecycle(s, e.ID, "privacyDeletion", by)})
	return nil
}

func (s *store) remove(e *entry) {
	s.release(e)
	delete(s.records, e.ID)
	s.order = slices.DeleteFunc(s.order, func(id string) bool { return id == e.ID })
}

// Merge makes a new record out of two; both old ids answer with it from then
// on. The primary's values win, the other fills its blanks.
func (p *Portal) Merge(by By, object, primary, other string) (Record, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, a, err := p.find(object, primary, "")
	if err != nil {
		return Record{}, err
	}
	_, b, err := p.find(object, other, "")
	if err != nil {
		return Record{}, err
	}
	if a == b || a.Archived != 0 || b.Archived != 0 {
		return Record{}, invalid("Cannot merge a record with itself or with an archived one")
	}
	props, moved := merged(a, b)
	e := &entry{ID: strconv.FormatInt(s.next, 10), Created: min(a.Created, b.Created), Origin: a.Origin}
	s.next++
	for _, old := range []*entry{a, b} {
		s.remove(old)
		s.alias[old.ID] = e.ID
		p.moveLinks(object, old.ID, e.ID)
	}
	s.records[e.ID], s.order = e, append(s.order, e.ID)
	s.hold(e, props)
	e.Updated = max(a.Updated, b.Updated)
	p.touch(e, by)
	p.index(e)
	p.emit(p.mergeEvents(s, a.ID, b.ID, e.ID, moved, by))
	return p.answer(s, e, defaults(object), nil, nil), nil
}

func merged(a, b *entry) (props map[string]string, moved int) {
	props = maps.Clone(a.Props)
	for name, v := range b.Props {
		if props[name] == "" && v != "" {
			props[name] = v
			moved++
		}
	}
	ids := joined(a.Props["hs_merged_object_ids"], b.Props["hs_merged_object_ids"], a.ID, b.ID)
	props["hs_merged_object_ids"] = ids
	if v := b.Props["email"]; v != "" && v != props["email"] {
		props["hs_additional_emails"] = joined(a.Props["hs_additional_emails"], b.Props["hs_additional_emails"], v)
	}
	return props, moved
}

func joined(lists ...string) string {
	var members []string
	for _, l := range lists {
		for m := range strings.SplitSeq(l, ";") {
			if m != "" && !slices.Contains(members, m) {
				members = append(members, m)
			}
		}
	}
	return strings.Join(members, ";")
}

func (p *Portal) mergeEvents(s *store, primary, other, id string, moved int, by By) []Event {
	m := p.lifecycle(s, "", "merge", by)
	m.PrimaryObjectID, m.MergedObjectIDs, m.NewObjectID, m.NumberOfPropertiesMoved = number(primary), []int64{number(other)}, number(id), moved
	action := []Event{m}
	if p.o.MergeDeletes {
		action = append(action, p.lifecycle(s, primary, "deletion", by), p.lifecycle(s, other, "deletion", by))
	}
	return action
}

func number(id string) int64 {
	n, _ := strconv.ParseInt(id, 10, 64) // Ids are made here, of digits.
	return n
}
