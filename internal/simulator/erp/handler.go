package erp

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxBody bounds a request.
const maxBody = 1 << 20

// clock is how the API writes instants.
const clock = "2006-01-02T15:04:05.000Z"

// Handler serves the company's API below /api/, faults at /faults and its page
// at /. The API asks for the bearer token.
func Handler(c *Company, token string) http.Handler {
	a := &api{company: c, token: token}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/{object}", a.serve(a.create))
	mux.HandleFunc("GET /api/{object}", a.serve(a.list))
	mux.HandleFunc("GET /api/{object}/{id}", a.serve(a.get))
	mux.HandleFunc("PATCH /api/{object}/{id}", a.serve(a.update))
	mux.HandleFunc("DELETE /api/{object}/{id}", a.serve(a.delete))
	mux.HandleFunc("POST /api/{object}/{id}/restore", a.serve(a.restore))
	mux.HandleFunc("PUT /api/{object}/by/{field}/{value}", a.serve(a.upsert))
	mux.HandleFunc("POST /faults", a.fault)
	page(mux, c)
	return mux
}

// api is the HTTP shell of a company.
type api struct {
	company *Company
	token   string
}

// reply is an answer before it is written.
type reply struct {
	status int
	etag   string
	body   any
}

// serve authorises, lets faults strike around the work and writes the answer.
func (a *api) serve(work func(*http.Request) reply) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		object := r.PathValue("object")
		f := a.company.admit(r.Method, object)
		if f.Kind == Slow && !wait(r, f.delay()) {
			return
		}
		given := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case subtle.ConstantTimeCompare([]byte(given), []byte(a.token)) != 1 || f.Kind == Expired:
			write(w, reply{status: 401, body: problem("unauthorized", "the token is missing or wrong")})
			return
		case f.Kind == Throttle || f.Kind == Busy:
			if f.RetryAfter > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
			}
			status, _ := strconv.Atoi(f.Kind)
			write(w, reply{status: status, body: problem("busy", "try again later")})
			return
		}
		out := work(r)
		w.Header().Set("Date", a.company.Clock().UTC().Format(http.TimeFormat))
		switch f.Kind {
		case Late:
			out = reply{status: 504, body: problem("timeout", "the gateway has lost patience")}
		case Lost:
			panic(http.ErrAbortHandler)
		}
		write(w, out)
	}
}

// wait sleeps for d unless the caller leaves before.
func wait(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

func write(w http.ResponseWriter, out reply) {
	w.Header().Set("Content-Type", "application/json")
	if out.etag != "" {
		w.Header().Set("Etag", out.etag)
	}
	w.WriteHeader(out.status)
	if out.body != nil {
		_ = json.NewEncoder(w).Encode(out.body) // a caller that has left needs no answer
	}
}

func problem(code, message string) map[string]any {
	return map[string]any{"error": code, "message": message}
}

// shown is a record in an answer.
func (a *api) shown(kind string, r Record) map[string]any {
	m := JSON(kind, r)
	if a.company.answers().Omits {
		maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil || v == "" })
	}
	return m
}

// fields reads a request's record.
func fields(r *http.Request) (map[string]any, error) {
	d := json.NewDecoder(io.LimitReader(r.Body, maxBody))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return nil, errors.New("the body must be a JSON object of at most 1 MB")
	}
	for _, own := range []string{"id", "version", "updated_at", "deleted"} {
		delete(m, own)
	}
	return m, nil
}

// done is the answer to an operation of the core.
func (a *api) done(r *http.Request, status int, rec Record, err error) reply {
	var dup *Duplicate
	switch {
	case errors.As(err, &dup):
		return reply{status: 409, body: map[string]any{"error": "duplicate", "field": dup.Field, "existing_id": dup.ExistingID}}
	case errors.Is(err, ErrVersion):
		return reply{status: 412, body: problem("version", "the record has changed")}
	case err != nil:
		return reply{status: 404, body: problem("not_found", "there is no such record")}
	}
	out := reply{status: status, etag: `"` + strconv.FormatInt(rec.Version, 10) + `"`, body: a.shown(r.PathValue("object"), rec)}
	switch h := a.company.answers(); {
	case r.Method == http.MethodGet:
	case h.Tagged:
		out.body = map[string]any{"id": rec.ID, "version": rec.Version}
	case h.Terse:
		out = reply{status: status, body: map[string]any{"id": rec.ID}}
	}
	return out
}

