// Package console is the pages of `tandem run`: what the Step Functions console
// and the dashboard are for a deployment. A person finds an execution by record,
// event or name, sees each state's input, output, attempts and error, asks why a
// record looks as it does, and redrives dead letters.
//
// Pages are rendered at the server and work without scripts; one small script
// refreshes them. Values of sensitive fields arrive here as fingerprints.
package console

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"tandem/internal/ledger"
	"tandem/internal/local/engine"
	"tandem/internal/local/why"
	"tandem/internal/record"
	"tandem/spec"
)

//go:embed pages.html console.css console.js icon.svg
var files embed.FS

// Link is another page worth opening, such as a simulator's.
type Link struct{ Name, URL string }

// Options are what the console shows. All but Links are required.
type Options struct {
	Engine *engine.Engine
	Asker  *why.Asker
	Spec   *spec.Spec
	Links  []Link
	// Status answers what GET /api/status does; its fields are shown as they are.
	Status func() any
	// Parked lists what waits for a person.
	Parked func(context.Context) ([]ledger.ParkedRecord, error)
}

// console renders the pages.
type console struct {
	Options
	pages *template.Template
	token string // in every form, so that only our own pages can act
}

// New returns the pages' handler.
func New(o Options) http.Handler {
	c := &console{Options: o, token: rand.Text()}
	c.pages = template.Must(template.New("").Funcs(template.FuncMap{
		"pretty": pretty, "ms": milliseconds, "clock": clock, "when": when, "seg": url.PathEscape, "inc": func(n int) int { return n + 1 },
		"way": c.way, "side": c.side, "travels": travels, "wins": c.wins, "events": events,
		"lower": func(v any) string { return strings.ToLower(strings.ReplaceAll(fmt.Sprint(v), "_", " ")) },
	}).ParseFS(files, "pages.html"))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", c.home)
	mux.HandleFunc("GET /executions", c.executions)
	mux.HandleFunc("GET /executions/{name}", c.execution)
	mux.HandleFunc("GET /records", c.find)
	mux.HandleFunc("GET /records/{object}/{id}", c.record)
	mux.HandleFunc("GET /parked", c.parked)
	mux.HandleFunc("GET /dead-letters", c.deadLetters)
	mux.HandleFunc("POST /dead-letters", c.act)
	mux.Handle("GET /assets/", http.StripPrefix("/assets/", http.FileServerFS(files)))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		c.fail(w, http.StatusNotFound, "There is no page "+r.URL.Path+".")
	})
	return headers(mux)
}

// headers forbid what the pages do not need.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		if !strings.HasPrefix(r.URL.Path, "/assets/") {
			h.Set("Cache-Control", "no-store")
		}
		next.ServeHTTP(w, r)
	})
}

// page is what every template gets.
type page struct {
	Title, Nav, Token, Client string
	// Live pages refresh themselves.
	Live bool
	Data any
}

