package spec

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"tandem/internal/record"
)

// Risk says what deploying a change does to records that are synced already.
type Risk string

// The risks, from the least to the greatest. No change makes records travel by
// being deployed: they do when they next change, or when they are reconciled.
const (
	// Safe: no record is written because of it.
	Safe Risk = "safe"
	// Rewrites: linked records may be written that would not have been.
	Rewrites Risk = "rewrites"
	// Stops: something that travelled does not any more.
	Stops Risk = "stops"
	// Loses: data, a distinction between values or secrecy may be lost.
	Loses Risk = "loses"
	// Breaks: which record belongs to which, or where it is found, changes.
	Breaks Risk = "breaks"
)

// Risks lists every Risk, the least first.
var Risks = []Risk{Safe, Rewrites, Stops, Loses, Breaks}

// Change is one difference between two specs, in words.
type Change struct {
	Risk Risk `json:"risk"`
	// Path is where, with pairs and fields by name: contacts.email.formula.
	Path    string `json:"path"`
	Message string `json:"message"`
}

// String spells the change on one line.
func (c Change) String() string { return fmt.Sprintf("%s %s: %s", c.Risk, c.Path, c.Message) }

// Diff tells in words what changes from spec a to spec b, and at what risk. Equal
// content gives none.
func Diff(a, b *Spec) []Change {
	d := new(differ)
	d.systems(a, b)
	for _, p := range a.Pairs {
		if q, ok := b.PairByName(p.Name); ok {
			d.pair(p, q)
		} else {
			d.say(Stops, p.Name, "the pair is removed: its records are not synced any more, their links stay")
		}
	}
	for _, q := range b.Pairs {
		if _, ok := a.PairByName(q.Name); !ok {
			d.newPair(q)
		}
	}
	return d.changes
}

func (d *differ) newPair(p Pair) {
	if len(p.Match) == 0 {
		d.say(Rewrites, p.Name, "the pair is new: nothing is matched, so that each record that exists already is made on the other side as well")
		return
	}
	d.say(Rewrites, p.Name, "the pair is new: records that exist on both sides are linked by %s, and where they differ one is written", matchText(p))
}

// differ gathers changes.
type differ struct{ changes []Change }

func (d *differ) say(r Risk, path, format string, args ...any) {
	d.changes = append(d.changes, Change{Risk: r, Path: path, Message: fmt.Sprintf(format, args...)})
}

// changed says message when two values differ.
func (d *differ) changed(r Risk, path string, a, b any, format string, args ...any) {
	if !reflect.DeepEqual(a, b) {
		d.say(r, path, format, args...)
	}
}

// systems compares what does not belong to one pair.
func (d *differ) systems(a, b *Spec) {
	d.changed(Breaks, "client", a.Client, b.Client, "another client's name: table, parameters and links are another client's")
	d.changed(Breaks, "hubspot.portalId", a.HubSpot.PortalID, b.HubSpot.PortalID, "another portal: no link fits its records")
	d.changed(Breaks, "hubspot.baseUrl", a.HubSpot.BaseURL, b.HubSpot.BaseURL, "HubSpot is reached elsewhere")
	d.changed(Safe, "hubspot.appId", a.HubSpot.AppID, b.HubSpot.AppID, "another app: its subscriptions and secrets must be in place first")
	d.changed(Breaks, "destination.kind", a.Destination.Kind, b.Destination.Kind, "another adapter")
	d.changed(Breaks, "destination.baseUrl", a.Destination.BaseURL, b.Destination.BaseURL, "the destination is reached elsewhere: links fit only if it is the same system")
	d.changed(Safe, "destination.name", a.Destination.Name, b.Destination.Name, "renamed")
	d.changed(Stops, "destination.webhook", a.Destination.Webhook, b.Destination.Webhook, "webhooks are read otherwise: deliveries of the old form are refused")
	d.changed(Safe, "destination.errors", a.Destination.Errors, b.Destination.Errors, "answers are classified otherwise")
	for _, s := range []struct {
		path string
		a, b any
	}{
		{"hubspot.auth", a.HubSpot.Auth, b.HubSpot.Auth}, {"destination.auth", a.Destination.Auth, b.Destination.Auth},
		{"hubspot.rateLimit", a.HubSpot.RateLimit, b.HubSpot.RateLimit}, {"destination.rateLimit", a.Destination.RateLimit, b.Destination.RateLimit},
		{"hubspot.searchLag", a.HubSpot.SearchLag, b.HubSpot.SearchLag}, {"destination.searchLag", a.Destination.SearchLag, b.Destination.SearchLag},
		{"destination.timeout", a.Destination.Timeout, b.Destination.Timeout}, {"destination.headers", a.Destination.Headers, b.Destination.Headers},
		{"trace", a.Trace, b.Trace}, {"guards", a.Guards, b.Guards}, {"canary", a.Canary, b.Canary},
	} {
		d.changed(Safe, s.path, s.a, s.b, "operation changes, records do not")
	}
	d.objects(a.Destination.Objects, b.Destination.Objects)
}

