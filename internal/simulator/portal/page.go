package portal

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
)

//go:embed page.html page.css page.js
var pageFiles embed.FS

// pages serves the page on which a person edits records, as in HubSpot's own
// pages: every change makes the events that a person's edit makes.
func (p *Portal) pages() http.Handler {
	mux := http.NewServeMux()
	ui := &pages{p, template.Must(template.ParseFS(pageFiles, "page.html"))}
	guard := http.NewCrossOriginProtection()
	handle := func(pattern string, h http.HandlerFunc) {
		mux.Handle(pattern, guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
			h(w, r)
		})))
	}
	handle("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/records/contacts", http.StatusSeeOther)
	})
	mux.Handle("GET /page.css", http.FileServerFS(pageFiles))
	mux.Handle("GET /page.js", http.FileServerFS(pageFiles))
	handle("GET /records/{object}", ui.list)
	handle("GET /records/{object}/new", ui.blank)
	handle("GET /records/{object}/{id}", ui.show)
	handle("POST /records/{object}", ui.create)
	handle("POST /records/{object}/{id}", ui.update)
	handle("POST /records/{object}/{id}/{action}", ui.act)
	handle("POST /seed", ui.seed)
	return mux
}

type pages struct {
	p        *Portal
	template *template.Template
}

// view is what the template shows.
type view struct {
	Portal  int64
	Object  string
	Objects []string
	Title   string
	Problem string
	// List
	Query   string
	Columns []string
	Rows    []row
	Waiting int
	// One record
	Record *Record
	Inputs []input
	Links  []shownLink
}

type row struct {
	Record
	Cells []string
}

type input struct {
	Property
	Value string
}

type shownLink struct{ Object, ID string }

func (u *pages) view(r *http.Request, title string) view {
	u.p.mu.Lock()
	waiting := len(u.p.pending)
	u.p.mu.Unlock()
	return view{Portal: u.p.o.PortalID, Object: r.PathValue("object"), Objects: u.p.Objects(), Title: title, Waiting: waiting}
}

func (u *pages) render(w http.ResponseWriter, status int, v view) {
	var page bytes.Buffer
	if err := u.template.Execute(&page, v); err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // The browser may be gone.
}

