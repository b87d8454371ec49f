package doors_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/hubspot"
	"tandem/internal/local"
	"tandem/internal/record"
	"tandem/internal/simulator/erp"
	"tandem/internal/simulator/portal"
	"tandem/spec"
)

var secrets = local.Secrets{
	"hubspot-token": {"hub-token"}, "hubspot-client-secret": {"hub-secret"},
	"destination-token": {"dest-token"}, "destination-client-secret": {"dest-secret"},
}

// rig is the two simulated systems on loopback; a door stands between them.
type rig struct {
	t         *testing.T
	spec      *spec.Spec
	portal    *portal.Portal
	company   *erp.Company
	hub, dest *httptest.Server
	recording atomic.Bool

	mu     sync.Mutex
	writes []string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	s, err := spec.Load("../../spec/acme/integration-spec.json")
	if err != nil {
		t.Fatal(err)
	}
	// These two systems have no limit, and an index that shows the present.
	s.HubSpot.RateLimit, s.Destination.RateLimit = spec.RateLimit{}, spec.RateLimit{}
	s.HubSpot.SearchLag.Duration = time.Millisecond
	r := &rig{t: t, spec: s, portal: portal.New(portal.Options{}), company: erp.New(erp.Usual(), nil, nil)}
	r.portal.DefineFor(s)
	r.hub = httptest.NewServer(r.watch("hubspot", r.portal.Handler()))
	r.dest = httptest.NewServer(r.watch("destination", erp.Handler(r.company, "dest-token")))
	t.Cleanup(func() { r.hub.Close(); r.dest.Close() })
	return r
}

var noise = regexp.MustCompile(`"objectWriteTraceId":"[^"]*",?`)

// watch writes down every request that may change something.
func (r *rig) watch(name string, to http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		q.Body = io.NopCloser(bytes.NewReader(body))
		rec := httptest.NewRecorder()
		to.ServeHTTP(rec, q)
		reads := q.Method == http.MethodGet || strings.HasSuffix(q.URL.Path, "/search") || strings.HasSuffix(q.URL.Path, "/batch/read")
		if r.recording.Load() && !reads {
			line := fmt.Sprintf("%s %s %s %s %d", name, q.Method, q.URL.RequestURI(), noise.ReplaceAll(body, nil), rec.Code)
			r.mu.Lock()
			r.writes = append(r.writes, line)
			r.mu.Unlock()
		}
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
}

func (r *rig) written() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.writes...)
}

// deed is one thing that somebody did before the delivery. A record that does
// not exist yet is made under the id that is named.
type deed struct {
	System record.System     `json:"system"`
	Object string            `json:"object"`
	ID     string            `json:"id"`
	Set    map[string]string `json:"set"`
	// Links are associations that a new record begins with, as object/id.
	Links []string `json:"links"`
	// Archive deletes the record, Restore brings it back; Merge makes ID out of two others.
	Archive bool     `json:"archive"`
	Restore bool     `json:"restore"`
	Merge   []string `json:"merge"`
	// Busy makes the destination answer so many patches with 429.
	Busy int `json:"busy"`
	// Down makes it answer a patch with 503, and so many reads after it.
	Down int `json:"down"`
	// Tell lets the integration hear of the record, so that it is linked.
	Tell bool `json:"tell"`
}

func (r *rig) prepare(before []byte, open session) {
	r.t.Helper()
	var deeds []deed
	if err := json.Unmarshal(before, &deeds); err != nil {
		r.t.Fatalf("0-before.json: %v", err)
	}
	for i, d := range deeds {
		err := r.do(d, open)
		if err != nil {
			r.t.Fatalf("0-before.json, deed %d: %v", i, err)
		}
		time.Sleep(2 * time.Millisecond) // HubSpot's versions are milliseconds
	}
}

