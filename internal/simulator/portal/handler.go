package portal

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"tandem/internal/hubspot"
)

// Handler serves the API, and the page for people at /. The page is built when
// somebody first looks at it: simulations make thousands of portals.
func (p *Portal) Handler() http.Handler {
	mux := http.NewServeMux()
	p.routes(mux)
	pages := sync.OnceValue(func() http.Handler { return p.pages() })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { pages().ServeHTTP(w, r) })
	return mux
}

// request is one API call that passed authentication, limits and faults.
type request struct {
	*http.Request
	by     By
	object string
}

type operation func(request) (status int, answer any, err error)

func (p *Portal) routes(mux *http.ServeMux) {
	const objects = "/crm/objects/" + hubspot.Version + "/{object}"
	api := func(pattern, name string, write bool, do operation) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, name, write, do) })
	}
	api("GET "+objects, "list", false, p.listCall)
	api("POST "+objects, "create", true, p.createCall)
	api("GET "+objects+"/{id}", "read", false, p.readCall)
	api("PATCH "+objects+"/{id}", "update", true, p.updateCall)
	api("DELETE "+objects+"/{id}", "archive", true, p.archiveCall)
	api("POST "+objects+"/search", "search", false, p.searchCall)
	api("POST "+objects+"/merge", "merge", true, p.mergeCall)
	api("POST "+objects+"/gdpr-delete", "purge", true, p.purgeCall)
	api("POST "+objects+"/batch/read", "batch", false, p.batchRead)
	api("POST "+objects+"/batch/create", "batch", true, p.batchCreate)
	api("POST "+objects+"/batch/update", "batch", true, p.batchUpdate)
	api("POST "+objects+"/batch/upsert", "upsert", true, p.batchUpsert)
	api("POST "+objects+"/batch/archive", "batch", true, p.batchArchive)
	api("GET "+objects+"/{id}/associations/{to}", "read", false, p.linksCall)
	api("PUT "+objects+"/{id}/associations/default/{to}/{toId}", "associate", true, p.associateCall)
	api("PUT "+objects+"/{id}/associations/{to}/{toId}", "associate", true, p.labelCall)
	api("DELETE "+objects+"/{id}/associations/{to}/{toId}", "dissociate", true, p.dissociateCall)
	api("GET /crm/properties/"+hubspot.Version+"/{object}", "properties", false, p.propertiesCall)
	api("GET /account-info/"+hubspot.Version+"/details", "account", false, p.accountCall)
}

// serve does what every call has in common: who calls, the limits, the faults,
// and the answer.
func (p *Portal) serve(w http.ResponseWriter, r *http.Request, name string, write bool, do operation) {
	app, refusal := p.app(r)
	op := Op{Name: name, Object: r.PathValue("object"), Write: write}
	if refusal == nil {
		refusal = p.admit(app, op, w.Header())
	}
	if refusal != nil {
		respond(w, refusal.HTTP, refusal)
		return
	}
	f := p.fault(op)
	if f.answers() && !f.After {
		p.delay(f)
		f.answer(w)
		return
	}
	status, answer, err := do(request{Request: r, by: App(app), object: op.Object})
	p.delay(f)
	if f.answers() {
		f.answer(w)
		return
	}
	var known *Error
	switch {
	case errors.As(err, &known):
		respond(w, known.HTTP, known)
	case err != nil:
		respond(w, http.StatusBadRequest, invalid("Invalid input JSON"))
	default:
		respond(w, status, answer)
	}
}

func (p *Portal) delay(f Fault) {
	if f.Delay > 0 && p.o.Sleep != nil {
		p.o.Sleep(f.Delay)
	}
}

func (p *Portal) app(r *http.Request) (int64, *Error) {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	refused := &Error{HTTP: http.StatusUnauthorized, Category: "INVALID_AUTHENTICATION", Message: "Authentication credentials not found. This API supports OAuth 2.0 authentication."}
	if !bearer || token == "" {
		return 0, refused
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.o.Tokens) == 0 {
		return p.o.AppID, nil
	}
	if app, known := p.o.Tokens[token]; known {
		return app, nil
	}
	return 0, refused
}

// SetTokens replaces the tokens that are accepted, as a rotation does.
func (p *Portal) SetTokens(tokens map[string]int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.o.Tokens = tokens
}

// answer sends what a fault says. A lost connection ends the handler the way
// net/http documents.
func (f Fault) answer(w http.ResponseWriter) {
	if f.Drop {
		panic(http.ErrAbortHandler)
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())))
	}
	if refusal := f.refusal(); refusal != nil {
		respond(w, f.Status, refusal)
		return
	}
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(f.Status)
	_, _ = io.WriteString(w, "<html><body>"+strconv.Itoa(f.Status)+"</body></html>") // The caller may be gone.
}

// respond writes JSON; without an answer it is only the status.
func respond(w http.ResponseWriter, status int, answer any) {
	if e, refused := answer.(*Error); refused {
		shown := *e
		shown.Status, shown.CorrelationID = "error", "2dea5219-07f2-40ce-82ec-9c2e302317a4"
		answer = shown
	}
	if answer == nil {
		w.WriteHeader(status)
		return
	}
	body, err := json.Marshal(answer)
	if err != nil {
		status, body = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // The caller may be gone.
}

// maxRequest bounds a request's body.
const maxRequest = 16 << 20

func (r request) decode(into any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// list reads a comma-separated query parameter, which may also be repeated.
func (r request) list(name string) []string {
	var out []string
	for _, v := range r.URL.Query()[name] {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}
