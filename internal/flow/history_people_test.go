package flow_test

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/record"
)

// live lists the records that are there.
func (h *history) live(sys record.System) (ids []string) {
	for _, key := range slices.Sorted(maps.Keys(h.at[sys].rows)) {
		if row := h.at[sys].rows[key]; !row.Archived {
			ids = append(ids, row.ID)
		}
	}
	return ids
}

func (h *history) pick(ids []string) string { return ids[h.rng.IntN(len(ids))] }

// observe tells what has changed in either system since it was last looked at; other says
// that it was not us.
func (h *history) observe(other bool) {
	for _, sys := range both {
		o := h.at[sys]
		if !other {
			o.land()
		}
		keys := slices.Concat(slices.Collect(maps.Keys(o.rows)), slices.Collect(maps.Keys(o.seen)))
		slices.Sort(keys)
		for _, key := range slices.Compact(keys) {
			h.notice(sys, key, other)
		}
	}
}

// notice tells of one record what a system's webhook would.
func (h *history) notice(sys record.System, key string, other bool) {
	o := h.at[sys]
	row, there := o.rows[key]
	was, known := o.seen[key]
	live, lived := there && !row.Archived, known && !was.Archived
	n := flow.Notification{Object: o.object, Record: lastPart(key), Kind: flow.Changed, At: h.now, Other: other}
	switch {
	case !live && !lived, live && lived && row.Version == was.Version:
		return
	case !live:
		row, n.Kind = was, flow.Deleted
	case known && !lived && sys == record.HubSpot:
		n.Kind = flow.Restored
	default:
		n.At = row.UpdatedAt
		o.detail(&n, row, was)
	}
	row.Archived = !live
	o.keep(row)
	h.tell(sys, n)
}

var (
	firstName = map[record.System]string{record.HubSpot: "firstname", record.Destination: "first_name"}
	lastName  = map[record.System]string{record.HubSpot: "lastname", record.Destination: "last_name"}
)

// edit is a last name that a person has given to a record; no two are alike.
type edit struct {
	sys  record.System
	id   string
	text string
	at   time.Time
	left bool // it was deleted, merged away or erased by a person, or its event is lost
}

// deeds are what people do, and what goes wrong without them; each says whether it could
// be done.
var deeds = map[string]func(*history, record.System) bool{
	"edit": (*history).rename, "delete": (*history).remove, "restore": (*history).restore,
	"newcomer": (*history).newcomer, "counterpart": (*history).counterpart, "merge": (*history).merge,
	"swap": (*history).swap, "erasure": (*history).erasure, "outage": (*history).outage, "lost answer": (*history).loseAnswer,
	"late write": (*history).delay,
}

// often has each deed as often as it is done.
var often = []string{
	"edit", "edit", "edit", "edit", "edit", "edit", "delete", "delete", "delete", "delete", "restore", "restore", "restore", "restore", "restore", "restore",
	"newcomer", "newcomer", "counterpart", "counterpart", "counterpart", "merge", "merge", "merge", "swap", "swap", "swap",
	"erasure", "outage", "lost answer", "lost answer", "lost answer", "late write", "late write", "late write",
}

func (h *history) act() {
	h.observe(false)
	what, sys := h.pick(often), both[h.rng.IntN(2)]
	if deeds[what](h, sys) {
		h.happenings[what]++
		h.observe(true)
	}
}

// set gives a record a last name that nobody has had.
func (h *history) set(sys record.System, id string, fields record.Fields) {
	h.made++
	delete(h.at[sys].ended, fields[firstName[sys]])
	fields[lastName[sys]] = "L" + strconv.Itoa(h.made) + "."
	row := h.at[sys].put(h.at[sys].key(id), fields)
	h.edits = append(h.edits, edit{sys: sys, id: id, text: fields[lastName[sys]], at: row.UpdatedAt})
	h.say("somebody sets %s %s: %v", sys, id, fields)
}

func (h *history) rename(sys record.System) bool {
	ids := h.live(sys)
	if len(ids) > 0 {
		h.set(sys, h.pick(ids), record.Fields{})
	}
	return len(ids) > 0
}

// newcomer is a person whom neither side knows.
func (h *history) newcomer(sys record.System) bool {
	if len(h.live(sys)) > 3 {
		return false
	}
	h.made++
	name := "p" + strconv.Itoa(h.made)
	h.set(sys, "5"+strconv.Itoa(h.made), record.Fields{"email": name + "@example.com", firstName[sys]: name})
	return true
}

// counterpart is made by hand for a record of the other side.
func (h *history) counterpart(sys record.System) bool {
	there := h.at[sys.Other()]
	for _, id := range h.live(sys.Other()) {
		if row := there.rows[there.key(id)]; row.Fields["email"] != "" && h.at[sys].holder(row.Fields["email"]) == "" {
			h.made++
			h.set(sys, "6"+strconv.Itoa(h.made), record.Fields{"email": row.Fields["email"], firstName[sys]: row.Fields[firstName[sys.Other()]]})
			return true
		}
	}
	return false
}

