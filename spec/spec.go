// Package spec is what is synced, as data: one integration-spec.json per client
// wires a HubSpot portal and a destination, both directions.
//
// The package loads a spec (errors name the file, the JSON path and what is
// allowed there) and checks it: because the formulas are a closed set the
// checker decides, for every two-way field, whether it can lose data or loop,
// before anything is deployed. It knows nothing of networks or stores, and a
// spec never holds a secret, only the names secrets are kept under.
package spec

import (
	"encoding/json"
	"strings"
	"time"

	"tandem/internal/record"
)

// Direction names one way through the integration; it is also the name of its
// state machine.
type Direction string

// The two directions.
const (
	ToDestination Direction = "hubspot-to-destination"
	ToHubSpot     Direction = "destination-to-hubspot"
)

// Source is the system a direction reads from.
func (d Direction) Source() record.System {
	if d == ToHubSpot {
		return record.Destination
	}
	return record.HubSpot
}

// Target is the system a direction writes to.
func (d Direction) Target() record.System { return d.Source().Other() }

// From returns the direction that reads from s.
func From(s record.System) Direction {
	if s == record.Destination {
		return ToHubSpot
	}
	return ToDestination
}

// Duration is a time.Duration written as Go text ("30s", "5m") in JSON.
type Duration struct{ time.Duration }

// UnmarshalJSON reads the text form.
func (d *Duration) UnmarshalJSON(b []byte) (err error) {
	var s string
	if err = json.Unmarshal(b, &s); err == nil {
		d.Duration, err = time.ParseDuration(s)
	}
	return err
}

// MarshalJSON writes the text form.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// Spec is one client's integration. Hash identifies its content.
type Spec struct {
	Schema      string      `json:"$schema,omitempty"`
	Client      string      `json:"client"`
	HubSpot     HubSpot     `json:"hubspot"`
	Destination Destination `json:"destination"`
	Pairs       []Pair      `json:"pairs"`
	Guards      Guards      `json:"guards,omitzero"`
	Trace       Trace       `json:"trace,omitzero"`
	Canary      *Canary     `json:"canary,omitempty"`
	// Hash is the first 12 hex digits of the SHA-256 of the file's canonical JSON.
	Hash string `json:"-"`
}

// HubSpot says which portal, and how its API and webhooks are used.
type HubSpot struct {
	PortalID string `json:"portalId"`
	AppID    string `json:"appId,omitempty"`
	// BaseURL is where the API answers; https://api.hubapi.com when empty.
	BaseURL string `json:"baseUrl,omitempty"`
	// Auth defaults to a bearer token from /{client}/hubspot-token.
	Auth      Auth      `json:"auth,omitzero"`
	RateLimit RateLimit `json:"rateLimit,omitzero"`
	// SearchLag is how long a new record may stay invisible to search; 10s when zero.
	SearchLag Duration `json:"searchLag,omitzero"`
}

// Auth says how requests to a system are authorised. Secret names are
// parameters under /{client}/, never values.
type Auth struct {
	// Kind is bearer, basic, header or oauth2 (client credentials).
	Kind string `json:"kind,omitempty"`
	// Secret is the parameter's last name, such as "erp-token".
	Secret string `json:"secret,omitempty"`
	// Username is for basic, Header for header, the rest for oauth2.
	Username string   `json:"username,omitempty"`
	Header   string   `json:"header,omitempty"`
	TokenURL string   `json:"tokenUrl,omitempty"`
	ClientID string   `json:"clientId,omitempty"`
	Scopes   []string `json:"scopes,omitempty"`
	// ClientAuth is basic (the default) or post, for token endpoints that take
	// the client's secret in the form only. Parameters are added to the form, such
	// as an audience.
	ClientAuth string            `json:"clientAuth,omitempty"`
	Parameters map[string]string `json:"parameters,omitempty"`
}

// RateLimit is a budget shared by every worker and both directions.
type RateLimit struct {
	// Requests per Per; Burst is how many may come at once (Requests when zero).
	Requests int      `json:"requests,omitempty"`
	Per      Duration `json:"per,omitzero"`
	Burst    int      `json:"burst,omitempty"`
	// LiveShare is the percentage reserved for live traffic over backfill.
	LiveShare int `json:"liveShare,omitempty"`
}

