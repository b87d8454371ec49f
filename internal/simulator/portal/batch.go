package portal

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
)

// maxInputs is how many inputs a batch may have.
const maxInputs = 100

type batchBody struct {
	Inputs []struct {
		writeBody
		ID         string `json:"id"`
		IDProperty string `json:"idProperty"`
		TraceID    string `json:"objectWriteTraceId"`
	} `json:"inputs"`
	IDProperty string   `json:"idProperty"`
	Properties []string `json:"properties"`
}

// batchAnswer is the body of every batch; in 2026-09 the counts are always there.
type batchAnswer struct {
	Status    string       `json:"status"`
	Results   []Record     `json:"results"`
	NumErrors int          `json:"numErrors"`
	Errors    []batchError `json:"errors"`
	StartedAt string       `json:"startedAt"`
	Completed string       `json:"completedAt"`
}

type batchError struct {
	Status   string              `json:"status"`
	Category string              `json:"category"`
	Message  string              `json:"message"`
	Context  map[string][]string `json:"context,omitempty"`
	Errors   []Detail            `json:"errors,omitempty"`
}

// batch runs one step per input. Inputs with a trace id may fail alone; one
// without fails the whole batch, and what it says lacks the existing id. The
// status is a success's whatever happened: only numErrors tells.
func (p *Portal) batch(b batchBody, status int, step func(i int) (Record, error)) (int, any, error) {
	if len(b.Inputs) > maxInputs {
		return 0, nil, invalid(fmt.Sprintf("The maximum number of inputs is %d", maxInputs))
	}
	if err := b.distinct(); err != nil {
		return 0, nil, err
	}
	now := iso(p.nowMs())
	out := batchAnswer{Status: "COMPLETE", Results: []Record{}, Errors: []batchError{}, StartedAt: now, Completed: now}
	for i, in := range b.Inputs {
		rec, err := step(i)
		var refusal *Error
		switch {
		case err == nil:
			rec.TraceID = in.TraceID
			out.Results = append(out.Results, rec)
		case !errors.As(err, &refusal):
			return 0, nil, err
		case in.TraceID == "" && refusal.HTTP != http.StatusNotFound:
			whole := *refusal
			if whole.existing != "" {
				whole.Message = "Contact already exists"
			}
			return 0, nil, &whole
		default:
			out.Errors = append(out.Errors, refusal.inBatch(in.TraceID))
		}
	}
	out.NumErrors = len(out.Errors)
	return status, out, nil
}

func (e *Error) inBatch(trace string) batchError {
	context := map[string][]string{}
	for k, v := range e.Context {
		context[k] = v
	}
	if trace != "" {
		context["objectWriteTraceId"] = []string{trace}
	}
	if e.existing != "" {
		context["existingId"] = []string{e.existing}
	}
	return batchError{Status: "error", Category: e.Category, Message: e.Message, Context: context, Errors: e.Errors}
}

// distinct refuses a batch that has an id twice.
func (b batchBody) distinct() error {
	seen := map[string]bool{}
	for _, in := range b.Inputs {
		if in.ID != "" && seen[in.ID] {
			e := invalid(fmt.Sprintf("Duplicate IDs found in batch input: [%s]. IDs must be unique", in.ID))
			e.Context = map[string][]string{"ids": {in.ID}}
			return e
		}
		seen[in.ID] = true
	}
	return nil
}

func (p *Portal) batchRead(r request) (int, any, error) {
	var b batchBody
	if err := r.decode(&b); err != nil {
		return 0, nil, err
	}
	return p.batch(b, http.StatusOK, func(i int) (Record, error) {
		return p.Read(r.object, b.Inputs[i].ID, ReadOptions{IDProperty: b.IDProperty, Properties: b.Properties, Archived: r.URL.Query().Get("archived") == "true"})
	})
}

func (p *Portal) batchCreate(r request) (int, any, error) {
	var b batchBody
	if err := r.decode(&b); err != nil {
		return 0, nil, err
	}
	return p.batch(b, http.StatusCreated, func(i int) (Record, error) {
		links, err := b.Inputs[i].links(r.object)
		if err != nil {
			return Record{}, err
		}
		return p.Create(r.by, r.object, b.Inputs[i].values(), links...)
	})
}

// batchUpdate wants record ids, and not those of merged-away records.
func (p *Portal) batchUpdate(r request) (int, any, error) {
	var b batchBody
	if err := r.decode(&b); err != nil {
		return 0, nil, err
	}
	return p.batch(b, http.StatusOK, func(i int) (Record, error) {
		in := b.Inputs[i]
		if in.IDProperty == "email" || in.IDProperty == "hs_object_id" {
			return Record{}, invalid("Unable to perform update/upsert by non-unique 0-1 property")
		}
		if p.isMerged(r.object, in.ID) {
			return Record{}, missing(in.ID)
		}
		return p.Update(r.by, r.object, in.ID, in.IDProperty, in.values())
	})
}

func (p *Portal) isMerged(object, id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.objects[object]
	return s != nil && s.alias[id] != ""
}

// batchUpsert makes or updates by a unique property. With e-mail as that
// property one bad input fails the whole batch.
func (p *Portal) batchUpsert(r request) (int, any, error) {
	var b batchBody
	if err := r.decode(&b); err != nil {
		return 0, nil, err
	}
	for i := range b.Inputs {
		if b.Inputs[i].IDProperty == "email" {
			b.Inputs[i].TraceID = ""
		}
	}
	return p.batch(b, http.StatusOK, func(i int) (Record, error) {
		in := b.Inputs[i]
		return p.Upsert(r.by, r.object, cmp.Or(in.IDProperty, b.IDProperty), in.ID, in.values())
	})
}

// Upsert updates the live record whose unique property is value, or makes one.
func (p *Portal) Upsert(by By, object, property, value string, properties map[string]string) (Record, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := p.object(object)
	if err != nil {
		return Record{}, err
	}
	if s.taken[property] == nil {
		return Record{}, invalid("Unable to perform update/upsert by non-unique property " + property)
	}
	if value == "" {
		return Record{}, invalid("An upsert needs a value for " + property)
	}
	holder := s.taken[property][fold(value)]
	made := holder == ""
	if properties[property] == "" {
		properties[property] = value
	}
	var rec Record
	if made {
		rec, err = p.create(by, object, properties, nil)
	} else {
		rec, err = p.update(by, object, holder, "", properties)
	}
	rec.New = &made
	return rec, err
}

func (p *Portal) batchArchive(r request) (int, any, error) {
	var b batchBody
	if err := r.decode(&b); err != nil {
		return 0, nil, err
	}
	for _, in := range b.Inputs {
		if err := p.Archive(r.by, r.object, in.ID); err != nil {
			return 0, nil, err
		}
	}
	return http.StatusNoContent, nil, nil
}