// editable lists the properties a person can change, the usual ones first.
func (p *Portal) editable(object string) []Property {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.objects[object]
	if s == nil {
		return nil
	}
	names := defaults(object)
	for _, name := range slices.Sorted(maps.Keys(s.defs)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	var out []Property
	for _, name := range names {
		if d, known := s.defs[name]; known && !d.ReadOnly {
			out = append(out, d)
		}
	}
	return out
}

// shownColumns and shownRows bound the list.
const (
	shownColumns = 4
	shownRows    = 200
)

func (u *pages) list(w http.ResponseWriter, r *http.Request) {
	v := u.view(r, r.PathValue("object"))
	v.Query = r.URL.Query().Get("q")
	properties := u.p.editable(v.Object)
	if properties == nil {
		http.NotFound(w, r)
		return
	}
	for _, d := range properties[:min(shownColumns, len(properties))] {
		v.Columns = append(v.Columns, d.Name)
	}
	v.Rows = u.p.rows(v.Object, v.Query, v.Columns)
	u.render(w, http.StatusOK, v)
}

// rows lists the newest changes first, archived records too.
func (p *Portal) rows(object, query string, columns []string) []row {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.objects[object]
	var found []*entry
	for _, id := range s.order {
		if e := s.records[id]; query == "" || e.ID == query || containsText(e.Props, query) {
			found = append(found, e)
		}
	}
	slices.SortStableFunc(found, func(a, b *entry) int { return int(max(b.Updated, b.Archived) - max(a.Updated, a.Archived)) })
	var out []row
	for _, e := range found[:min(shownRows, len(found))] {
		line := row{Record: p.answer(s, e, slices.Clone(columns), nil, nil)}
		for _, c := range columns {
			line.Cells = append(line.Cells, line.Text(c))
		}
		out = append(out, line)
	}
	return out
}

func (u *pages) blank(w http.ResponseWriter, r *http.Request) {
	u.form(w, r, http.StatusOK, nil, nil, "")
}

func (u *pages) show(w http.ResponseWriter, r *http.Request) {
	rec, err := u.find(r)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	if rec.ID != r.PathValue("id") { // Merged: show the one that lives on.
		http.Redirect(w, r, "/records/"+r.PathValue("object")+"/"+rec.ID, http.StatusSeeOther)
		return
	}
	u.form(w, r, http.StatusOK, &rec, nil, "")
}

func (u *pages) find(r *http.Request) (Record, error) {
	o := ReadOptions{Associations: u.p.Objects()}
	for _, d := range u.p.editable(r.PathValue("object")) {
		o.Properties = append(o.Properties, d.Name)
	}
	rec, err := u.p.Read(r.PathValue("object"), r.PathValue("id"), o)
	if err != nil {
		o.Archived = true
		rec, err = u.p.Read(r.PathValue("object"), r.PathValue("id"), o)
	}
	return rec, err
}

// form shows one record, or a new one, with what a person typed in when that
// was refused.
func (u *pages) form(w http.ResponseWriter, r *http.Request, status int, rec *Record, typed map[string]string, problem string) {
	v := u.view(r, "New record")
	v.Record, v.Problem = rec, problem
	for _, d := range u.p.editable(v.Object) {
		value, ok := typed[d.Name]
		if !ok && rec != nil {
			value = rec.Text(d.Name)
		}
		v.Inputs = append(v.Inputs, input{d, value})
	}
	if rec != nil {
		v.Title = singular(v.Object) + " " + rec.ID
		for _, to := range slices.Sorted(maps.Keys(rec.Associations)) {
			for _, l := range rec.Associations[to].Results {
				v.Links = append(v.Links, shownLink{to, l.ID})
			}
		}
		v.Links = slices.Compact(v.Links)
	}
	u.render(w, status, v)
}

// typed reads the form's properties.
func (u *pages) typed(w http.ResponseWriter, r *http.Request) map[string]string {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	out := map[string]string{}
	for _, d := range u.p.editable(r.PathValue("object")) {
		if r.PostFormValue(d.Name) != "" || r.PostForm.Has(d.Name) {
			out[d.Name] = strings.ReplaceAll(r.PostFormValue(d.Name), "\r\n", "\n")
		}
	}
	return out
}

func (u *pages) create(w http.ResponseWriter, r *http.Request) {
	typed := u.typed(w, r)
	values := maps.Clone(typed)
	maps.DeleteFunc(values, func(_, v string) bool { return v == "" })
	rec, err := u.p.Create(Person, r.PathValue("object"), values)
	if err != nil {
		u.refused(w, r, nil, typed, err)
		return
	}
	http.Redirect(w, r, "/records/"+r.PathValue("object")+"/"+rec.ID, http.StatusSeeOther)
}

// update changes only what differs from what the record holds: a blank input of
// a property that was never set is no edit.
func (u *pages) update(w http.ResponseWriter, r *http.Request) {
	rec, err := u.find(r)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	typed := u.typed(w, r)
	changed := maps.Clone(typed)
	maps.DeleteFunc(changed, func(name, v string) bool { return rec.Text(name) == v })
	if _, err := u.p.Update(Person, r.PathValue("object"), rec.ID, "", changed); err != nil {
		u.refused(w, r, &rec, typed, err)
		return
	}
	http.Redirect(w, r, "/records/"+r.PathValue("object")+"/"+rec.ID, http.StatusSeeOther)
}

func (u *pages) refused(w http.ResponseWriter, r *http.Request, rec *Record, typed map[string]string, err error) {
	status, problem := http.StatusBadRequest, err.Error()
	var e *Error
	if errors.As(err, &e) {
		status, problem = e.HTTP, e.Message
		for i, d := range e.Errors {
			if i == 0 {
				problem = ""
			}
			problem += d.Message + ". "
		}
	}
	u.form(w, r, status, rec, typed, problem)
}

// act does one of the actions on a record.
func (u *pages) act(w http.ResponseWriter, r *http.Request) {
	object, id := r.PathValue("object"), r.PathValue("id")
	back := "/records/" + object
	var err error
	switch r.PathValue("action") {
	case "delete":
		err = u.p.Archive(Person, object, id)
	case "restore":
		err = u.p.Restore(Person, object, id)
	case "purge":
		err = u.p.Purge(Person, object, id, "")
	case "merge":
		var rec Record
		rec, err = u.p.Merge(Person, object, id, strings.TrimSpace(r.PostFormValue("other")))
		back += "/" + rec.ID
	case "associate":
		err = u.p.Associate(Person, object, id, r.PostFormValue("to"), strings.TrimSpace(r.PostFormValue("other")), false)
		back += "/" + id
	default:
		http.NotFound(w, r)
		return
	}
	if err == nil {
		http.Redirect(w, r, back, http.StatusSeeOther)
		return
	}
	rec, findErr := u.find(r)
	if findErr != nil {
		http.NotFound(w, r)
		return
	}
	u.refused(w, r, &rec, nil, err)
}

// seeded is how many contacts the page's button makes.
const seeded = 9

func (u *pages) seed(w http.ResponseWriter, r *http.Request) {
	if err := u.p.Seed(seeded); err != nil {
		http.Error(w, "the samples are there already, or clash with other records", http.StatusConflict)
		return
	}
	http.Redirect(w, r, "/records/contacts", http.StatusSeeOther)
}