// Destination describes the other system. With Kind rest (the default)
// everything an adapter needs is in Objects.
type Destination struct {
	Name      string            `json:"name"`
	Kind      string            `json:"kind,omitempty"`
	BaseURL   string            `json:"baseUrl,omitempty"`
	Auth      Auth              `json:"auth,omitzero"`
	RateLimit RateLimit         `json:"rateLimit,omitzero"`
	SearchLag Duration          `json:"searchLag,omitzero"`
	Timeout   Duration          `json:"timeout,omitzero"`
	Headers   map[string]string `json:"headers,omitempty"`
	Webhook   *Webhook          `json:"webhook,omitempty"`
	Objects   map[string]Object `json:"objects"`
	Errors    []ErrorRule       `json:"errors,omitempty"`
}

// Webhook says how the destination signs what it sends and where an event's
// parts stand in the body (JSON paths, see Object).
type Webhook struct {
	// Scheme is hmac-sha256-hex, hmac-sha256-base64, stripe, standard-webhooks or
	// ed25519.
	Scheme string `json:"scheme"`
	// Header carries the signature, Prefix stands before it ("sha256=").
	Header          string   `json:"header,omitempty"`
	Prefix          string   `json:"prefix,omitempty"`
	TimestampHeader string   `json:"timestampHeader,omitempty"`
	Tolerance       Duration `json:"tolerance,omitzero"`
	Secret          string   `json:"secret,omitempty"` // parameter name, default "destination-client-secret"
	// Events is the path of the array of events; empty when the body is one event.
	Events string `json:"events,omitempty"`
	// ID, Object, Record, Action and At are paths within one event. Object's text
	// is looked up among the values of Objects[..].Event (or their names).
	ID     string `json:"id,omitempty"`
	Object string `json:"object,omitempty"`
	Record string `json:"record"`
	Action string `json:"action,omitempty"`
	At     string `json:"at,omitempty"`
	// ObjectHeader and ActionHeader are used by systems that say them in a header.
	ObjectHeader string `json:"objectHeader,omitempty"`
	ActionHeader string `json:"actionHeader,omitempty"`
	// Deleted lists the texts of Action that mean the record was deleted.
	Deleted []string `json:"deleted,omitempty"`
}

// Object tells how one kind of record is reached over REST. Paths may hold
// {id}, {field}, {value}, {cursor}, {since}; JSON paths are dotted names
// ("data.items", "meta.id"), where an empty path is the whole body.
type Object struct {
	// Event is the webhook's word for this object, its name when empty.
	Event   string `json:"event,omitempty"`
	Create  Call   `json:"create,omitzero"`
	Read    Call   `json:"read"`
	Update  Call   `json:"update,omitzero"`
	Upsert  *Call  `json:"upsert,omitempty"` // by ExternalID of the pair's side
	Delete  *Call  `json:"delete,omitempty"`
	Restore *Call  `json:"restore,omitempty"`
	// Find has pages where {cursor} stands in it, or where the List's are links: they
	// follow one another as the List's do and are of its size. Without, one is read.
	Find *Call `json:"find,omitempty"`
	List *List `json:"list,omitempty"`
	// ID, Version, CreatedAt and UpdatedAt are JSON paths in a record; Archived
	// names a boolean or a non-empty field that marks a record as deleted; no, n, f,
	// off, null, none, a zero and a zero date are no mark. With CreatedAt and a List
	// since a time, what a create whose answer was lost has made is found again
	// without any match field.
	ID        string `json:"id"`
	Version   string `json:"version,omitempty"`
	CreatedAt string `json:"createdAt,omitempty"`
	UpdatedAt string `json:"updatedAt,omitempty"`
	Archived  string `json:"archived,omitempty"`
	// TimeFormat is a Go layout of CreatedAt and UpdatedAt, read as UTC where it has
	// no zone; needed for times that are neither RFC 3339 (a blank for the T, or no
	// zone, will do) nor a number of seconds or milliseconds since 1970.
	TimeFormat string `json:"timeFormat,omitempty"`
	// Fields is the path below which the mapped fields stand, in answers and requests.
	Fields string `json:"fields,omitempty"`
	// Blank says how a cleared field is sent: null (the default), or empty for a
	// system that leaves a field alone when it is null.
	Blank string `json:"blank,omitempty"`
	// Absent says what a field means that an answer leaves out: unknown (the default),
	// or blank for a system whose answers leave out only blank fields.
	Absent string `json:"absent,omitempty"`
	// Conditional is etag when If-Match with the ETag header (or the version) is
	// honoured, required when a write of an existing record is refused without it.
	Conditional string `json:"conditional,omitempty"`
	// IdempotencyHeader is sent with creates when the system offers one.
	IdempotencyHeader string `json:"idempotencyHeader,omitempty"`
	// Unique lists fields the system itself keeps unique (a create with a taken
	// value is refused).
	Unique []string `json:"unique,omitempty"`
}

