// Package portal simulates a HubSpot portal with the habits of the real one:
// the date-versioned CRM API, unique e-mails, a search index that lags, merges
// that make a new id, one event per property, and every kind of refusal.
//
// A Portal is a deterministic core: it starts no goroutine and reads no clock
// or random source but those in its Options, so the same calls give the same
// answers and events. Around it are thin shells: Handler (the HTTP API and a
// page for people), Deliverer (signed webhooks, in real time) and Remote (the
// real HubSpot client over the handler, in process). It is for tests and for
// trying an integration on one machine; it is no reference for HubSpot.
package portal

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Options set up a portal. The zero value is usable.
type Options struct {
	// PortalID and AppID are the account and the app that tokens stand for.
	PortalID, AppID int64
	// Now and Rand are the only sources of time and chance; the wall clock and a
	// fixed seed when nil.
	Now  func() time.Time
	Rand *rand.Rand
	// SearchLag is how long search shows the past.
	SearchLag time.Duration
	// Tokens maps bearer tokens to the app that uses them; when empty every
	// token is the app AppID's.
	Tokens map[string]int64
	// RateLimit is how many calls each app has in 10 s, and switches on search's
	// 5 per second; 0 is no limit. HubSpot's is 190.
	RateLimit int
	// Duplicates and Clashes are the chances that an event comes twice, and that
	// it repeats another event's id.
	Duplicates, Clashes float64
	// MergeDeletes sends a deletion event for each merged-away id.
	MergeDeletes bool
	// MergeUntold keeps hs_merged_object_ids out of answers.
	MergeUntold bool
	// Webhooks is the app's webhooks-hsmeta.json; without it every event is sent,
	// in the classic form (contact.creation).
	Webhooks []byte
	// Sleep waits out a slow answer; nil answers at once.
	Sleep func(time.Duration)
}

// By says who makes a change, as events and records tell it.
type By struct {
	Source string `json:"source"`
	ID     string `json:"id"`
}

// Person is somebody who edits in HubSpot's own pages.
var Person = By{Source: "CRM_UI", ID: "userId:864745280"}

// App is an integration that writes through the API.
func App(id int64) By { return By{Source: "INTEGRATION", ID: strconv.FormatInt(id, 10)} }

// Portal is one simulated account. It is safe for concurrent use.
type Portal struct {
	mu      sync.Mutex
	o       Options
	objects map[string]*store
	links   map[linkKey][]link
	subs    subscriptions
	pending []Event
	handed  map[uint64][]Event // by delivery: what is being delivered
	tokens  uint64
	lastID  int64 // the event id that a clashing event repeats
	faults  []Fault
	hook    func(Op) Fault
	calls   map[int64][]int64 // by app: instants of the calls of the last 10 s
	finds   []int64           // instants of the searches of the last second
	today   int               // calls counted against the daily limit
	changes uint64
	wake    chan struct{}
}

// New makes a portal with HubSpot's standard objects and no records. It panics
// when Webhooks is not a webhooks-hsmeta.json, which is a programming error.
func New(o Options) *Portal {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.New(rand.NewPCG(1, 2))
	}
	if o.PortalID == 0 {
		o.PortalID = 48975575
	}
	if o.AppID == 0 {
		o.AppID = 39522895
	}
	p := &Portal{
		o: o, objects: map[string]*store{}, links: map[linkKey][]link{}, subs: readSubscriptions(o.Webhooks),
		calls: map[int64][]int64{}, handed: map[uint64][]Event{}, wake: make(chan struct{}, 1),
	}
	for object, properties := range standard {
		p.Define(object, properties...)
	}
	return p
}

// PortalID is the account's id.
func (p *Portal) PortalID() int64 { return p.o.PortalID }

// AppID is the id of the app that unlisted tokens stand for.
func (p *Portal) AppID() int64 { return p.o.AppID }

// Changes counts the changes made so far: who saves the portal can tell
// whether there is anything new.
func (p *Portal) Changes() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changes
}

// Objects lists the object types in order.
func (p *Portal) Objects() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for name := range p.objects {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (p *Portal) nowMs() int64 { return p.o.Now().UnixMilli() }

// store holds the records of one object type. Ids are unique within it only.
type store struct {
	name    string
	next    int64
	records map[string]*entry
	order   []string          // live and archived ids, in order of creation
	alias   map[string]string // merged-away id to the record that lives on
	defs    map[string]Property
	taken   map[string]map[string]string // unique property, folded value, id
}

// firstID has 13 digits, as real ids have, and is the same for every type.
const firstID = 508369434001

func newStore(name string) *store {
	return &store{
		name: name, next: firstID, records: map[string]*entry{}, alias: map[string]string{},
		defs: map[string]Property{}, taken: map[string]map[string]string{},
	}
}

// resolve finds a record by id; a merged-away id finds the survivor.
func (s *store) resolve(id string) *entry {
	for range 100 { // Merges of merges are followed; a cycle cannot be built.
		if next, merged := s.alias[id]; merged {
			id = next
			continue
		}
		break
	}
	return s.records[id]
}

// entry is one record. Props is replaced, never changed, so that snapshots and
// answers may share it.
type entry struct {
	ID       string            `json:"id"`
	Props    map[string]string `json:"properties"`
	Created  int64             `json:"created"`
	Updated  int64             `json:"updated"`
	Archived int64             `json:"archived,omitempty"` // when, 0 while live
	Origin   By                `json:"origin"`
	Last     By                `json:"last"`
	past     []snapshot        // what search has shown, oldest first
}

type snapshot struct {
	at      int64
	props   map[string]string
	updated int64
}

// touch moves the last-modified instant, which grows with every change.
func (p *Portal) touch(e *entry, by By) {
	e.Updated, e.Last = max(p.nowMs(), e.Updated+1), by
	p.changes++
}

// index remembers what search will show once the lag has passed.
func (p *Portal) index(e *entry) {
	if p.o.SearchLag <= 0 {
		return
	}
	now := p.nowMs()
	visible := now - p.o.SearchLag.Milliseconds()
	for len(e.past) > 1 && e.past[1].at <= visible {
		e.past = e.past[1:]
	}
	e.past = append(e.past, snapshot{now, e.Props, e.Updated})
}

// indexed is a record as search shows it now; false when it does not yet.
func (p *Portal) indexed(e *entry) (entry, bool) {
	shown := *e
	if p.o.SearchLag <= 0 || len(e.past) == 0 {
		return shown, true
	}
	visible := p.nowMs() - p.o.SearchLag.Milliseconds()
	for _, past := range slices.Backward(e.past) {
		if past.at <= visible {
			shown.Props, shown.Updated = past.props, past.updated
			return shown, true
		}
	}
	return shown, false
}
