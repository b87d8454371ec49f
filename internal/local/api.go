package local

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/local/console"
	"tandem/internal/local/engine"
	"tandem/internal/local/why"
	"tandem/internal/record"
)

// APIDoc documents the HTTP API; `tandem run -h` prints it.
const APIDoc = `HTTP API. Answers are JSON; an error is {"error": what, "where": where, "do": what to do next} with status 400
(a parameter or the body is wrong), 403 (another site's page asked), 404 (there is none), 413 (the body is too large),
421 (the Host is not this server's), 500 (the server's own fault), 502 (a system does not answer) or 503 (too much
waits: send again later).

  POST /webhooks/hubspot              a delivery of HubSpot: an array of events, with X-HubSpot-Signature-v3 over POST,
                                      the printed hubspotWebhook address, the body and X-HubSpot-Request-Timestamp
  POST /webhooks/destination          a delivery of the destination, signed as the spec's destination.webhook says.
                                      Both: 200 {"events","started","dropped"}, executions begun and records that need
                                      none, with "problem" where it was signed but not understood (senders repeat what
                                      is refused); alike, with "problem" and no "error": 401 the signature is missing,
                                      wrong or more than 5 minutes off; 404 another portal's; 503 not all could be kept:
                                      deliver again. 413 more than 1 MiB, or than 1,000 events
  GET  /api/status                    {"inFlight","queued","receiving","polling","deferred","accepted",
                                      "outcomes","deadLetters","quiet"}; deferred: events that wait, for 30 s to
                                      15 minutes each time, for a system that is down, a limit or another
                                      worker; accepted: executions ever begun, several where an event waited;
                                      outcomes: the newest one's cursor, as events that needed no execution have
                                      one, too; quiet: nothing is under way or deferred in this process
  GET  /api/outcomes?since=CURSOR     {"outcomes","next"}: how each event ended, oldest first: cursor, execution,
                     [&limit=N]       direction, pair, system, object, id, kind (stamped, dropped, parked, dead),
                                      reason, code, fields, parkedFields (what it left to a person), at, events; at
                                      most N (1000); "next" is the cursor to go on from.
                                      stamped: both sides agree and something was written or linked; dropped:
                                      nothing was to be done, reason says why; parked: a person has to decide;
                                      dead: it failed, see the dead letter
  GET  /api/dead-letters?since=CURSOR {"deadLetters","next"}: oldest first: cursor, id, at, execution, machine, object,
                     [&limit=N]       event, code, cause, redriveable (the same may pass later, without a change of
                                      spec or data; any can be redriven once its cause is mended)
  POST /api/dead-letters/{id}/redrive starts its event again and removes it; answers {"execution"}, whose outcome
                                      follows under that name
  DELETE /api/dead-letters/{id}       forgets it
  GET  /api/executions                {"executions"}: under way and lately finished, newest first
       ?q=TEXT&status=S&record=R      q: part of a name, a record id or an event id; status: RUNNING, SUCCEEDED,
       &limit=N                       FAILED, TIMED_OUT, Deferred or a kind of outcome; record: id or object/id;
                                      one that ended Deferred goes on at due, code and cause say why
  GET  /api/executions/{name}         one execution: each state's input, output, attempts, error and times
  GET  /api/why/{object}/{id}         what is known of a record and what would happen next
  GET  /api/parked [?client=C]        what waits for a person, by record: {"parked":[{"record","why"}]}; reads the whole
                                      table; 404 where the server is another client's than C
  POST /api/resync/{object}/{id}      looks at one record again: fields that the loop breaker has parked travel, a
       [?client=C]                    record parked without a partner is looked for, what the mass-change guard has
                                      stopped of it follows; answers {"freed": names}, 404 where the server is
                                      another client's than C
  POST /api/poll                      polls every polled object now; answers {"started"}
  POST /api/reconcile                 asks the objects that deliver webhooks what changed, for deliveries that
                                      were lost; answers {"started"}
  GET  /api/backfill                  what a backfill goes through, in order: {"steps":[{"pair","system"}]}
  POST /api/backfill/{pair}/{system}  tells of one page of all records of a pair on hubspot or destination,
       ?cursor=C                      changed or not; answers {"started","dropped","cursor","more"}: while more,
                                      go on with that cursor
  POST /api/simulate                  {"spec": ..., "records": [{"system","object","id"}]}: how each record's next
                                      event would fare under that spec; at most 50 records, nothing is written
  GET  /healthz                       200 and the text ok, no JSON, once the server serves

A script that delivers something waits until status says quiet and then reads outcomes from the last "next" on. Each
process tells of its own executions, also where several share a table. Values of fields that the spec marks as
sensitive are shown as fingerprints.`

