// Package centre is the Notification Centre: it takes the beats of all clients'
// handlers (package beat), calls a handler down when it falls silent, tells
// Slack once per change, and shows every integration on one page.
//
// It is not in any record's way: handlers never wait for it. It holds no field's
// value: what it stores and sends are counts, instants and words of closed sets.
package centre

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"tandem/internal/table"
	"tandem/spec"
)

// Names of the secrets the Centre asks for. BeatSecret stands under each
// client's own prefix, so that a client's lambdas read only their own.
const (
	BeatSecret  = "/%s/beat-secret"
	SlackSecret = "/centre/slack-webhook" // the incoming webhook's URL
	LoginSecret = "/centre/login"         // what opens the dashboard
)

// Secrets reads one secret by its name. It should cache: it is asked for every request.
type Secrets func(ctx context.Context, name string) (string, error)

// Options says what a Centre works with.
type Options struct {
	Table   table.Table
	Secrets Secrets
	// Slack sends messages; a client over SlackSecret when nil.
	Slack Messenger
	Now   func() time.Time
	// URL is where the dashboard is reached, for links in messages.
	URL string
	// Console gives the link to a direction's state machine in the AWS console,
	// "" where there is none. It may be nil.
	Console func(client, direction string) string
	// Expect lists the handlers that are deployed and promise beats, so that one
	// that never sends a first beat is missed as well. It may be empty.
	Expect []Expected
	// Outcomes answers for single records. It may be nil: then the pages say so.
	Outcomes Outcomes
	// Plain lets the dashboard be served over plain HTTP, on loopback only:
	// browsers then refuse a cookie that asks for TLS.
	Plain bool
	Log   *slog.Logger
}

// Expected is a handler that is deployed, and how often it promises a beat.
type Expected struct {
	Client    string
	Handler   string
	Direction spec.Direction
	Interval  time.Duration
}

// Messenger delivers one message or returns an error; *SlackError says when to
// try again.
type Messenger interface {
	Send(ctx context.Context, m Message) error
}

// Centre is one agency's Notification Centre.
type Centre struct {
	o     Options
	flood *limiter
	pages *pages

	mu      sync.Mutex
	cache   map[table.Key]cached // decoded states by row
	refused int                  // beats refused and not yet written down
	noted   time.Time            // when refusals were last written down
}

// New makes a Centre.
func New(o Options) (*Centre, error) {
	if o.Table == nil || o.Secrets == nil {
		return nil, errors.New("centre: Options.Table and Options.Secrets are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Slack == nil {
		o.Slack = &Slack{URL: func(ctx context.Context) (string, error) { return o.Secrets(ctx, SlackSecret) }, HTTP: &http.Client{Timeout: 5 * time.Second}}
	}
	p, err := newPages()
	if err != nil {
		return nil, err
	}
	return &Centre{o: o, pages: p, flood: newLimiter(50, 200), cache: map[table.Key]cached{}}, nil
}
