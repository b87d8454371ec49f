package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"tandem/internal/record"
)

// Window is a time span, in the clock of a system that has no conditional write,
// in which a write of ours replaced a value without having seen it: from the read
// before the write to the answer. An event that falls inside tells of an edit
// that was overwritten: which one, if its value was told as HubSpot does.
type Window struct {
	// Side is the system, HubSpot when empty. From and To are instants of its clock
	// in the form of HubSpot's versions.
	Side record.System `json:"s,omitempty"`
	From string        `json:"from"`
	To   string        `json:"to"`
	// Prints are each written field's fingerprints before and after the write.
	Prints map[string][2]string `json:"p"`
}

// attr names the window in a row, where each has a name of its own: several may begin at
// one version, for other fields.
func (w Window) attr(prefix string) string {
	h := sha256.Sum256([]byte(toJSON(w)))
	return prefix + hex.EncodeToString(h[:4])
}

// Version is an instant of HubSpot's clock in the form of its records' versions.
func Version(at time.Time) string { return at.UTC().Format(versionLayout) }

const versionLayout = "2006-01-02T15:04:05.000Z"

// sameWrite bounds how far HubSpot's times of one write differ: of the record and
// of the events that tell of it.
const sameWrite = time.Second

// Hides reports whether an edit of a field at instant at, with that
// fingerprint, was overwritten inside the window without having been seen. The
// value from before the write counts when it was set again inside the window, the
// written value itself when it was set clearly before the write.
func (w Window) Hides(field, print string, at time.Time) bool {
	if w.Side != "" {
		return false
	}
	version := Version(at)
	prints, ok := w.Prints[field]
	to, err := time.Parse(versionLayout, w.To)
	if ok && print == prints[1] {
		return version > w.From && err == nil && at.Add(sameWrite).Before(to)
	}
	return ok && version <= w.To && (version > w.From || version == w.From && print != prints[0])
}

// Meets reports whether a field was set inside the window to the very value that
// the write brought: by the write or, as HubSpot keeps no version of a value that is
// there already, by somebody before it, to whom the write's own time then belongs.
// Only who set it, if the event tells, makes the difference.
func (w Window) Meets(field, print string, at time.Time) bool {
	prints, ok := w.Prints[field]
	return w.Side == "" && ok && print == prints[1] && Version(at) > w.From && Version(at.Add(-sameWrite)) <= w.To
}

// Covers reports whether something happened inside the window, but for the write
// itself, from which nothing tells what happened in its very instant: a second where a
// system tells whole ones only.
func (w Window) Covers(side record.System, at time.Time) bool {
	last := at
	if at.Truncate(time.Second).Equal(at) {
		last = at.Add(time.Second - time.Millisecond)
	}
	return w.Side == side && Version(at) > w.From && Version(last) < w.To
}
