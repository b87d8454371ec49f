package portal

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
)

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
