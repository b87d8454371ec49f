package local

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"tandem/internal/local/why"
	"tandem/internal/record"
	"tandem/spec"
)

// Bounds of one simulation over HTTP; a caller with more records asks again.
const (
	maxSimulated = 50
	maxSimulate  = 4 << 20
)

// Simulation is how records would fare under another spec. Nothing is written.
type Simulation struct {
	// Before and After are the hashes of the spec in force and the other one.
	Before  string           `json:"before"`
	After   string           `json:"after"`
	Records []why.Comparison `json:"records"`
}

// Simulate rehearses the next execution of each record under the spec of o and
// under another one, over o's table and both systems as they are now.
// Options.Table is required.
func Simulate(ctx context.Context, o Options, after *spec.Spec, refs []record.Ref) (*Simulation, error) {
	if o.Spec.Client != after.Client {
		return nil, fmt.Errorf("the specs are of two clients, %s and %s; what is remembered of one says nothing of the other", o.Spec.Client, after.Client)
	}
	now, done, err := newAsker(o)
	if err != nil {
		return nil, err
	}
	defer done()
	o.Spec = after
	then, doneThen, err := newAsker(o)
	if err != nil {
		return nil, fmt.Errorf("the new spec: %w", err)
	}
	defer doneThen()
	s := &Simulation{Before: now.Flow.Spec.Hash, After: after.Hash, Records: make([]why.Comparison, 0, len(refs))}
	for _, ref := range refs {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		s.Records = append(s.Records, why.Compare(ctx, now, then, ref))
	}
	return s, nil
}

// newAsker makes an Asker; done frees its connections.
func newAsker(o Options) (a *why.Asker, done func(), err error) {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	s := newServer(o)
	f, err := s.flow()
	return &why.Asker{Flow: f}, func() { _ = s.close() }, err
}

// simulate answers POST /api/simulate.
func (s *Server) simulate(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Spec    json.RawMessage `json:"spec"`
		Records []record.Ref    `json:"records"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSimulate))
	if err != nil || json.Unmarshal(body, &asked) != nil || len(asked.Records) > maxSimulated {
		refuse(w, http.StatusBadRequest, fmt.Sprintf(`the body is not {"spec": ..., "records": [at most %d of {"system", "object", "id"}]}`, maxSimulated), r.URL.Path, "correct it")
		return
	}
	after, err := spec.Parse("spec", asked.Spec)
	if err == nil && spec.Refuses(spec.Check(after)) {
		err = errors.New("the spec could lose data or loop")
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error(), r.URL.Path, "tandem check tells all of it")
		return
	}
	o := s.o
	o.Table = s.table
	result, err := Simulate(r.Context(), o, after, asked.Records)
	if err != nil {
		next := "correct the spec or the secrets file"
		if after.Client != o.Spec.Client {
			next = "name a changed spec of client " + o.Spec.Client
		}
		refuse(w, http.StatusBadRequest, err.Error(), r.URL.Path, next)
		return
	}
	write(w, http.StatusOK, result)
}