// handler routes webhooks, the API and the console.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		mux.HandleFunc("POST /webhooks/"+string(sys), func(w http.ResponseWriter, r *http.Request) { s.webhook(w, r, sys) })
	}
	mux.HandleFunc("/webhooks/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "no deliveries are taken here so", r.Method+" "+r.URL.Path, "POST them to "+s.WebhookURL(record.HubSpot)+" or "+s.WebhookURL(record.Destination))
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	own := http.NewServeMux()
	own.HandleFunc("GET /api/status", s.status)
	own.HandleFunc("GET /api/outcomes", s.listOutcomes)
	own.HandleFunc("GET /api/dead-letters", s.listDeadLetters)
	own.HandleFunc("POST /api/dead-letters/{id}/redrive", s.redrive)
	own.HandleFunc("DELETE /api/dead-letters/{id}", s.remove)
	own.HandleFunc("GET /api/executions", s.listExecutions)
	own.HandleFunc("GET /api/executions/{name}", s.trace)
	own.HandleFunc("GET /api/why/{object}/{id}", s.why)
	own.HandleFunc("GET /api/parked", s.parked)
	own.HandleFunc("POST /api/resync/{object}/{id}", s.resync)
	own.HandleFunc("POST /api/poll", s.pollNow)
	own.HandleFunc("POST /api/reconcile", s.reconcileNow)
	own.HandleFunc("GET /api/backfill", s.backfillSteps)
	own.HandleFunc("POST /api/backfill/{pair}/{system}", s.backfill)
	own.HandleFunc("POST /api/simulate", s.simulate)
	own.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "there is no such address or method", r.Method+" "+r.URL.Path, "see tandem run -h for the API")
	})
	own.Handle("/", console.New(console.Options{
		Engine: s.engine, Asker: s.asker, Links: s.o.Links, Spec: s.ingress.Flow.Spec, Status: func() any { return s.Status() },
		Parked: s.ingress.Flow.Ledger.Parked,
	}))
	mux.Handle("/", s.guard(own))
	return mux
}

// guard keeps other sites' pages from using the API and the console through a
// person's browser: by a form or script (Sec-Fetch-Site, Origin) or by a name of
// their own that resolves to this address.
func (s *Server) guard(next http.Handler) http.Handler {
	crossing := http.NewCrossOriginProtection()
	crossing.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusForbidden, "another site's page must not do this", r.URL.Path, "open "+s.URL()+" itself, or leave Origin and Sec-Fetch-Site out")
	}))
	protected := crossing.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.named(r.Host) {
			refuse(w, http.StatusMisdirectedRequest, "this server is not called that", r.Host, "use "+s.URL())
			return
		}
		protected.ServeHTTP(w, r)
	})
}

// named accepts addresses and the server's own names.
func (s *Server) named(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	public, err := url.Parse(s.public)
	return name == "localhost" || net.ParseIP(strings.Trim(name, "[]")) != nil || err == nil && name == public.Hostname()
}

