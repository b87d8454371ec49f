package centre

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tandem/internal/beat"
	"tandem/internal/record"
	"tandem/spec"
)

// policy lets the pages load their own style and script and nothing else; what
// is not in the two embedded files cannot run.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Dashboard serves the pages. The remote address of a request must be the
// client's: login attempts are counted by it.
func (c *Centre) Dashboard() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /assets/{name}", c.asset)
	m.HandleFunc("GET /status.json", c.status)
	m.HandleFunc("GET /login", c.loginForm)
	m.HandleFunc("POST /login", c.login)
	m.Handle("POST /logout", c.action(c.logout))
	m.Handle("POST /c/{client}/mute", c.action(c.mute))
	m.Handle("POST /c/{client}/forget", c.action(c.forget))
	m.Handle("GET /{$}", c.page(c.overview))
	m.Handle("GET /messages", c.page(c.messages))
	m.Handle("GET /c/{client}", c.page(c.client))
	m.Handle("GET /c/{client}/{direction}", c.page(c.direction))
	m.Handle("GET /c/{client}/r/{system}/{object}/{id}", c.page(c.record))
	return secure(http.NewCrossOriginProtection().Handler(m))
}

func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Strict-Transport-Security", "max-age=31536000")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
		next.ServeHTTP(w, r)
	})
}

// view makes a page's content. An error is ErrUnknown (404) or the store's (503).
type view func(r *http.Request) (content, error)

// content is a page before its frame is around it.
type content struct {
	tmpl  string // template name
	title string
	alert string // announced to screen readers when it changes
	data  any
}

// page shows a view to whoever is logged in, and sends the others to the login.
func (c *Centre) page(v view) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _, err := c.signer(r.Context())
		if err != nil {
			c.fail(w, r, err)
			return
		}
		if !s.open("session", c.session(r), c.o.Now()) {
			toLogin(w, r)
			return
		}
		ct, err := v(r)
		if err != nil {
			c.fail(w, r, err)
			return
		}
		c.render(w, r, http.StatusOK, ct, s.csrf(c.session(r)))
	})
}

func toLogin(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Fragment") != "" { // the script must not swap a form in
		http.Error(w, "log in again", http.StatusUnauthorized)
		return
	}
	http.Redirect(w, r, "/login?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
}

// action runs a POST of a logged-in person whose form carries the session's token.
func (c *Centre) action(do http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _, err := c.signer(r.Context())
		if err != nil {
			c.fail(w, r, err)
			return
		}
		if !s.open("session", c.session(r), c.o.Now()) {
			http.Error(w, "log in again", http.StatusUnauthorized)
			return
		}
		if !s.same(s.csrf(c.session(r)), r.PostFormValue("csrf")) {
			http.Error(w, "the form is not this session's: reload the page and try again", http.StatusForbidden)
			return
		}
		do(w, r)
	})
}

func (c *Centre) loginForm(w http.ResponseWriter, r *http.Request) {
	c.showLogin(w, r, http.StatusOK, "")
}

func (c *Centre) showLogin(w http.ResponseWriter, r *http.Request, status int, problem string) {
	s, _, err := c.signer(r.Context())
	if err != nil {
		c.fail(w, r, err)
		return
	}
	next := localPath(r.FormValue("next"))
	c.render(w, r, status, content{tmpl: "login", title: "Log in", data: struct{ Next, Problem string }{next, problem}},
		s.seal("login", c.o.Now().Add(formLife)))
}

func (c *Centre) login(w http.ResponseWriter, r *http.Request) {
	s, secret, err := c.signer(r.Context())
	if err != nil {
		c.fail(w, r, err)
		return
	}
	if !s.open("login", r.PostFormValue("csrf"), c.o.Now()) {
		c.showLogin(w, r, http.StatusForbidden, "This form has expired. Please try again.")
		return
	}
	allowed, err := c.attempt(r.Context(), r.RemoteAddr)
	switch {
	case err != nil:
		c.fail(w, r, err)
	case !allowed:
		w.Header().Set("Retry-After", strconv.Itoa(int(loginWindow/time.Second)))
		c.showLogin(w, r, http.StatusTooManyRequests, "Too many attempts from this address. Wait five minutes.")
	case !s.same(secret, r.PostFormValue("secret")):
		c.showLogin(w, r, http.StatusUnauthorized, "That is not the secret.")
	default:
		if err := c.admitted(r.Context(), r.RemoteAddr); err != nil {
			c.o.Log.Warn("login attempts not cleared", "error", err.Error())
		}
		c.setSession(w, s.seal("session", c.o.Now().Add(sessionLife)), int(sessionLife/time.Second))
		http.Redirect(w, r, localPath(r.PostFormValue("next")), http.StatusSeeOther)
	}
}

// localPath refuses every way to write an address of another site.
func localPath(p string) string {
	u, err := url.Parse(p)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(p, "/") ||
		strings.HasPrefix(p, "//") || strings.ContainsAny(p, "\\\r\n\t") {
		return "/"
	}
	return p
}

