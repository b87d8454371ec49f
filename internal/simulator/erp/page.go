package erp

import (
	_ "embed"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"show": Show}).Parse(pageHTML))

// shown is how many records the page lists, the latest first.
const shown = 200

// view is what the page shows.
type view struct {
	Kinds   []Kind
	Kind    Kind
	Records []Record
	Total   int
	Edit    *Record
	Problem string
}

// page serves a plain page on which a person edits records. Its forms work only
// from the page itself: requests that another site starts are refused.
func page(mux *http.ServeMux, c *Company) {
	own := http.NewCrossOriginProtection()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/customers", http.StatusFound) })
	mux.HandleFunc("GET /{object}", func(w http.ResponseWriter, r *http.Request) { c.show(w, r, http.StatusOK, "") })
	mux.Handle("POST /{object}", own.Handler(http.HandlerFunc(c.submit)))
}

// show renders the list and, with ?edit=, the form of one record.
func (c *Company) show(w http.ResponseWriter, r *http.Request, status int, problem string) {
	kind, ok := KindOf(r.PathValue("object"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	v := view{Kinds: Kinds, Kind: kind, Problem: problem}
	if rec, err := c.Get(kind.Name, r.FormValue("edit")); err == nil {
		v.Edit = &rec
	}
	v.Records = slices.DeleteFunc(c.Records(kind.Name), func(r Record) bool { return r.Deleted })
	v.Total = len(v.Records)
	slices.Reverse(v.Records)
	v.Records = v.Records[:min(v.Total, shown)]
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = pageTemplate.Execute(w, v) // a reader that has left needs no page
}

// submit stores the form, or deletes with action=delete, and shows the list.
func (c *Company) submit(w http.ResponseWriter, r *http.Request) {
	kind, ok := KindOf(r.PathValue("object"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		c.show(w, r, http.StatusBadRequest, "The form could not be read.")
		return
	}
	fields, err := formFields(kind, r)
	id := r.PostForm.Get("id")
	switch {
	case err != nil:
	case r.PostForm.Get("action") == "delete":
		err = c.Delete(kind.Name, id, 0)
	case id == "":
		_, err = c.Create(kind.Name, fields)
	default:
		_, err = c.Update(kind.Name, id, fields, 0)
	}
	if err != nil {
		c.show(w, r, http.StatusUnprocessableEntity, explain(err))
		return
	}
	http.Redirect(w, r, "/"+kind.Name, http.StatusSeeOther)
}

// explain tells a person why a form was refused.
func explain(err error) string {
	var dup *Duplicate
	switch {
	case errors.As(err, &dup):
		return "Another record, " + dup.ExistingID + ", has this " + dup.Field + " already."
	case errors.Is(err, ErrNotFound):
		return "This record is gone."
	}
	return err.Error()
}

// formFields reads the declared fields of a form in their types.
func formFields(kind Kind, r *http.Request) (map[string]any, error) {
	out := map[string]any{}
	for _, f := range kind.Fields {
		if !r.PostForm.Has(f.Name) && f.Type != Flag {
			continue
		}
		text := strings.TrimSpace(r.PostForm.Get(f.Name))
		switch {
		case f.Type == Flag:
			out[f.Name] = text != ""
		case f.Type == Number && text != "":
			n := strings.ReplaceAll(text, ",", "")
			if _, err := strconv.ParseFloat(n, 64); err != nil || !json.Valid([]byte(n)) {
				return nil, errors.New("The field " + f.Name + " must be a number, such as 1200.50.")
			}
			out[f.Name] = json.Number(n)
		default:
			out[f.Name] = text
		}
	}
	return out, nil
}
