package cost

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/internal/translate"
	"tandem/spec"
)

// Event is one kind of event, and what one of it takes.
type Event struct {
	Name string `json:"event"`
	// Path is the states that it goes through, none where it ends at the door.
	Path []string `json:"path"`
	Usage
}

// Names of the events that Measure tells of.
const (
	UpdateDestination = "update"
	EchoDestination   = "its echo"
	UpdateHubSpot     = "update of HubSpot"
	EchoHubSpot       = "that one's echo"
	CreateDestination = "new record"
	DeadLetter        = "dead letter"
	Outage            = "try in outage"
)

// Of a kind of event some are played before, so that rows have grown as large as
// they get, and what is told is the mean of some more.
const (
	before   = 12
	measured = 10
)

// Measure plays records of the spec's first pair and tells what each kind of
// event takes: a person edits fields of a record on one side, and the other side
// tells of our write.
func Measure(s *spec.Spec, a Assumptions) ([]Event, error) {
	w, err := newWorld(s, a)
	if err != nil {
		return nil, err
	}
	p, err := newSample(w)
	if err != nil {
		return nil, err
	}
	for range before {
		for _, name := range []string{UpdateDestination, EchoDestination, UpdateHubSpot, EchoHubSpot, CreateDestination} {
			if _, err := p.play(name); err != nil {
				return nil, err
			}
		}
	}
	out, err := p.mean(UpdateDestination, EchoDestination, UpdateHubSpot, EchoHubSpot, CreateDestination, DeadLetter)
	if err != nil {
		return nil, err
	}
	// By itself, since its many executions would be traffic between the others.
	down, err := p.mean(Outage)
	return append(out, down...), err
}

// mean plays events in turn, and tells what each takes on average.
func (p *sample) mean(names ...string) ([]Event, error) {
	out := make([]Event, len(names))
	for range measured {
		for i, name := range names {
			was, table := p.usage, *p.table
			path, err := p.play(name)
			if err != nil {
				return nil, err
			}
			one := p.usage.plus(was, -1)
			one.WriteUnits, one.ReadUnits, one.LimitUnits = p.table.writes-table.writes, p.table.reads-table.reads, p.table.limits-table.limits
			out[i] = Event{name, path, out[i].plus(one, 1.0/measured)}
		}
	}
	return out, nil
}

// sample is a pair of the spec with one linked record that people edit.
type sample struct {
	*world
	pair      spec.Pair
	edited    []spec.Field
	hub, dest string // ids
	n         int
}

func newSample(w *world) (*sample, error) {
	p := &sample{world: w, pair: w.spec.Pairs[0]}
	for _, f := range p.pair.Fields {
		if p.editable(f) && len(p.edited) < w.Fields {
			p.edited = append(p.edited, f)
		}
	}
	if len(p.edited) == 0 {
		return nil, fmt.Errorf("pair %s has no text field that travels both ways by itself: there is nothing to edit in a sample", p.pair.Name)
	}
	var err error
	if p.hub, err = p.create(); err == nil {
		for _, rec := range p.remotes[record.Destination].rows {
			p.dest = rec.ID
		}
	}
	return p, err
}

// editable: a text field that both sides may edit, by which no records are
// matched and which no other field is made of.
func (p *sample) editable(f spec.Field) bool {
	if f.Direction != "" && f.Direction != spec.Both || len(p.values(f, record.HubSpot)) == 0 {
		return false
	}
	for _, m := range p.pair.Match {
		if m.Field == f.Name {
			return false
		}
	}
	return !slices.ContainsFunc(p.pair.Fields, func(o spec.Field) bool { return o.Name != f.Name && madeOf(o, f) })
}

// madeOf: a field takes a property of another into its own value.
func madeOf(o, f spec.Field) bool {
	if o.HubSpot.Property == f.HubSpot.Property || o.Destination.Property == f.Destination.Property {
		return true
	}
	return o.Formula != nil && slices.Contains(o.Formula.Concat, "{"+f.HubSpot.Property+"}")
}

// values are two texts that a field can hold on one side, translations of each
// other's counterparts.
func (p *sample) values(f spec.Field, sys record.System) []string {
	plain := f.HubSpot.Type == "" || f.HubSpot.Type == record.String
	switch {
	case f.Formula != nil && len(f.Formula.EnumMap) > 0:
		keys := slices.Sorted(maps.Keys(f.Formula.EnumMap))
		var out []string
		seen := map[string]bool{}
		for _, key := range keys {
			value := f.Formula.EnumMap[key]
			if seen[value] || value == "" || key == "" || len(out) == 2 {
				continue
			}
			seen[value] = true
			if sys == record.HubSpot {
				value = key
			}
			out = append(out, value)
		}
		return out[:len(out)/2*2]
	case plain && f.Formula == nil, plain && (f.Formula.Name == "lowercase" || f.Formula.Name == "stripSpaces"):
		return []string{"brunswick", "fitzroynorth"}
	}
	return nil
}

// fill makes a record's values: what every property of HubSpot could hold, blank
// where a formula refuses it.
func (p *sample) fill(n int) record.Fields {
	fields := record.Fields{}
	for _, f := range p.pair.Fields {
		text := map[record.Type]string{
			record.Number: "42", record.Bool: "true", record.Date: "1990-05-17", record.DateTime: "2026-05-17T09:30:00.000Z",
		}[f.HubSpot.Type]
		if values := p.values(f, record.HubSpot); len(values) > 0 {
			text = values[0]
		}
		if fields[f.HubSpot.Property] == "" && f.HubSpot.Pair == "" {
			fields[f.HubSpot.Property] = text
		}
	}
	for _, m := range p.pair.Match {
		for _, f := range p.pair.Fields {
			if f.Name == m.Field {
				fields[f.HubSpot.Property] = fmt.Sprintf("record%d@example.com", n)
			}
		}
	}
	t, err := translate.Compile(p.pair, spec.ToDestination)
	for err == nil {
		var refused *translate.Error
		if _, err = t.Apply(fields); errors.As(err, &refused) {
			for _, f := range p.pair.Fields {
				if f.Name == refused.Field && fields[f.HubSpot.Property] != "" {
					fields[f.HubSpot.Property], err = "", nil
				}
			}
		} else {
			break
		}
	}
	return fields
}