// webhook hands one delivery to the flow.
func (s *Server) webhook(w http.ResponseWriter, r *http.Request, sys record.System) {
	s.receiving.Add(1)
	defer s.receiving.Add(-1)
	where := "POST " + r.URL.Path
	if r.ContentLength > flow.MaxBody+heardOut {
		w.Header().Set("Connection", "close")
		refuse(w, http.StatusRequestEntityTooLarge, "the body is larger than 1 MiB", where, "send fewer events in one delivery")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, flow.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(heardFor))
		_, _ = io.CopyN(io.Discard, r.Body, heardOut)
		refuse(w, http.StatusRequestEntityTooLarge, "the body is larger than 1 MiB", where, "send fewer events in one delivery")
		return
	case err != nil:
		refuse(w, http.StatusBadRequest, "the body ended early", where, "send it again")
		return
	}
	d := flow.Delivery{Method: r.Method, URL: s.WebhookURL(sys), Header: map[string]string{}, Body: body, At: time.Now()}
	for name, values := range r.Header {
		d.Header[strings.ToLower(name)] = values[0]
	}
	answer := s.ingress.Deliver(r.Context(), sys, d)
	if answer.Status == http.StatusUnauthorized && s.o.Refused != nil {
		s.o.Refused()
	}
	write(w, answer.Status, answer)
}

// heardOut is how much of a body that is too large is read and forgotten, and
// heardFor how long that may take: most senders read no answer before they have
// sent everything, and would only see their connection break.
const (
	heardOut = 15 << 20
	heardFor = 2 * time.Second
)

// Status is what the server is doing.
type Status struct {
	engine.Status
	Receiving int64 `json:"receiving"`
	Polling   int64 `json:"polling"`
	// Quiet: no delivery, poll or execution is under way in this process, and no
	// event waits for another execution.
	Quiet bool `json:"quiet"`
}

// Status reports the present state. Deliveries and polls are counted before
// executions, since they turn into them.
func (s *Server) Status() Status {
	st := Status{Receiving: s.receiving.Load(), Polling: s.polling.Load()}
	st.Status = s.engine.Status()
	st.Quiet = st.Receiving+st.Polling == 0 && st.InFlight+st.Queued+st.Deferred == 0
	return st
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) { write(w, http.StatusOK, s.Status()) }

func (s *Server) listOutcomes(w http.ResponseWriter, r *http.Request) {
	since, limit, ok := page(w, r)
	if !ok {
		return
	}
	list, err := s.engine.Outcomes(since, limit)
	if err != nil {
		s.broken(w, r, err)
		return
	}
	if len(list) > 0 {
		since = list[len(list)-1].Cursor
	}
	write(w, http.StatusOK, map[string]any{"outcomes": list, "next": since})
}

func (s *Server) listDeadLetters(w http.ResponseWriter, r *http.Request) {
	since, limit, ok := page(w, r)
	if !ok {
		return
	}
	list, err := s.engine.DeadLetters(r.Context(), since, limit)
	if err != nil {
		s.broken(w, r, err)
		return
	}
	if len(list) > 0 {
		since = list[len(list)-1].Cursor
	}
	write(w, http.StatusOK, map[string]any{"deadLetters": list, "next": since})
}

// page reads the parameters since and limit.
func page(w http.ResponseWriter, r *http.Request) (since uint64, limit int, ok bool) {
	since, limit = 0, 1000
	var err error
	if text := r.FormValue("since"); text != "" {
		if since, err = strconv.ParseUint(text, 10, 64); err != nil {
			refuse(w, http.StatusBadRequest, "since is not a cursor", r.URL.Path, "use a cursor that this API answered, or leave it out")
			return 0, 0, false
		}
	}
	if text := r.FormValue("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > 1000 {
			refuse(w, http.StatusBadRequest, "limit is not a number from 1 to 1000", r.URL.Path, "correct it or leave it out")
			return 0, 0, false
		}
	}
	return since, limit, true
}

// parked lists what waits for a person.
func (s *Server) parked(w http.ResponseWriter, r *http.Request) {
	if !s.answersFor(w, r) {
		return
	}
	all, err := s.ingress.Flow.Ledger.Parked(r.Context())
	if err != nil {
		refuse(w, http.StatusBadGateway, err.Error(), r.URL.Path, "send the same request again in a moment")
		return
	}
	write(w, http.StatusOK, map[string][]ledger.ParkedRecord{"parked": append([]ledger.ParkedRecord{}, all...)})
}

