package portal

import (
	"bytes"
	"embed"
	"html/template"
	"maps"
	"net/http"
	"slices"
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