// leave ends what a person has set in a record, by that person's will.
func (h *history) leave(sys record.System, id string) {
	for i, e := range h.edits {
		if e.sys == sys && e.id == id {
			h.edits[i].left = true
		}
	}
}

func (h *history) remove(sys record.System) bool {
	ids := h.live(sys)
	if len(ids) == 0 {
		return false
	}
	id, o := h.pick(ids), h.at[sys]
	row := o.rows[o.key(id)]
	if h.alone(sys, id, row.Fields[firstName[sys]]) {
		o.ended[row.Fields[firstName[sys]]] = h.now
	}
	if o.bin {
		row.Archived = true
		o.rows[o.key(id)] = row
	} else {
		delete(o.rows, o.key(id))
	}
	o.gone[id] = true
	h.leave(sys, id)
	h.say("somebody deletes %s %s", sys, id)
	return true
}

// alone: a record is linked, and neither it nor its partner has a namesake. Where
// contacts were merged or e-mails swapped, names do not tell.
func (h *history) alone(sys record.System, id, name string) bool {
	p := h.pairOf(sys, id)
	return p.State == ledger.Linked && h.happenings["merge"]+h.happenings["swap"] == 0 && !slices.ContainsFunc(both, func(s record.System) bool {
		return slices.ContainsFunc(h.live(s), func(other string) bool {
			return other != p.IDs[s] && h.at[s].rows[h.at[s].key(other)].Fields[firstName[s]] == name
		})
	})
}

func (h *history) restore(sys record.System) bool {
	o := h.at[sys]
	var ids []string
	for _, key := range slices.Sorted(maps.Keys(o.seen)) {
		if row := o.seen[key]; row.Archived && o.holder(row.Fields["email"]) == "" {
			ids = append(ids, row.ID)
		}
	}
	if len(ids) == 0 {
		return false
	}
	key := o.key(h.pick(ids))
	row := o.seen[key]
	row.Archived = false
	if o.rows[key] = row; h.touches {
		o.put(key, nil)
	}
	delete(o.ended, row.Fields[firstName[sys]])
	h.say("somebody restores %s %s", sys, row.ID)
	return true
}

// merge makes one contact of two: the first one's values, and the other's where it has none.
func (h *history) merge(record.System) bool {
	ids, o := h.live(record.HubSpot), h.at[record.HubSpot]
	if len(ids) < 2 {
		return false
	}
	h.rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	a, b := o.rows[o.key(ids[0])], o.rows[o.key(ids[1])]
	h.made++
	id := "9" + strconv.Itoa(h.made)
	row := o.put(o.key(id), b.Fields)
	for name, text := range a.Fields {
		row.Fields[name] = cmp.Or(text, row.Fields[name])
	}
	if h.told {
		row.Merged = append(slices.Concat(a.Merged, b.Merged), a.ID, b.ID)
	}
	o.rows[o.key(id)], o.seen[o.key(id)], o.emails[id] = row, row, map[string]bool{}
	for _, old := range []string{a.ID, b.ID} {
		o.replace(old, id)
		h.leave(record.HubSpot, old)
	}
	if email := b.Fields["email"]; email != "" && email != a.Fields["email"] {
		o.beside[email] = id
	}
	h.say("somebody merges %s and %s into %s", a.ID, b.ID, id)
	clear(o.ended)
	h.tell(record.HubSpot, flow.Notification{Object: "contacts", Record: id, Kind: flow.Merged, At: h.now, Merged: []string{a.ID, b.ID}})
	return true
}

// swap exchanges the e-mails of two records that are linked.
func (h *history) swap(sys record.System) bool {
	o, ids := h.at[sys], slices.DeleteFunc(h.live(sys), func(id string) bool { return h.pairOf(sys, id).State != ledger.Linked })
	if len(ids) < 2 {
		return false
	}
	h.rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	a, b := o.key(ids[0]), o.key(ids[1])
	mine, theirs := o.rows[a].Fields["email"], o.rows[b].Fields["email"]
	o.put(a, record.Fields{"email": theirs})
	o.put(b, record.Fields{"email": mine})
	clear(o.ended) // from now on names do not tell who is who
	h.say("somebody swaps the e-mails of %s %s and %s", sys, ids[0], ids[1])
	return true
}

// erasure is on a privacy request: HubSpot tells of a deletion, too, in any order.
func (h *history) erasure(record.System) bool {
	ids := h.live(record.HubSpot)
	if len(ids) == 0 {
		return false
	}
	h.erase(h.pick(ids))
	return true
}

func (h *history) outage(sys record.System) bool {
	h.at[sys].down = h.now.Add(time.Duration(1+h.rng.IntN(10)) * time.Minute)
	h.say("%s is down for %s", sys, h.at[sys].down.Sub(h.now))
	return true
}

func (h *history) loseAnswer(sys record.System) bool {
	h.at[sys].loses = true
	h.say("%s loses the answer to the next write", sys)
	return true
}

func (h *history) delay(sys record.System) bool {
	h.at[sys].lateBy = time.Duration(1+h.rng.IntN(12)) * time.Second
	h.say("the next write to %s comes %s late and is not answered", sys, h.at[sys].lateBy)
	return true
}