// JSON is a record as the API shows it: every declared field, null when blank.
func JSON(kind string, r Record) map[string]any {
	m := make(map[string]any, len(r.Fields)+8)
	k, _ := KindOf(kind)
	for _, f := range k.Fields {
		m[f.Name] = nil
	}
	for name, v := range r.Fields {
		m[name] = v
	}
	m["id"], m["version"], m["updated_at"] = r.ID, r.Version, r.Updated.Format(clock)
	if r.Deleted {
		m["deleted"] = true
	}
	return m
}

func (a *api) create(r *http.Request) reply {
	m, err := fields(r)
	if err != nil {
		return reply{status: 400, body: problem("bad_request", err.Error())}
	}
	rec, err := a.company.Create(r.PathValue("object"), m)
	return a.done(r, 201, rec, err)
}

func (a *api) get(r *http.Request) reply {
	rec, err := a.company.Get(r.PathValue("object"), r.PathValue("id"))
	return a.done(r, 200, rec, err)
}

func (a *api) update(r *http.Request) reply {
	m, err := fields(r)
	if err != nil {
		return reply{status: 400, body: problem("bad_request", err.Error())}
	}
	rec, err := a.company.Update(r.PathValue("object"), r.PathValue("id"), m, condition(r))
	return a.done(r, 200, rec, err)
}

// condition is the version that a request demands, 0 for any.
func condition(r *http.Request) int64 {
	match := r.Header.Get("If-Match")
	if match == "" || match == "*" {
		return 0
	}
	version, err := strconv.ParseInt(strings.Trim(match, `"`), 10, 64)
	if err != nil {
		return -1 // no version is negative: the condition fails
	}
	return version
}

func (a *api) upsert(r *http.Request) reply {
	m, err := fields(r)
	if err != nil {
		return reply{status: 400, body: problem("bad_request", err.Error())}
	}
	rec, made, err := a.company.Upsert(r.PathValue("object"), r.PathValue("field"), r.PathValue("value"), m)
	if made {
		return a.done(r, 201, rec, err)
	}
	return a.done(r, 200, rec, err)
}

func (a *api) delete(r *http.Request) reply {
	if err := a.company.Delete(r.PathValue("object"), r.PathValue("id"), condition(r)); err != nil {
		return a.done(r, 0, Record{}, err)
	}
	return reply{status: 204}
}

func (a *api) restore(r *http.Request) reply {
	rec, err := a.company.Restore(r.PathValue("object"), r.PathValue("id"))
	return a.done(r, 200, rec, err)
}

// list answers ?updated_since=&cursor=&limit= or ?{field}={value}.
func (a *api) list(r *http.Request) reply {
	kind, query := r.PathValue("object"), r.URL.Query()
	if since, ok := query["updated_since"]; ok {
		return a.changed(kind, since[0], query.Get("cursor"), query.Get("limit"))
	}
	if len(query) != 1 {
		return reply{status: 400, body: problem("bad_request", "give updated_since, or one field and its value")}
	}
	for field, value := range query {
		found, err := a.company.Find(kind, field, value[0])
		if err != nil {
			return a.done(r, 0, Record{}, err)
		}
		return reply{status: 200, body: map[string]any{"items": a.items(kind, found)}}
	}
	return reply{}
}

func (a *api) changed(kind, since, cursor, limit string) reply {
	from, err := time.Parse(time.RFC3339Nano, since)
	n, limitErr := strconv.Atoi(limit)
	if limit == "" {
		n, limitErr = 100, nil
	}
	if err != nil || limitErr != nil || n < 1 || n > 1000 {
		return reply{status: 400, body: problem("bad_request", "updated_since must be RFC 3339, limit 1 to 1000")}
	}
	found, next, err := a.company.Changed(kind, from, cursor, n)
	if err != nil {
		return reply{status: 404, body: problem("not_found", "there is no such kind of record")}
	}
	return reply{status: 200, body: map[string]any{"items": a.items(kind, found), "next": next}}
}

func (a *api) items(kind string, records []Record) []map[string]any {
	out := make([]map[string]any, 0, len(records))
	for _, r := range records {
		out = append(out, a.shown(kind, r))
	}
	return out
}

// fault arms a fault by HTTP, for rigs that drive the simulator from outside.
func (a *api) fault(w http.ResponseWriter, r *http.Request) {
	var f Fault
	if err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&f); err != nil {
		write(w, reply{status: 400, body: problem("bad_request", "the body must be a fault as JSON")})
		return
	}
	if err := a.company.Inject(f); err != nil {
		write(w, reply{status: 400, body: problem("bad_request", err.Error())})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
