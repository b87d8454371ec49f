package centre

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"tandem/internal/beat"
)

//go:embed tmpl static
var files embed.FS

// pages holds the parsed templates and the hash that names the assets.
type pages struct {
	t       *template.Template
	version string
}

func newPages() (*pages, error) {
	t, err := template.New("").Funcs(template.FuncMap{
		"age": age, "clock": clock, "num": num, "dollars": dollars, "spark": spark, "bar": bar, "ms": millis, "took": func(ms int64) string { return millis(time.Duration(ms) * time.Millisecond) },
		"words": words, "marks": marks, "pct": pct, "span": span, "tally": tally, "events": events, "signal": signalWords,
		"kinds": func() []beat.Kind { return beat.Kinds }, "outcomes": newOutcomeList, "join": strings.Join,
	}).ParseFS(files, "tmpl/*.html")
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	h := sha256.New()
	for _, name := range []string{"static/centre.css", "static/centre.js"} {
		raw, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		h.Write(raw)
	}
	return &pages{t, hex.EncodeToString(h.Sum(nil)[:6])}, nil
}

// outcomeList is a table of outcomes of one client.
type outcomeList struct {
	Client   string
	Outcomes []Outcome
}

func newOutcomeList(client string, o []Outcome) outcomeList { return outcomeList{client, o} }

// frame is what the templates get.
type frame struct {
	Title, Alert, CSRF, Version, Path string
	Now                               time.Time
	LoggedIn, Fragment                bool
	Body                              template.HTML
	Data                              any
}

// render writes a page, or with the header X-Fragment only the part that the
// script swaps in. The page is complete before its first byte is sent.
func (c *Centre) render(w http.ResponseWriter, r *http.Request, status int, ct content, csrf string) {
	f := frame{Title: ct.title, Alert: ct.alert, CSRF: csrf, Version: c.pages.version, Path: r.URL.Path, Now: c.o.Now().UTC(),
		LoggedIn: csrf != "" && ct.tmpl != "login", Fragment: r.Header.Get("X-Fragment") != "", Data: ct.data}
	var body, out bytes.Buffer
	err := c.pages.t.ExecuteTemplate(&body, ct.tmpl, f)
	if err == nil {
		f.Body = template.HTML(body.String()) // the output of html/template
		err = c.pages.t.ExecuteTemplate(&out, "frame", f)
	}
	if err != nil {
		c.o.Log.Error("template failed", "page", ct.tmpl, "error", err.Error())
		http.Error(w, "the page could not be made; the log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes())
}

func (c *Centre) asset(w http.ResponseWriter, r *http.Request) {
	types := map[string]string{"centre.css": "text/css; charset=utf-8", "centre.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}
	name := r.PathValue("name")
	raw, err := files.ReadFile("static/" + name)
	if err != nil || types[name] == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", types[name])
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable") // the address holds the content's hash
	_, _ = w.Write(raw)
}