// show renders one page, whole or not at all.
func (c *console) show(w http.ResponseWriter, status int, name string, p page) {
	p.Token, p.Client = c.token, c.Spec.Client
	var b bytes.Buffer
	if err := c.pages.ExecuteTemplate(&b, name, p); err != nil {
		http.Error(w, "the page cannot be shown: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

func (c *console) fail(w http.ResponseWriter, status int, what string) {
	c.show(w, status, "problem", page{Title: http.StatusText(status), Data: what})
}

// counter is one number of the status.
type counter struct {
	Name, Link string
	Value      any
	Bad        bool
}

func (c *console) home(w http.ResponseWriter, _ *http.Request) {
	c.show(w, http.StatusOK, "home", page{Title: "Overview", Nav: "home", Live: true, Data: map[string]any{
		"Spec": c.Spec, "Links": c.Links, "Counters": c.counters(), "Executions": c.Engine.Executions(engine.Filter{Limit: 15}),
	}})
}

// counters are the status's fields under names for people, in their order.
func (c *console) counters() (out []counter) {
	b, _ := json.Marshal(c.Status()) // a plain struct of numbers
	values := map[string]any{}
	_ = json.Unmarshal(b, &values)
	for _, n := range [][3]string{
		{"inFlight", "in flight", "/executions?status=RUNNING"}, {"queued", "queued", ""}, {"deferred", "deferred", "/executions?status=Deferred"},
		{"accepted", "executions", "/executions"}, {"outcomes", "outcomes", ""}, {"deadLetters", "dead letters", "/dead-letters"},
	} {
		out = append(out, counter{Name: n[1], Link: n[2], Value: values[n[0]], Bad: n[0] == "deadLetters" && values[n[0]] != 0.0})
	}
	return out
}

func (c *console) executions(w http.ResponseWriter, r *http.Request) {
	f := engine.Filter{Text: strings.TrimSpace(r.FormValue("q")), Status: r.FormValue("status"), Record: strings.TrimSpace(r.FormValue("record")), Limit: 200}
	c.show(w, http.StatusOK, "executions", page{Title: "Executions", Nav: "executions", Live: true, Data: map[string]any{
		"Filter": f, "Statuses": engine.Statuses, "Executions": c.Engine.Executions(f),
	}})
}

func (c *console) execution(w http.ResponseWriter, r *http.Request) {
	t, err := c.Engine.Trace(r.PathValue("name"))
	if err != nil {
		c.fail(w, http.StatusNotFound, "There is no execution of that name, or its trace is no longer kept.")
		return
	}
	c.show(w, http.StatusOK, "execution", page{Title: t.Name, Nav: "executions", Live: t.Status == engine.Running, Data: map[string]any{
		"Trace": t, "Graph": draw(c.Engine.Machine(t.Direction), t),
	}})
}

// find sends the search form on to a record's page.
func (c *console) find(w http.ResponseWriter, r *http.Request) {
	object, id := r.FormValue("object"), strings.TrimSpace(r.FormValue("id"))
	if object != "" && id != "" {
		http.Redirect(w, r, "/records/"+url.PathEscape(object)+"/"+url.PathEscape(id), http.StatusSeeOther)
		return
	}
	c.show(w, http.StatusOK, "find", page{Title: "Records", Nav: "records", Data: map[string]any{"Spec": c.Spec, "Recent": c.recent()}})
}

// recent are the records of the newest executions, each once.
func (c *console) recent() (refs []record.Ref) {
	for _, e := range c.Engine.Executions(engine.Filter{Limit: 200}) {
		if e.Record.ID != "" && len(refs) < 24 && !slices.Contains(refs, e.Record) {
			refs = append(refs, e.Record)
		}
	}
	return refs
}

func (c *console) record(w http.ResponseWriter, r *http.Request) {
	pair, ref, err := why.Find(c.Spec, r.PathValue("object"), r.PathValue("id"))
	if err != nil {
		c.fail(w, http.StatusNotFound, err.Error())
		return
	}
	report, err := c.Asker.Ask(r.Context(), pair, ref)
	if err != nil {
		c.fail(w, http.StatusBadGateway, "The table did not answer: "+err.Error())
		return
	}
	c.show(w, http.StatusOK, "record", page{Title: ref.Object + " " + ref.ID, Nav: "records", Data: map[string]any{
		"Report": report, "Objects": map[record.System]string{record.HubSpot: pair.HubSpot.Object, record.Destination: pair.Destination.Object},
	}})
}

func (c *console) parked(w http.ResponseWriter, r *http.Request) {
	all, err := c.Parked(r.Context())
	if err != nil {
		c.fail(w, http.StatusBadGateway, "The table did not answer: "+err.Error())
		return
	}
	c.show(w, http.StatusOK, "parked", page{Title: "Parked", Nav: "parked", Data: all})
}

// cause is all dead letters of one code.
type cause struct {
	Code    string
	Letters []engine.DeadLetter
}

func (c *console) deadLetters(w http.ResponseWriter, r *http.Request) {
	letters, err := c.Engine.DeadLetters(r.Context(), 0, 500)
	if err != nil {
		c.fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	c.show(w, http.StatusOK, "dead", page{Title: "Dead letters", Nav: "dead", Data: map[string]any{
		"Causes": group(letters), "Said": r.FormValue("said"),
	}})
}

// group collects letters by code, the most frequent first, newest letter first.
func group(letters []engine.DeadLetter) (causes []cause) {
	at := map[string]int{}
	for _, l := range slices.Backward(letters) {
		i, known := at[l.Code]
		if !known {
			i, at[l.Code] = len(causes), len(causes)
			causes = append(causes, cause{Code: l.Code})
		}
		causes[i].Letters = append(causes[i].Letters, l)
	}
	slices.SortStableFunc(causes, func(a, b cause) int { return len(b.Letters) - len(a.Letters) })
	return causes
}

// act redrives or removes the dead letters that a form names.
func (c *console) act(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil || subtle.ConstantTimeCompare([]byte(r.PostForm.Get("token")), []byte(c.token)) != 1 {
		c.fail(w, http.StatusForbidden, "The form was not made by this page, or the server has restarted since. Reload the page and try again.")
		return
	}
	do, word := func(id uint64) error { _, err := c.Engine.Redrive(r.Context(), id); return err }, "redriven"
	if r.PostForm.Get("do") == "remove" {
		do, word = func(id uint64) error { return c.Engine.Remove(r.Context(), id) }, "removed"
	}
	done := 0
	for _, text := range r.PostForm["id"] {
		id, err := strconv.ParseUint(text, 10, 64)
		if err == nil {
			err = do(id)
		}
		if err != nil && !errors.Is(err, engine.ErrUnknown) {
			c.fail(w, http.StatusInternalServerError, err.Error())
			return
		}
		if err == nil {
			done++
		}
	}
	http.Redirect(w, r, "/dead-letters?said="+url.QueryEscape(fmt.Sprintf("%d %s", done, word)), http.StatusSeeOther)
}