func (c *Centre) logout(w http.ResponseWriter, r *http.Request) {
	c.setSession(w, "", -1)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

func (c *Centre) mute(w http.ResponseWriter, r *http.Request) {
	client := r.PathValue("client")
	hours, err := strconv.Atoi(r.PostFormValue("hours"))
	if err != nil || hours < 0 || hours > 72 || !beat.ValidClient(client) {
		http.Error(w, "hours: want 0 to 72", http.StatusBadRequest)
		return
	}
	c.done(w, r, c.Mute(r.Context(), client, c.o.Now().Add(time.Duration(hours)*time.Hour)))
}

func (c *Centre) forget(w http.ResponseWriter, r *http.Request) {
	c.done(w, r, c.Forget(r.Context(), r.PathValue("client"), r.PostFormValue("handler")))
}

func (c *Centre) done(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		c.fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/c/"+url.PathEscape(r.PathValue("client")), http.StatusSeeOther)
}

func (c *Centre) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, text := http.StatusServiceUnavailable, "The Centre's table or secrets do not answer. The log says more; records are not affected."
	if u, ok := errors.AsType[*Unreadable](err); ok {
		c.o.Log.Warn("page not shown", "error", u.Error())
		text = u.Why
	} else if errors.Is(err, ErrUnknown) {
		status, text = http.StatusNotFound, "There is no such page: the client, direction or record is not known."
	} else {
		c.o.Log.Error("page not shown", "path", r.URL.Path, "error", err.Error())
	}
	c.render(w, r, status, content{tmpl: "problem", title: http.StatusText(status), data: text}, "")
}

func (c *Centre) messages(r *http.Request) (content, error) {
	notices, err := c.history(r.Context(), 200)
	return content{tmpl: "messages", title: "Messages", data: noticeRows(notices, c.o.Now())}, err
}

func (c *Centre) overview(r *http.Request) (content, error) {
	f, err := c.fleet(r.Context())
	if err != nil {
		return content{}, err
	}
	f.filter(r.FormValue("q"), r.FormValue("show"))
	return content{tmpl: "overview", title: "Integrations", alert: f.Summary(), data: f}, nil
}

func (c *Centre) client(r *http.Request) (content, error) {
	v, err := c.clientView(r.Context(), r.PathValue("client"))
	return content{tmpl: "client", title: r.PathValue("client"), alert: v.Alert, data: v}, err
}

// outcomePage is what the page of one direction shows.
type outcomePage struct {
	Client    string
	Direction spec.Direction
	Way       wayView
	Console   string
	Query     OutcomeQuery
	Page      *OutcomePage // nil when no source of outcomes is connected
	Problem   string       // why it cannot be read
	Older     string
}

func (c *Centre) direction(r *http.Request) (content, error) {
	d := spec.Direction(r.PathValue("direction"))
	client := r.PathValue("client")
	v, err := c.clientView(r.Context(), client)
	if err != nil {
		return content{}, err
	}
	if d != spec.ToDestination && d != spec.ToHubSpot {
		return content{}, ErrUnknown
	}
	p := outcomePage{Client: client, Direction: d, Way: v.way(d), Console: c.console(client, d),
		Query: OutcomeQuery{Client: client, Direction: d, Kind: beat.Kind(r.FormValue("kind")), Text: r.FormValue("q"),
			After: r.FormValue("after"), Limit: 100}}
	if c.o.Outcomes != nil {
		if err := c.list(r.Context(), &p); err != nil {
			return content{}, err
		}
	}
	return content{tmpl: "direction", title: client + ", " + string(d), data: p}, nil
}

// list fills in the outcomes; without them the page still has its counts.
func (c *Centre) list(ctx context.Context, p *outcomePage) error {
	page, err := c.o.Outcomes.List(ctx, p.Query)
	if u, ok := errors.AsType[*Unreadable](err); ok {
		c.o.Log.Warn("outcomes not shown", "client", p.Client, "error", u.Error())
		p.Problem = u.Why
		return nil
	}
	if err != nil {
		return err
	}
	p.Page = &page
	if page.Next != "" {
		p.Older = "?" + url.Values{"kind": {string(p.Query.Kind)}, "q": {p.Query.Text}, "after": {page.Next}}.Encode()
	}
	return nil
}

func (c *Centre) console(client string, d spec.Direction) string {
	if c.o.Console == nil {
		return ""
	}
	return c.o.Console(client, string(d))
}

// recordPage is what the page of one record shows.
type recordPage struct {
	Client string
	RecordView
}

func (c *Centre) record(r *http.Request) (content, error) {
	ref := record.Ref{System: record.System(r.PathValue("system")), Object: r.PathValue("object"), ID: r.PathValue("id")}
	if c.o.Outcomes == nil {
		return content{}, ErrUnknown
	}
	v, err := c.o.Outcomes.Record(r.Context(), r.PathValue("client"), ref)
	return content{tmpl: "record", title: ref.Object + " " + ref.ID, data: recordPage{r.PathValue("client"), v}}, err
}