// answersFor refuses a request that is meant for another client's server.
func (s *Server) answersFor(w http.ResponseWriter, r *http.Request) bool {
	client, own := r.FormValue("client"), s.ingress.Flow.Spec.Client
	if client == "" || client == own {
		return true
	}
	refuse(w, http.StatusNotFound, "the server answers for client "+own+", not "+client, r.URL.Path, "name another with --addr")
	return false
}

func (s *Server) redrive(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err == nil {
		var name string
		if name, err = s.engine.Redrive(r.Context(), id); err == nil {
			write(w, http.StatusOK, map[string]string{"execution": name})
			return
		}
	}
	s.letterError(w, r, err)
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err == nil {
		if err = s.engine.Remove(r.Context(), id); err == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	s.letterError(w, r, err)
}

func (s *Server) letterError(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, engine.ErrUnknown) || errors.Is(err, strconv.ErrSyntax) || errors.Is(err, strconv.ErrRange) {
		refuse(w, http.StatusNotFound, "there is no such dead letter (any more)", r.URL.Path, "tandem redrive or GET /api/dead-letters lists them")
		return
	}
	s.broken(w, r, err)
}

func (s *Server) listExecutions(w http.ResponseWriter, r *http.Request) {
	_, limit, ok := page(w, r)
	if !ok {
		return
	}
	f := engine.Filter{Text: r.FormValue("q"), Status: r.FormValue("status"), Record: r.FormValue("record"), Limit: limit}
	if f.Status != "" && !slices.ContainsFunc(engine.Statuses, func(s string) bool { return strings.EqualFold(s, f.Status) }) {
		refuse(w, http.StatusBadRequest, "there is no status "+f.Status, r.URL.Path, "use one of "+strings.Join(engine.Statuses, ", "))
		return
	}
	write(w, http.StatusOK, map[string]any{"executions": s.engine.Executions(f)})
}

func (s *Server) trace(w http.ResponseWriter, r *http.Request) {
	t, err := s.engine.Trace(r.PathValue("name"))
	switch {
	case errors.Is(err, engine.ErrUnknown):
		refuse(w, http.StatusNotFound, "there is no such execution, or its trace is no longer kept", r.URL.Path, "list them with GET /api/executions")
	case err != nil:
		s.broken(w, r, err)
	default:
		write(w, http.StatusOK, t)
	}
}

func (s *Server) why(w http.ResponseWriter, r *http.Request) {
	pair, ref, err := why.Find(s.ingress.Flow.Spec, r.PathValue("object"), r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusNotFound, err.Error(), r.URL.Path, "use one of them")
		return
	}
	report, err := s.asker.Ask(r.Context(), pair, ref)
	if err != nil {
		s.broken(w, r, err)
		return
	}
	write(w, http.StatusOK, report)
}

func (s *Server) pollNow(w http.ResponseWriter, r *http.Request) {
	started, err := s.Poll(r.Context())
	answerSweep(w, r, started, err)
}

func answerSweep(w http.ResponseWriter, r *http.Request, started int, err error) {
	if err != nil {
		refuse(w, http.StatusBadGateway, err.Error(), r.URL.Path, "see whether the system answers; "+strconv.Itoa(started)+" executions were started")
		return
	}
	write(w, http.StatusOK, map[string]int{"started": started})
}

// broken answers a failure of the server itself.
func (s *Server) broken(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	if errors.Is(err, engine.ErrFull) || errors.Is(err, engine.ErrClosed) {
		status = http.StatusServiceUnavailable
	}
	s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	refuse(w, status, err.Error(), r.Method+" "+r.URL.Path, "try again; the server's log has more")
}

func refuse(w http.ResponseWriter, status int, what, where, next string) {
	write(w, status, map[string]string{"error": what, "where": where, "do": next})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // The caller may be gone; nobody else is to be told.
}