// objects compares how the destination's kinds of records are reached.
func (d *differ) objects(a, b map[string]Object) {
	for _, name := range slices.Sorted(maps.Keys(a)) {
		o, still := b[name]
		if !still {
			continue // a pair that used it says so
		}
		path, was := at("destination.objects", name), a[name]
		d.changed(Breaks, at(path, "id"), was.ID, o.ID, "records are identified otherwise")
		d.changed(Breaks, at(path, "fields"), was.Fields, o.Fields, "fields stand elsewhere in a record")
		d.changed(Stops, at(path, "event"), was.Event, o.Event, "webhooks of the old word are ignored")
		was.ID, was.Fields, was.Event = o.ID, o.Fields, o.Event
		d.changed(Safe, path, was, o, "it is called otherwise")
	}
}

// pair compares two versions of one pair.
func (d *differ) pair(a, b Pair) {
	d.changed(Breaks, at(a.Name, "match"), a.Match, b.Match, "new records are recognised by %s; links that exist stay", matchText(b))
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		path, s, t := at(a.Name, string(sys)), a.Side(sys), b.Side(sys)
		d.changed(Breaks, at(path, "object"), s.Object, t.Object, "%s instead of %s: links do not fit", t.Object, s.Object)
		d.changed(Breaks, at(path, "externalId"), s.ExternalID, t.ExternalID, "the other side's id is kept in %s, was %s", code(t.ExternalID), code(s.ExternalID))
		d.changed(Safe, at(path, "trigger"), trigger(s), trigger(t), "changes are noticed by %s, were by %s", trigger(t), trigger(s))
	}
	d.deletes(at(a.Name, "deletes.hubspot"), a.Deletes.HubSpot, b.Deletes.HubSpot)
	d.deletes(at(a.Name, "deletes.destination"), a.Deletes.Destination, b.Deletes.Destination)
	d.fields(a, b)
}

// deletes compares one rule; only one that deletes can lose data.
func (d *differ) deletes(path, a, b string) {
	risk := Safe
	if b == "archive" {
		risk = Loses
	}
	d.changed(risk, path, deletion(a), deletion(b), "when a record is deleted there: %s; before: %s", deletion(b), deletion(a))
}

// fields compares the fields of a pair by name.
func (d *differ) fields(a, b Pair) {
	find := func(p Pair, name string) int {
		return slices.IndexFunc(p.Fields, func(f Field) bool { return f.Name == name })
	}
	for _, f := range a.Fields {
		if i := find(b, f.Name); i >= 0 {
			d.field(a, b, f, b.Fields[i])
		} else {
			d.say(Stops, at(a.Name, f.Name), "the field is removed: its edits do not travel any more, values stay as they are")
		}
	}
	for _, g := range b.Fields {
		if find(a, g.Name) < 0 {
			d.say(Rewrites, at(b.Name, g.Name), "the field is new: it is filled when a record next changes, of all records by tandem backfill")
		}
	}
}