// create makes a record in HubSpot and has it brought over.
func (p *sample) create() (string, error) {
	p.n++
	hub := p.remotes[record.HubSpot]
	rec := hub.put(p.pair.HubSpot.Object, hub.next(), p.fill(p.n))
	_, err := p.ends("Stamp", record.HubSpot, p.event(record.HubSpot, rec.ID, nil)...)
	return rec.ID, err
}

// event is what a system tells of a record: HubSpot one event for each property
// with its value, the destination that it has changed, a poll its version too.
func (p *sample) event(sys record.System, id string, values record.Fields) (out []flow.Notification) {
	p.n++
	side := p.pair.Side(sys)
	n := flow.Notification{ID: fmt.Sprint(2572854000 + p.n), Object: side.Object, Record: id, Kind: flow.Changed, At: p.now}
	if side.Trigger == "poll" {
		n.Version = p.remotes[sys].rows[side.Object+"/"+id].Version
	}
	if sys == record.Destination || len(values) == 0 {
		return append(out, n)
	}
	for _, property := range values.Names() {
		n.ID, n.Values = n.ID+"1", record.Fields{property: values[property]}
		out = append(out, n)
	}
	return out
}

// byPeople says of events that it was not this app which made the change.
func byPeople(events []flow.Notification) []flow.Notification {
	for i := range events {
		events[i].Other = true
	}
	return events
}

// ends delivers events and fails unless their execution ends in a state; "" takes
// any end.
func (p *sample) ends(state string, sys record.System, events ...flow.Notification) ([]string, error) {
	path, err := p.deliver(sys, events...)
	if err == nil && state != "" && (len(path) == 0 || path[len(path)-1] != state) {
		err = fmt.Errorf("a sample of pair %s went %s and not to %s: %s %s", p.pair.Name, strings.Join(path, ", "), state, p.last.Error, p.last.Cause)
	}
	return path, err
}

// edit changes fields on one side as a person does.
func (p *sample) edit(sys record.System) (id string, values record.Fields) {
	p.now = p.now.Add(24 * time.Hour)
	object, values := p.pair.Side(sys).Object, record.Fields{}
	if id = p.dest; sys == record.HubSpot {
		id = p.hub
	}
	for _, f := range p.edited {
		property, two := f.Side(sys).Property, p.values(f, sys)
		if values[property] = two[0]; p.remotes[sys].rows[object+"/"+id].Fields[property] == two[0] {
			values[property] = two[1]
		}
	}
	p.remotes[sys].put(object, id, values)
	return id, values
}

// play has one event of a kind happen, and returns its path.
func (p *sample) play(name string) ([]string, error) {
	switch name {
	case UpdateDestination:
		id, values := p.edit(record.HubSpot)
		return p.ends("Stamp", record.HubSpot, byPeople(p.event(record.HubSpot, id, values))...)
	case EchoDestination:
		return p.ends("", record.Destination, p.event(record.Destination, p.dest, nil)...)
	case UpdateHubSpot:
		id, _ := p.edit(record.Destination)
		return p.ends("Stamp", record.Destination, p.event(record.Destination, id, nil)...)
	case EchoHubSpot:
		written := record.Fields{}
		for _, f := range p.edited {
			written[f.HubSpot.Property] = p.remotes[record.HubSpot].rows[p.pair.HubSpot.Object+"/"+p.hub].Fields[f.HubSpot.Property]
		}
		return p.ends("", record.HubSpot, p.event(record.HubSpot, p.hub, written)...)
	case CreateDestination:
		_, err := p.create()
		return p.last.Path, err
	case Outage:
		return p.wait()
	}
	return p.die()
}

// wait has an update meet a destination that is down, until its delays are as long
// as they get. Counted is one more of the executions that find it down still.
func (p *sample) wait() (path []string, err error) {
	dest := p.remotes[record.Destination]
	id, values := p.edit(record.HubSpot)
	err = p.uncounted(func() error {
		dest.down = true
		_, err := p.ends("Deferred", record.HubSpot, byPeople(p.event(record.HubSpot, id, values))...)
		for range 6 {
			err = errors.Join(err, p.goOn())
		}
		return err
	})
	if err = errors.Join(err, p.goOn()); err != nil {
		return nil, err
	}
	path = p.last.Path
	return path, p.uncounted(func() error {
		dest.down = false
		if err := p.goOn(); err != nil || p.last.Path[len(p.last.Path)-1] != "Stamp" {
			return errors.Join(err, fmt.Errorf("after the outage a sample of pair %s went %s: %s %s", p.pair.Name, strings.Join(p.last.Path, ", "), p.last.Error, p.last.Cause))
		}
		return nil
	})
}

// die has an update refused, and undone by the person who made it.
func (p *sample) die() ([]string, error) {
	dest := p.remotes[record.Destination]
	dest.refuse = true
	id, values := p.edit(record.HubSpot)
	path, err := p.ends("Failed", record.HubSpot, byPeople(p.event(record.HubSpot, id, values))...)
	if dest.refuse = false; err != nil {
		return path, err
	}
	return path, p.uncounted(func() error {
		_, err := p.ends("Stamp", record.HubSpot, byPeople(p.event(record.HubSpot, id, values))...)
		return err
	})
}
