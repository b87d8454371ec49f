package simulation

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"tandem/internal/asl"
	"tandem/internal/destination"
	"tandem/internal/flow"
	"tandem/internal/hubspot"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/simulator/erp"
	"tandem/internal/simulator/portal"
	"tandem/internal/table"
	"tandem/internal/table/embedded"
	"tandem/spec"
	"tandem/statemachines"
)

// Secrets and addresses of every simulated world.
const (
	hubSecret, destSecret = "hubspot client secret", "destination client secret"
	hubURL, destURL       = "https://tandem.example/webhooks/hubspot", "https://tandem.example/webhooks/destination"
	ourToken, otherToken  = "token-of-tandem", "token-of-a-person"
)

// Variant breaks the protocol on purpose; the zero Variant is the real one.
type Variant struct {
	Name string
	// Table and Remote wrap what the flow gets; either may be nil.
	Table  func(table.Table) table.Table
	Remote func(record.System, flow.Remote) flow.Remote
	// Crowded: people do nothing but make records without a match value, many at a
	// time on both sides, so that nothing but claims tells what was made for which.
	Crowded bool
	// Step replaces one step of the flow.
	Step func(f *flow.Flow, ctx context.Context, step string, s flow.State) (any, error)
}

// run is one seed's world with the integration in it.
type run struct {
	*world
	spec     *spec.Spec
	older    *spec.Spec // what was in operation before it
	deployed time.Time  // when it took over
	variant  Variant
	hub      *portal.Portal
	erp      *erp.Company
	handlers map[record.System]http.Handler
	remotes  map[record.System]flow.Remote // as the flow uses them: faulty
	calm     map[record.System]flow.Remote // for looking, without faults
	table    table.Table                   // without faults
	lost     table.Table                   // what conflicts have ever lost
	flow     *flow.Flow
	ingress  *flow.Ingress
	machines map[spec.Direction]*asl.Machine
	poller   flow.Changes
	changes  map[record.System]flow.Changes // of both, as no variant breaks them

	outage     outage
	careless   bool          // people enter values without a translation, too
	mends      bool          // and somebody puts them right in the end
	deaf       bool          // deliveries are lost, and both systems are asked what has changed
	tidying    bool          // people mostly merge, swap, delete, restore and erase
	deletes    bool          // a merge is told as a deletion of the merged ones, too
	untold     bool          // a merged record does not tell what was merged into it
	terse      bool          // the destination's answers to writes do not show the record
	skew       time.Duration // how far the destination's clock is ahead
	tick       time.Duration // how exactly the destination tells times
	said       bytes.Buffer  // what operators read: the log, and how executions ended
	inFlight   int
	executions int
	ended      map[string]int // how executions ended
	letters    []letter
	written    []record.Ref // what requests of ours that a system carried out wrote to
	edits      []edit
	onePortal  bool // another integration brings edits of its own to HubSpot
	past       map[place][]moment
	known      map[record.System]map[string][]string // object -> ids
	foreign    map[record.Ref]bool                   // made by somebody else
	told       []delivered
	misses     []miss
	merged     map[string][]string // HubSpot id -> the ids that were merged into it
	removed    []removal
	archived   map[record.Ref]time.Time // deleted by us
	restored   map[record.Ref]time.Time
	wanted     map[keyOf]time.Time // when somebody outside last made a record with that key, or restored it
}

// letter is one dead letter.
type letter struct {
	input json.RawMessage
	state flow.State
	code  string
	cause string
}

var machines = func() map[spec.Direction]*asl.Machine {
	out := map[spec.Direction]*asl.Machine{}
	for _, name := range statemachines.Names() {
		m, err := asl.Parse(statemachines.Definition(name))
		if err != nil {
			panic(err)
		}
		out[spec.Direction(name)] = m
	}
	return out
}()

// plain is a client whose systems help with nothing: no unique external ids, no
// unique fields, and a destination that finds new records late. With blind 1 the
// destination has no conditional writes either, with 2 no versions, and times of whole seconds.
func plain(s *spec.Spec, blind int) *spec.Spec {
	c := *s
	c.Pairs = slices.Clone(s.Pairs)
	for i := range c.Pairs {
		c.Pairs[i].HubSpot.ExternalID, c.Pairs[i].Destination.ExternalID = "", ""
	}
	c.Destination.Objects = maps.Clone(s.Destination.Objects)
	for name, o := range c.Destination.Objects {
		o.Upsert, o.Unique = nil, nil
		if name != "orders" && blind > 0 { // a poll would tell of no edit that was overwritten
			o.Conditional = ""
		}
		if blind > 1 {
			o.Version = ""
		}
		c.Destination.Objects[name] = o
	}
	c.Destination.SearchLag.Duration = findLag
	return &c
}