// field compares two versions of one field.
func (d *differ) field(p, q Pair, f, g Field) {
	path := at(p.Name, f.Name)
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		d.prop(at(path, string(sys)), f.Side(sys), g.Side(sys))
	}
	for _, w := range []Direction{ToDestination, ToHubSpot} {
		if f.Travels(w) && !g.Travels(w) {
			d.say(Stops, at(path, "direction"), "it does not travel %s any more", w)
		}
		if !f.Travels(w) && g.Travels(w) {
			d.say(Rewrites, at(path, "direction"), "it travels %s as well: the other side's value is overwritten when a record next changes, of all records by tandem backfill", w)
		}
	}
	d.formula(at(path, "formula"), f.Formula, g.Formula)
	d.formula(at(path, "reverse"), f.Reverse, g.Reverse)
	d.verdict(path, p.Judge(f), q.Judge(g))
	d.changed(Safe, at(path, "policy"), policyText(f), policyText(g), "when both sides changed it: %s; before: %s", orNone(policyText(g)), orNone(policyText(f)))
	if f.Sensitive && !g.Sensitive {
		d.say(Loses, at(path, "sensitive"), "its values are shown in clear")
	}
	if !f.Sensitive && g.Sensitive {
		d.say(Safe, at(path, "sensitive"), "its values are shown as fingerprints")
	}
}

func orNone(s string) string {
	if s == "" {
		return "it travels one way only"
	}
	return s
}

// prop compares one property.
func (d *differ) prop(path string, a, b Prop) {
	d.changed(Breaks, at(path, "property"), a.Property, b.Property, "%s instead of %s: what both sides held before says nothing of it, and a blank one clears the other side; give the field another name, too, and blanks are filled", code(b.Property), code(a.Property))
	d.changed(Rewrites, at(path, "type"), typeOf(a), typeOf(b), "read as %s, was %s", typeOf(b), typeOf(a))
	d.changed(Breaks, at(path, "pair"), a.Pair, b.Pair, "refers to %s, did to %s", code(b.Pair), code(a.Pair))
	switch {
	case a.MaxLength == b.MaxLength:
	case b.MaxLength == 0 || a.MaxLength != 0 && b.MaxLength > a.MaxLength:
		d.say(Safe, at(path, "maxLength"), "longer values are taken")
	default:
		d.say(Stops, at(path, "maxLength"), "values over %d characters go to the dead letter", b.MaxLength)
	}
}

// formula compares two formulas; two tables entry by entry.
func (d *differ) formula(path string, a, b *Formula) {
	if a.Kind() != "enumMap" || b.Kind() != "enumMap" {
		if (a == nil) != (b == nil) && strings.HasSuffix(path, "reverse") || oneFormula(a) != oneFormula(b) {
			d.say(Rewrites, path, "%s, was %s", written(b, path), written(a, path))
		}
		return
	}
	for _, from := range slices.Sorted(maps.Keys(a.EnumMap)) {
		was := a.EnumMap[from]
		switch to, still := b.EnumMap[from]; {
		case !still:
			d.say(Stops, path, "%s has no entry any more and is refused", code(from))
		case to != was:
			d.say(Rewrites, path, "%s becomes %s, did %s", code(from), code(to), code(was))
		}
	}
	for _, from := range slices.Sorted(maps.Keys(b.EnumMap)) {
		if _, known := a.EnumMap[from]; !known {
			d.say(Safe, path, "%s becomes %s, was refused", code(from), code(b.EnumMap[from]))
		}
	}
}

// written names a formula; an absent reverse is derived.
func written(f *Formula, path string) string {
	if f == nil && strings.HasSuffix(path, "reverse") {
		return "derived"
	}
	return oneFormula(f)
}

// verdict says when the way there and back loses what it kept before.
func (d *differ) verdict(path string, a, b Judgement) {
	order := []Verdict{Invertible, Canonicalising, Lossy, Refused}
	was, is := slices.Index(order, a.Verdict), slices.Index(order, b.Verdict)
	if was >= 0 && is > was {
		d.say(Loses, path, "there and back it is %s, was %s: %s", b.Verdict, a.Verdict, b.Example())
	}
}
