package flow

import (
	"context"
	"errors"
	"slices"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/translate"
	"tandem/spec"
)

// Transformed is the Transform step's section: the source record as it is now,
// in the target's terms.
type Transformed struct {
	// ID is the id the source answered with, where it is another than asked for:
	// after a merge.
	ID string `json:"id,omitempty"`
	// Merged are the ids that were merged into it, where the source tells.
	Merged []string `json:"merged,omitempty"`
	// Missing is set when the source no longer has the record, Archived when it
	// still knows it as deleted.
	Missing  bool   `json:"missing,omitempty"`
	Archived bool   `json:"archived,omitempty"`
	Version  string `json:"version,omitempty"`
	ETag     string `json:"etag,omitempty"`
	ReadAt   int64  `json:"readAt"`
	// Updated is when the record was changed, where its version does not say that.
	Updated int64 `json:"updated,omitempty"`
	// Early: it was read in the second of its last change (since).
	Early bool `json:"early,omitempty"`
	// Ahead is by how many milliseconds the source's clock is ahead of ours, where
	// that is more than the bound on skew.
	Ahead int64 `json:"ahead,omitempty"`
	// Fields are the translated values by field name; Own the source's canonical
	// text where it differs from the translation or does not travel.
	Fields map[string]string `json:"fields,omitempty"`
	Own    map[string]string `json:"own,omitempty"`
	// Lacks are the references, by field name, to records without a partner.
	Lacks map[string]Lack `json:"lacks,omitempty"`
	// Was are, by field, what a referenced record was linked to before (resolved).
	Was map[string][]string `json:"was,omitempty"`
	// Partner is the id that the source's external-id field holds, if any.
	Partner string `json:"partner,omitempty"`
	// Spec tells by which spec it was translated.
	Spec string `json:"spec,omitempty"`
}

// Transform reads the record as it is now (an event only says where to look),
// canonicalises it and runs the spec's formulas.
func (f *Flow) Transform(ctx context.Context, s State) (*Transformed, error) {
	j, err := f.journey(s.Event)
	if err != nil {
		return nil, err
	}
	if j.Kind == Purged {
		return &Transformed{Missing: true, ReadAt: f.Now().UnixMilli()}, nil
	}
	rec, err := f.read(ctx, j.from, j.source, j.object(j.source), j.ID, j.forward, j.pair)
	if CodeOf(err) == RecordMissing {
		return f.missing(ctx, j, err)
	}
	if err != nil {
		return nil, err
	}
	patient := s.Later == nil || s.Later.Times < parentPatience
	t, err := f.translated(ctx, j, rec, patient)
	if err != nil {
		return nil, err
	}
	return t, carried(t.Fields, t.Own)
}

// read fetches what a translator needs plus the external id. ReadAt is taken
// before the request is sent: what changes later is not in the answer.
func (f *Flow) read(ctx context.Context, from Remote, sys record.System, object, id string, t *translate.Translator, pair spec.Pair) (record.Record, error) {
	props := t.Properties()
	if ext := pair.Side(sys).ExternalID; ext != "" {
		props = append(slices.Clone(props), ext)
	}
	at := f.Now()
	rec, err := from.Read(ctx, object, id, props)
	rec.ReadAt = at
	return rec, err
}

// missing decides what a 404 means. For a deletion it confirms it, a record whose pair
// is at rest stays at rest, and one that a restore has parted from its partner is the
// deleted one. Otherwise it is unknown, not deleted: just created records answer 404
// for a moment, so the machine tries again.
func (f *Flow) missing(ctx context.Context, j *journey, cause error) (*Transformed, error) {
	gone := &Transformed{Missing: true, ReadAt: f.Now().UnixMilli()}
	if j.Kind == Deleted {
		return gone, nil
	}
	p, err := f.Ledger.Find(ctx, j.pair, j.ref, "")
	if err != nil {
		return nil, store(err)
	}
	buried := p.State == ledger.Linked && p.Reason != ""                      // before its merge was followed
	parted := p.State == "" && (len(p.Was) > 0 || p.Intent.Deletes(j.source)) // or an extra one (discard)
	if p.State == ledger.Gone || p.State == ledger.Parked && j.Kind != Restored || buried || parted {
		return gone, nil
	}
	return nil, cause
}

// translated puts a record into the target's terms. A patient one waits for a record
// that it refers to and that may be on its way.
func (f *Flow) translated(ctx context.Context, j *journey, rec record.Record, patient bool) (*Transformed, error) {
	t := &Transformed{
		Merged: rec.Merged, Archived: rec.Archived, Version: rec.Version, ETag: rec.ETag,
		ReadAt: rec.ReadAt.UnixMilli(), Ahead: f.ahead(rec).Milliseconds(), Partner: rec.Fields[j.pair.Side(j.source).ExternalID],
		Spec: f.edition(),
	}
	if t.Early = since(rec).Before(rec.UpdatedAt); rec.ID != j.ID {
		t.ID = rec.ID
	}
	if rec.Version != ledger.Version(rec.UpdatedAt) {
		t.Updated = unixMilli(rec.UpdatedAt)
	}
	if rec.Archived {
		return t, nil
	}
	out, err := j.forward.Apply(rec.Fields)
	if err != nil {
		return nil, untranslatable(err)
	}
	t.Fields, t.Own = make(map[string]string, len(out)), map[string]string{}
	for _, v := range out {
		to, err := f.resolve(ctx, v, j.source)
		if err == nil && to.lack != nil && patient {
			err = f.late(ctx, j, v, to.lack)
		}
		if err != nil {
			return nil, err
		}
		t.refer(v.Field, to)
	}
	for name, own := range j.forward.Canonical(rec.Fields) {
		if translated, travels := t.Fields[name]; !travels || translated != own {
			t.Own[name] = own
		}
	}
	return t, nil
}

// edition tells specs apart in few bytes, which every state of an execution logs.
func (f *Flow) edition() string { return f.Spec.Hash[:min(4, len(f.Spec.Hash))] }

// untranslatable gives a translation's failure its code.
func untranslatable(err error) error {
	var e *translate.Error
	if errors.As(err, &e) {
		return &Error{Code: Code(e.Code), Message: e.Error(), Err: err}
	}
	return err
}

// updatedAt is when the source says the record was changed, zero when it does not.
func (t *Transformed) updatedAt() time.Time {
	if t.Updated != 0 {
		return time.UnixMilli(t.Updated)
	}
	at, _ := time.Parse(time.RFC3339, t.Version) // other versions tell no time
	return at
}

// since is since of the source.
func (t *Transformed) since() time.Time {
	if t.Early {
		return t.updatedAt().Add(-time.Millisecond)
	}
	return t.updatedAt()
}

// own is the source's canonical text of a field.
func (t *Transformed) own(name string) (string, bool) {
	if v, ok := t.Own[name]; ok {
		return v, true
	}
	v, ok := t.Fields[name]
	return v, ok
}

func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