// omitting is a client whose destination leaves blank fields out of its answers.
func omitting(s *spec.Spec) *spec.Spec {
	c := *s
	c.Destination.Objects = maps.Clone(s.Destination.Objects)
	for name, o := range c.Destination.Objects {
		o.Absent = "blank"
		c.Destination.Objects[name] = o
	}
	return &c
}

// findLag is how long a plain destination takes to find a new record.
const findLag = 3 * time.Second

func newRun(s *spec.Spec, seed uint64, v Variant, keep bool) (*run, error) {
	w := newWorld(seed, keep)
	helpless := seed%3 == 0
	if helpless {
		s = plain(s, int(seed/3%3))
	}
	omits := seed/2%4 == 1
	if omits {
		s = omitting(s)
		w.counts["blank fields left out"]++
	}
	r := &run{
		world: w, spec: s, variant: v, machines: machines, ended: map[string]int{}, past: map[place][]moment{}, merged: map[string][]string{}, wanted: map[keyOf]time.Time{}, restored: map[record.Ref]time.Time{}, archived: map[record.Ref]time.Time{},
		foreign: map[record.Ref]bool{}, known: map[record.System]map[string][]string{record.HubSpot: {}, record.Destination: {}},
		handlers: map[record.System]http.Handler{},
	}
	r.older = s
	if seed/23%4 == 1 && !v.Crowded {
		r.older, r.spec = revised(s, int(seed%7))
	}
	r.deletes, r.untold, r.tidying = seed/7%4 == 1, seed/5%3 == 1, seed/11%6 == 1
	r.deaf = seed/19%4 == 1
	r.careless, r.mends = seed/17%4 == 1, seed/17%8 == 1
	if r.bad = seed/13%6 == 1; r.bad {
		w.counts["bad network"]++
	}
	r.hub = portal.New(portal.Options{
		Now: r.clock, Rand: w.rng, SearchLag: s.HubSpot.SearchLag.Duration, Duplicates: 0.05, Clashes: 0.02, MergeDeletes: r.deletes, MergeUntold: r.untold,
	})
	r.hub.DefineFor(s)
	habits := erp.Usual()
	habits.Duplicates, habits.Shuffles, habits.Trim = 0.05, 0.2, seed%2 == 0
	r.skew = []time.Duration{0, 0, 10 * time.Minute, -10 * time.Minute}[seed/9%4]
	habits.Skew, habits.Omits = r.skew, omits
	habits.Terse, habits.Tagged = seed/11%8 == 1, seed/11%8 == 2
	r.terse = habits.Terse || habits.Tagged
	if r.tick = time.Millisecond; helpless {
		habits.Unique, habits.FindLag = nil, findLag
		if habits.Seconds = seed/3%3 == 2; habits.Seconds {
			r.tick = time.Second
		}
	}
	r.erp = erp.New(habits, r.clock, w.rng)
	r.handlers[record.HubSpot], r.handlers[record.Destination] = r.hub.Handler(), erp.Handler(r.erp, ourToken)
	if err := r.wire(); err != nil {
		return nil, err
	}
	return r, nil
}

// wire builds the integration the way the lambdas do, over this world's network, and
// what the judge looks with.
func (r *run) wire() (err error) {
	if r.table, err = embedded.Open("", r.clock); err != nil {
		return err
	}
	if r.lost, err = embedded.Open("", r.clock); err != nil {
		return err
	}
	if r.calm, _, err = r.clients(r.spec, false); err != nil {
		return err
	}
	return r.release(r.older)
}

func (r *run) clock() time.Time { return r.now }