func (r *rig) do(d deed, open session) (err error) {
	switch hub := d.System == record.HubSpot; {
	case d.Tell:
		return r.tell(d, open)
	case d.Busy > 0:
		return r.company.Inject(erp.Fault{Kind: erp.Throttle, Method: http.MethodPatch, Times: d.Busy})
	case d.Down > 0:
		return errors.Join(r.company.Inject(erp.Fault{Kind: erp.Busy, Method: http.MethodPatch}),
			r.company.Inject(erp.Fault{Kind: erp.Busy, Method: http.MethodGet, Times: d.Down}))
	case len(d.Merge) == 2:
		if err = r.next(d); err == nil {
			_, err = r.portal.Merge(portal.Person, d.Object, d.Merge[0], d.Merge[1])
		}
	case hub && d.Archive:
		err = r.portal.Archive(portal.Person, d.Object, d.ID)
	case hub && d.Restore:
		err = r.portal.Restore(portal.Person, d.Object, d.ID)
	case hub && r.lives(d):
		_, err = r.portal.Update(portal.Person, d.Object, d.ID, "", d.Set)
	case hub:
		if err = r.next(d); err == nil {
			_, err = r.portal.Create(portal.Person, d.Object, d.Set, d.links()...)
		}
	case d.Archive:
		err = r.company.Delete(d.Object, d.ID, 0)
	default:
		err = r.enter(d)
	}
	return err
}

func (d deed) links() (out []portal.NewLink) {
	for _, l := range d.Links {
		object, id, _ := strings.Cut(l, "/")
		out = append(out, portal.NewLink{Object: object, ID: id})
	}
	return out
}

func (r *rig) lives(d deed) bool {
	_, err := r.portal.Read(d.Object, d.ID, portal.ReadOptions{})
	return err == nil
}

// next makes the portal's next id the one that a run was recorded with.
func (r *rig) next(d deed) error {
	file := filepath.Join(r.t.TempDir(), "next")
	n, err := strconv.ParseInt(d.ID, 10, 64)
	if err != nil {
		return err
	}
	state := fmt.Sprintf(`{"objects":{%q:{"next":%d}}}`, d.Object, n)
	if err := os.WriteFile(file, []byte(state), 0o600); err != nil {
		return err
	}
	return r.portal.LoadFile(file)
}

// enter makes or edits a record of the company.
func (r *rig) enter(d deed) error {
	fields := map[string]any{}
	for name, text := range d.Set {
		fields[name] = text
	}
	if _, err := r.company.Get(d.Object, d.ID); err == nil {
		_, err = r.company.Update(d.Object, d.ID, fields, 0)
		return err
	}
	rec, err := r.company.Create(d.Object, fields)
	if err == nil && rec.ID != d.ID {
		err = fmt.Errorf("the company made %s, the run says %s", rec.ID, d.ID)
	}
	return err
}

// tell delivers an event of a record; it is to be linked or dropped, no more.
func (r *rig) tell(d deed, open session) error {
	var body string
	if d.System == record.HubSpot {
		kind := map[string]string{"contacts": "contact", "companies": "company", "deals": "deal"}[d.Object]
		body = fmt.Sprintf(`[{"eventId":1,"subscriptionId":1,"portalId":%s,"appId":%s,"occurredAt":1782371969000,"subscriptionType":"%s.creation","attemptNumber":0,"objectId":%s,"changeFlag":"CREATED"}]`,
			r.spec.HubSpot.PortalID, r.spec.HubSpot.AppID, kind, d.ID)
	} else {
		body = fmt.Sprintf(`{"events":[{"id":"e0","object":%q,"record_id":%q,"action":"created","at":"2026-06-25T07:19:29Z"}]}`, strings.TrimSuffix(d.Object, "s"), d.ID)
	}
	if status := open.deliver(d.System, []byte(body)); status != http.StatusOK {
		return fmt.Errorf("answered %d", status)
	}
	for _, j := range open.journeys() {
		if j.outcome != "stamped" {
			return fmt.Errorf("%s ended %s", j.record, j.outcome)
		}
	}
	return nil
}

// signed makes a request out of a body the way its sender signs it.
func signed(sys record.System, url string, body []byte) flow.Delivery {
	d := flow.Delivery{Method: http.MethodPost, URL: url, Header: map[string]string{"content-type": "application/json"}, Body: body, At: time.Now()}
	if sys == record.HubSpot {
		stamp := strconv.FormatInt(d.At.UnixMilli(), 10)
		d.Header[hubspot.TimestampHeader] = stamp
		d.Header[hubspot.SignatureHeader] = hubspot.Sign("hub-secret", d.Method, url, body, stamp)
		return d
	}
	for name, value := range erp.Sign("dest-secret", body, d.At) {
		d.Header[strings.ToLower(name)] = value
	}
	return d
}
