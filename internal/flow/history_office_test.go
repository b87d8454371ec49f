package flow_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// office is a shelf that people work at: it keeps e-mails unique, answers for what was
// merged with the survivor, has a recycle bin, and may be down or lose an answer.
type office struct {
	*shelf
	object string
	seen   map[string]record.Record // by key, as they were when last looked at; Archived when gone
	into   map[string]string        // the survivor of a merged record
	gone   map[string]bool          // what a person has deleted at any time
	shown  map[string]bool          // every last name that we have brought there
	emails map[string]map[string]bool
	ended  map[string]time.Time // by first name: who was linked, and deleted by a person
	down   time.Time
	loses  bool
	lateBy time.Duration // of the next write, which is not answered
	late   []landing
	wrongs []string // what must not have been done
}

func newOffice(s *shelf, object string, ended map[string]time.Time) *office {
	o := &office{
		shelf: s, object: object, ended: ended, seen: map[string]record.Record{}, into: map[string]string{},
		gone: map[string]bool{}, shown: map[string]bool{}, emails: map[string]map[string]bool{},
	}
	s.beside, s.refuse, s.fail, s.after = map[string]string{}, o.unique, o.works, o.answers
	return o
}

func (o *office) works(string) error {
	if o.bench.now.Before(o.down) {
		return flow.Errorf(flow.RemoteBusy, "down")
	}
	return nil
}

func (o *office) answers(string) error {
	if o.loses {
		o.loses = false
		return &flow.Error{Code: flow.RemoteBusy, Message: "no answer", Maybe: true}
	}
	return nil
}

// landing is a write that is carried out after its answer was given up.
type landing struct {
	at time.Time
	do func()
}

// delayed puts a write off, if it is to be late.
func (o *office) delayed(do func()) error {
	if o.lateBy == 0 {
		return nil
	}
	o.late = append(o.late, landing{o.bench.now.Add(o.lateBy), do})
	o.lateBy = 0
	return &flow.Error{Code: flow.RemoteBusy, Message: "no answer yet", Maybe: true}
}

// land carries out what is due, at its own time and without another fault.
func (o *office) land() {
	now, down, loses, lateBy := o.bench.now, o.down, o.loses, o.lateBy
	for len(o.late) > 0 && !now.Before(o.late[0].at) {
		next := o.late[0]
		o.late = o.late[1:]
		o.bench.now, o.down, o.loses, o.lateBy = next.at, time.Time{}, false, 0
		next.do()
	}
	o.bench.now, o.down, o.loses, o.lateBy = now, down, loses, lateBy
}

// lives is the id that answers for a record.
func (o *office) lives(id string) string {
	for o.into[id] != "" {
		id = o.into[id]
	}
	return id
}

func (o *office) key(id string) string { return o.object + "/" + id }

// holder is the live record that an e-mail belongs to, "" where it is free.
func (o *office) holder(email string) string {
	for _, key := range slices.Sorted(maps.Keys(o.rows)) {
		if row := o.rows[key]; email != "" && !row.Archived && (row.Fields["email"] == email || o.beside[email] == row.ID) {
			return row.ID
		}
	}
	return ""
}

func (o *office) unique(id string, fields record.Fields) error {
	if other := o.holder(fields["email"]); other != "" && other != id {
		return &flow.Error{Code: flow.AlreadyExists, Message: "409, duplicate", ExistingID: other}
	}
	return nil
}

// buried: a person deleted one of that name so long ago that no create can be under way.
func (o *office) buried(fields record.Fields) bool {
	return slices.ContainsFunc(both, func(sys record.System) bool {
		at, ended := o.ended[fields[firstName[sys]]]
		return ended && o.bench.now.Sub(at) > 2*time.Minute
	})
}

func (o *office) show(fields record.Fields) {
	for _, name := range lastName {
		o.shown[fields[name]] = true
	}
}

// Read implements flow.Remote.
func (o *office) Read(ctx context.Context, object, id string, properties []string) (record.Record, error) {
	o.land()
	return o.shelf.Read(ctx, object, o.lives(id), properties)
}

// Find implements flow.Remote.
func (o *office) Find(ctx context.Context, object, property, value string, properties []string) ([]record.Record, bool, error) {
	o.land()
	if err := o.gate("find"); err != nil {
		return nil, false, err
	}
	return o.shelf.Find(ctx, object, property, value, properties)
}

// Create implements flow.Remote.
func (o *office) Create(ctx context.Context, object string, fields record.Fields, externalID, key string) (record.Record, error) {
	o.land()
	if err := o.gate("create"); err != nil {
		return record.Record{}, err
	}
	if err := o.delayed(func() { _, _ = o.Create(ctx, object, fields, externalID, key) }); err != nil {
		return record.Record{}, err
	}
	if err := o.unique("", fields); err != nil {
		return record.Record{}, err
	}
	if o.show(fields); o.buried(fields) {
		o.wrongs = append(o.wrongs, fmt.Sprint("made of one who was deleted: ", fields))
	}
	return o.shelf.Create(ctx, object, fields, externalID, key)
}

// Update implements flow.Remote.
func (o *office) Update(ctx context.Context, object, id string, fields record.Fields, etag string) (record.Record, error) {
	o.land()
	if err := o.gate("update"); err != nil {
		return record.Record{}, err
	}
	if err := o.delayed(func() { _, _ = o.Update(ctx, object, id, fields, etag) }); err != nil {
		return record.Record{}, err
	}
	id = o.lives(id)
	if o.rows[o.key(id)].Archived {
		return record.Record{}, flow.Errorf(flow.RecordMissing, "%s is in the recycle bin", id)
	}
	rec, err := o.shelf.Update(ctx, object, id, fields, etag)
	if code := flow.CodeOf(err); err == nil || code == flow.RemoteBusy {
		o.show(fields)
	}
	return rec, err
}

// Archive implements flow.Remote.
func (o *office) Archive(ctx context.Context, object, id, etag string) error {
	o.land()
	if err := o.gate("archive"); err != nil {
		return err
	}
	if err := o.delayed(func() { _ = o.Archive(ctx, object, id, etag) }); err != nil {
		return err
	}
	if o.into[id] != "" { // merged since it was looked at: nobody could tell, and people are asked
		o.gone[o.lives(id)] = true
	}
	return o.shelf.Archive(ctx, object, o.lives(id), etag)
}

// detail adds to a change what the sender tells of it: HubSpot values, others a version.
func (o *office) detail(n *flow.Notification, row, was record.Record) {
	if o.object != "contacts" {
		n.Version = row.Version
		return
	}
	n.Values = maps.Clone(row.Fields)
	maps.DeleteFunc(n.Values, func(name, text string) bool { return text == was.Fields[name] })
}

// keep remembers a record as it is, and that it had this e-mail.
func (o *office) keep(row record.Record) {
	o.seen[o.key(row.ID)] = row
	if o.emails[row.ID] == nil {
		o.emails[row.ID] = map[string]bool{}
	}
	o.emails[row.ID][row.Fields["email"]] = true
}

// replace lets another record stand for one that was merged.
func (o *office) replace(old, id string) {
	delete(o.rows, o.key(old))
	delete(o.seen, o.key(old))
	o.into[old] = id
	maps.Copy(o.emails[id], o.emails[old])
	for email, holder := range o.beside {
		if holder == old {
			o.beside[email] = id
		}
	}
}