// release puts a spec into operation, in the middle of whatever is under way.
func (r *run) release(s *spec.Spec) (err error) {
	if r.remotes, r.changes, err = r.clients(s, true); err != nil {
		return err
	}
	r.poller = r.changes[record.Destination]
	var used table.Table = &shaky{w: r.world, in: r.table, lost: r.lost}
	if r.variant.Table != nil {
		used = r.variant.Table(used)
	}
	secrets := func(s record.System) ([]string, error) {
		if s == record.HubSpot {
			return []string{hubSecret}, nil
		}
		return []string{destSecret}, nil
	}
	r.flow, err = flow.New(flow.Options{
		Spec: s, Remotes: r.remotes, Now: r.clock, Log: slog.New(slog.NewTextHandler(&r.said, nil)), Seals: &flow.Sealer{Secrets: secrets},
		Ledger: &ledger.Ledger{Table: used, Client: s.Client, Now: r.clock},
	})
	if err != nil {
		return err
	}
	hubReceiver, err := hubspot.NewReceiver(func() []string { return []string{hubSecret} }, s.HubSpot.PortalID, hubspot.PropertyTypes(s), r.clock)
	if err != nil {
		return err
	}
	destReceiver, err := destination.NewReceiver(s, destSecret)
	if err != nil {
		return err
	}
	r.ingress = &flow.Ingress{Flow: r.flow, Lanes: 1, Starter: r, Receivers: map[record.System]flow.Receiver{record.HubSpot: hubReceiver, record.Destination: destReceiver}}
	return nil
}

// clients builds the two adapters, over a faulty or over a calm network.
func (r *run) clients(s *spec.Spec, faulty bool) (map[record.System]flow.Remote, map[record.System]flow.Changes, error) {
	over := func(s record.System) *http.Client {
		if faulty {
			return &http.Client{Transport: &network{w: r.world, system: s, to: r.handlers[s], wrote: r.wrote(s), deletes: r.lastMoment(s),
				down: func(ctx context.Context, req *http.Request) (*http.Response, error) { return r.down(ctx, s, req) }}}
		}
		return &http.Client{Transport: direct{r.handlers[s]}}
	}
	o := hubspot.OptionsFor(s)
	o.BaseURL, o.HTTP, o.Now = "https://hubspot.example", over(record.HubSpot), r.clock
	o.Token = func(context.Context) (string, error) { return ourToken, nil }
	hub, err := hubspot.New(o)
	if err != nil {
		return nil, nil, err
	}
	dest, err := destination.New(s, destination.Options{
		HTTP: over(record.Destination), Now: r.clock, Secrets: func(string) (string, error) { return ourToken, nil },
	})
	if err != nil {
		return nil, nil, err
	}
	remotes := map[record.System]flow.Remote{record.HubSpot: hub, record.Destination: dest}
	if faulty && r.variant.Remote != nil {
		for s, remote := range remotes {
			remotes[s] = r.variant.Remote(s, remote)
		}
	}
	return remotes, map[record.System]flow.Changes{record.HubSpot: hub, record.Destination: dest}, nil
}

// direct carries requests without any fault or delay.
type direct struct{ to http.Handler }

// RoundTrip implements http.RoundTripper.
func (d direct) RoundTrip(req *http.Request) (*http.Response, error) {
	in := req.Clone(context.Background())
	in.RequestURI = req.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	d.to.ServeHTTP(rec, in)
	return rec.Result(), nil
}

// writes reports whether a request may change something.
func writes(req *http.Request) bool {
	return req.Method != http.MethodGet && !strings.HasSuffix(req.URL.Path, "/search") && !strings.HasSuffix(req.URL.Path, "/batch/read")
}

// wrote looks at what changed whenever a request of ours was carried out.
func (r *run) wrote(s record.System) func(*http.Request, []byte, int) {
	return func(req *http.Request, _ []byte, status int) {
		if status >= 300 || !writes(req) {
			return
		}
		ref := r.target(s, req)
		if r.written = append(r.written, ref); deletes(req) {
			r.archived[ref] = r.now
		}
		r.observe(s, true)
		if r.terse && s == record.Destination && req.Method == http.MethodPatch {
			r.edited(ref, 0.1, "edited just after we wrote it")
		}
	}
}

const associations = "/associations/"

// deletes reports whether a request deletes a record, and not what one refers to.
func deletes(req *http.Request) bool {
	return req.Method == http.MethodDelete && !strings.Contains(req.URL.Path, associations)
}

// target names the record that a request writes to; one without an id makes it.
func (r *run) target(s record.System, req *http.Request) record.Ref {
	path, _, _ := strings.Cut(req.URL.Path, associations) // the record's own, not those it refers to
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for _, p := range r.spec.Pairs {
		if i := slices.Index(parts, p.Side(s).Object); i >= 0 {
			return record.Ref{System: s, Object: parts[i], ID: strings.Join(parts[i+1:], "/")}
		}
	}
	return record.Ref{System: s, ID: req.URL.Path}
}