// Call is one REST call. Result is the JSON path of the record (or of the list,
// for find) in the answer; Wrap is the path below which the request body stands.
type Call struct {
	Method string            `json:"method,omitempty"`
	Path   string            `json:"path"`
	Query  map[string]string `json:"query,omitempty"`
	Result string            `json:"result,omitempty"`
	Wrap   string            `json:"wrap,omitempty"`
}

// List tells how to page through records changed since an instant.
type List struct {
	Call
	// Paging is cursor, page, offset or link.
	Paging string `json:"paging,omitempty"`
	// Next is the JSON path of the next cursor.
	Next string `json:"next,omitempty"`
	// Size is how many records a full page really holds: a sweep by page or offset
	// ends at a shorter one, when zero at an empty one.
	Size int `json:"size,omitempty"`
	// Since is the query parameter (or template, "updated_at>={since}") that limits by time.
	Since string `json:"since,omitempty"`
	// SinceFormat is rfc3339 (default), unix, unixms or a Go layout.
	SinceFormat string   `json:"sinceFormat,omitempty"`
	Overlap     Duration `json:"overlap,omitzero"`
	// DeletesEvery is how often a polled system that does not mark deleted records
	// is asked for all of them, to find which are gone; never when zero.
	DeletesEvery Duration `json:"deletesEvery,omitzero"`
}

// ErrorRule classifies an answer before the defaults do.
type ErrorRule struct {
	Status   int    `json:"status"`
	Contains string `json:"contains,omitempty"`
	// Class is retry, permanent, conflict, missing or throttled.
	Class string `json:"class"`
}

// TellsCreated reports whether what was created since an instant can be listed.
func (o Object) TellsCreated() bool { return o.CreatedAt != "" && o.List != nil && o.List.tellsSince() }

// tellsDeleted reports whether a poll can see deletions.
func (o Object) tellsDeleted() bool {
	return o.Archived != "" || o.List != nil && o.List.DeletesEvery.Duration > 0
}

// tellsSince reports whether the list can be limited to what changed since an instant.
func (l *List) tellsSince() bool {
	text := l.Path
	for _, v := range l.Query {
		text += v
	}
	return l.Since != "" || strings.Contains(text, "{since}")
}

// Guards bound what may happen without a person.
type Guards struct {
	// Deletes is how many deletions per hour and direction pass (20 when zero).
	Deletes int `json:"deletes,omitempty"`
	// Clears is how many field clearings per hour and direction pass (200 when zero).
	Clears int `json:"clears,omitempty"`
	// Alternations is the loop breaker's budget per pair and field (4 when zero)
	// within Window (15m when zero). All fields of a pair together have 16 times that
	// within 4 windows.
	Alternations int      `json:"alternations,omitempty"`
	Window       Duration `json:"window,omitzero"`
	// ClockSkew bounds how far the two systems' clocks are trusted under the
	// newest policy (2s when zero); within it HubSpot wins and the loser is recorded.
	ClockSkew Duration `json:"clockSkew,omitzero"`
}

// Trace sets how much of each execution is kept.
type Trace struct {
	// Level is ALL (default) or ERROR.
	Level         string `json:"level,omitempty"`
	RetentionDays int    `json:"retentionDays,omitempty"`
	XRay          bool   `json:"xray,omitempty"`
}

// Canary names one linked record that exists for watching only: each scheduled
// beat writes a new text into it on one side, and its arrival on the other side
// proves that data flows, from the webhook or poll to the stamp.
type Canary struct {
	// Pair is the pair's name, Record the record's id in HubSpot.
	Pair   string `json:"pair"`
	Record string `json:"record"`
	// ToDestination and ToHubSpot name the field that is written on the side that
	// direction reads from; empty when that direction is not tried. They differ:
	// one field written on both sides in turn is what the loop breaker stops.
	ToDestination string `json:"toDestination,omitempty"`
	ToHubSpot     string `json:"toHubSpot,omitempty"`
	// Within is how long the text may take (2m when zero).
	Within Duration `json:"within,omitzero"`
}

// Field names the field that is tried in direction d, "" for none.
func (c Canary) Field(d Direction) string {
	if d == ToHubSpot {
		return c.ToHubSpot
	}
	return c.ToDestination
}

// PairByName finds a pair.
func (s *Spec) PairByName(name string) (Pair, bool) {
	for _, p := range s.Pairs {
		if p.Name == name {
			return p, true
		}
	}
	return Pair{}, false
}

// PairByObject finds the pair in which sys's object type is object.
func (s *Spec) PairByObject(sys record.System, object string) (Pair, bool) {
	for _, p := range s.Pairs {
		if p.Side(sys).Object == object {
			return p, true
		}
	}
	return Pair{}, false
}
