package ledger

import (
	"cmp"
	"maps"
	"time"

	"tandem/internal/record"
)

// Intent is recorded before a remote write and removed by the stamp. While one
// is open, what it was about to write may or may not stand on the other side.
type Intent struct {
	Execution string    `json:"exec"`
	At        time.Time `json:"at"`
	// Sent are the fingerprints, by system and field, that may have been written.
	Sent map[record.System]map[string][]string `json:"sent,omitempty"`
	// Before is HubSpot's version, and Prior its fingerprints, that a write towards
	// it was decided on: should no stamp follow, they bound the window it leaves.
	Before string `json:"before,omitempty"`
	// Open is when the destination's record was last changed, in its clock, where
	// a write towards it is not conditional: it bounds the same window there.
	Open  string            `json:"open,omitempty"`
	Prior map[string]string `json:"prior,omitempty"`
	// Create names the system a record is being created in.
	Create record.System `json:"create,omitempty"`
	// Archive names the system a record is being deleted in, because its partner was.
	Archive record.System `json:"archive,omitempty"`
	// Spec tells by which spec it was decided. Kept beside the intent, and beyond it.
	Spec string `json:"-"`
	// Sends is when, at the latest, a write of this intent is sent: the end of the
	// longest lease it was ever worked under. Kept beside the intent.
	Sends time.Time `json:"-"`
}

// note keeps beside the intent what outlives it.
func (in Intent) note(set map[string]string) {
	if in.Spec != "" {
		set[attrSpec] = in.Spec
	}
}

// LastCreate is the latest moment at which a create in doubt can have been sent;
// the zero time where there is none.
func (in *Intent) LastCreate() time.Time {
	if in == nil || in.Create == "" || len(in.Sent[in.Create]) == 0 {
		return time.Time{}
	}
	return in.Sends
}

// Lands is when a create in doubt has been carried out or never will be; the zero
// time where there is none.
func (in *Intent) Lands() time.Time {
	if last := in.LastCreate(); !last.IsZero() {
		return last.Add(Landing)
	}
	return time.Time{}
}

// Deletes reports whether the intent is to delete a record in sys; a nil intent is not.
func (in *Intent) Deletes(sys record.System) bool { return in != nil && in.Archive == sys }

// Vanishes is when a deletion in doubt has been carried out or never will be; the zero
// time where there is none. Both records may be there until then.
func (in *Intent) Vanishes() time.Time {
	if in == nil || in.Archive == "" {
		return time.Time{}
	}
	return in.Sends.Add(Landing)
}

// MaySend lists what a write of this intent, were it carried out, put where;
// nothing for a nil intent.
func (in *Intent) MaySend() map[record.System]map[string][]string {
	if in == nil {
		return nil
	}
	return in.Sent
}

// After carries over what an earlier intent on the same row, never stamped, may
// still bring about.
func (in Intent) After(doubt *Intent) Intent {
	if doubt == nil {
		return in
	}
	if len(doubt.Sent) > 0 {
		in.At = doubt.At
	}
	if in.Create == "" {
		in.Create = doubt.Create
	}
	if doubt.Before != "" {
		prior := maps.Clone(in.Prior)
		if prior == nil {
			prior = map[string]string{}
		}
		maps.Copy(prior, doubt.Prior)
		in.Before, in.Prior = doubt.Before, prior
	}
	if doubt.Open != "" {
		in.Open = doubt.Open
	}
	sent := map[record.System]map[string][]string{}
	merge(sent, doubt.Sent)
	merge(sent, in.Sent)
	in.Sent = sent
	return in
}

// Shown is what a later read showed of one side: when the record was changed, in
// the form of HubSpot's versions, and how far the side's clock is ahead of ours.
type Shown struct {
	Changed string
	Ahead   time.Duration
}

// Left lists the windows that an open intent's writes may have made or may still
// make, seen from a later read of both sides. A window is told in its side's clock.
func (in *Intent) Left(shown map[record.System]Shown) (left []Window) {
	if in == nil {
		return nil
	}
	for _, w := range []Window{{From: in.Before}, {Side: record.Destination, From: in.Open}} {
		sys := cmp.Or(w.Side, record.HubSpot)
		sent, side := in.Sent[sys], shown[sys]
		w.To = max(side.Changed, Version(in.Sends.Add(Landing+side.Ahead)))
		if w.From == "" || len(sent) == 0 {
			continue
		}
		w.Prints = map[string][2]string{}
		for field, prints := range sent {
			w.Prints[field] = [2]string{in.Prior[field], prints[len(prints)-1]}
		}
		left = append(left, w)
	}
	return left
}
