package beat

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"tandem/internal/flow"
	"tandem/spec"
)

// Options says who reports, and to where.
type Options struct {
	Client    string
	Handler   string
	Direction spec.Direction
	// Interval is what the handler promises: a beat at least this often. 0 is
	// for a handler that only runs when there is work.
	Interval time.Duration
	// Every is the shortest time between two beats; Interval or a minute when 0.
	Every time.Duration
	// URL is the Centre's ingest address. With an empty URL nothing is sent.
	URL string
	// Secret is the client's beat secret, at least 16 bytes.
	Secret string
	// Prices is what events cost; nil when that is not known.
	Prices Prices
	// Timeout bounds one attempt to send; 2 seconds when 0.
	Timeout time.Duration
	HTTP    *http.Client
	Now     func() time.Time
	Log     *slog.Logger
}

// resendFor is how long an unanswered beat is sent again under its nonce. The
// Centre remembers nonces for longer (centre.nonceLife), so that a beat whose
// answer was lost is counted once; afterwards its counts join the next one.
const resendFor = 30 * time.Minute

// Reporter sums what a handler does and sends it on. Its methods are safe for
// concurrent use, return at once, and work on a nil Reporter, which reports nothing.
type Reporter struct {
	o        Options
	key      []byte
	instance string

	mu      sync.Mutex
	next    Beat      // the counts since the last beat was sealed
	pending *Beat     // sealed, and not yet answered
	sealed  time.Time // when pending was sealed
	last    time.Time // when an attempt to send last began
	sending chan struct{}
	seq     int64
	nanos   int64 // of the cost, what does not make a millionth yet
}

// New makes a Reporter. It refuses names outside the closed sets and a secret
// that is too short to sign with.
func New(o Options) (*Reporter, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{CheckRedirect: noRedirect}
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Every == 0 {
		o.Every = o.Interval
	}
	if o.Every == 0 {
		o.Every = time.Minute
	}
	r := &Reporter{o: o, instance: random(), last: o.Now(), sending: make(chan struct{}, 1)}
	sample := Beat{Client: o.Client, Handler: o.Handler, Direction: o.Direction, Interval: int(o.Interval / time.Second),
		Instance: r.instance, Nonce: r.instance, Seq: 1}
	if err := sample.Validate(); err != nil {
		return nil, fmt.Errorf("beat reporter: %w", err)
	}
	if o.URL == "" {
		return r, nil
	}
	var err error
	r.key, err = Key(o.Secret, o.Client)
	return r, err
}

// A redirect would carry the beat to an address nobody configured.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Event counts an event that arrived for a direction.
func (r *Reporter) Event(d spec.Direction) {
	r.count(d, func(w *Way) {
		w.Events++
		w.LastEvent = r.o.Now().UTC()
	})
}

// Outcome counts how an event ended, why where that was no stamp, and the time
// since it arrived. A cause outside the closed set is counted as Other.
func (r *Reporter) Outcome(d spec.Direction, k Kind, c Cause, latency time.Duration) {
	if !slices.Contains(Kinds, k) {
		return
	}
	r.count(d, func(w *Way) {
		add(&w.Outcomes, k, 1)
		w.Latency.Add(latency)
		r.spend(r.o.Prices[d].of(k))
		if k == Stamped {
			return
		}
		if w.Causes == nil {
			w.Causes = map[Kind]map[Cause]int{}
		}
		m := w.Causes[k]
		add(&m, Known(c), 1)
		w.Causes[k] = m
	})
}

func (r *Reporter) count(d spec.Direction, change func(*Way)) {
	if !validDirection(d) {
		return
	}
	r.change(func(b *Beat) {
		if b.Ways == nil {
			b.Ways = map[spec.Direction]*Way{}
		}
		if b.Ways[d] == nil {
			b.Ways[d] = &Way{}
		}
		change(b.Ways[d])
	})
}

// Error counts a failure, whether or not it will be retried.
func (r *Reporter) Error(c flow.Code) {
	r.change(func(b *Beat) { add(&b.Errors, flow.Code(Known(Cause(c))), 1) })
}

// Signal counts something a person should hear of.
func (r *Reporter) Signal(s Signal) {
	if slices.Contains(Signals, s) {
		r.change(func(b *Beat) { add(&b.Signals, s, 1) })
	}
}

// Checked stores the answers of a self-check for the next beat.
func (r *Reporter) Checked(c []Check) { r.change(func(b *Beat) { b.Checks = c }) }

// Budget stores the newest reading of HubSpot's daily budget.
func (r *Reporter) Budget(used, limit int) {
	r.change(func(b *Beat) { b.API = &API{Used: used, Limit: limit} })
}

// Waiting stores how many dead letters wait for a person now.
func (r *Reporter) Waiting(n int) { r.change(func(b *Beat) { b.Waiting = &n }) }

// Writes stores which deployment this is and which portal it writes to.
func (r *Reporter) Writes(portal, deployment string) {
	r.change(func(b *Beat) { b.Writer = &Writer{Portal: portal, Deployment: deployment} })
}

// spend adds to the cost, in billionths of a US dollar. The caller holds mu.
func (r *Reporter) spend(nanos int64) {
	r.nanos += nanos
	r.next.CostMicros += r.nanos / 1000
	r.nanos %= 1000
}

func (r *Reporter) change(f func(*Beat)) {
	if r == nil {
		return
	}
	r.mu.Lock()
	f(&r.next)
	r.mu.Unlock()
	if r.Due() {
		r.background()
	}
}

// Due reports whether a beat may be sent now. A runtime that is frozen between
// invocations can ask it after it has answered, and Flush before it freezes.
func (r *Reporter) Due() bool {
	if r == nil || r.key == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.o.Now().Sub(r.last) >= r.o.Every
}

// background starts sending unless a send is under way already.
func (r *Reporter) background() {
	select {
	case r.sending <- struct{}{}:
	default:
		return
	}
	go func() {
		defer func() { <-r.sending }()
		r.logged(r.send(context.Background()))
	}()
}

// Flush sends what has been counted, even when that is nothing, and waits for
// the answer: at the end of a process, and from a scheduled beat.
func (r *Reporter) Flush(ctx context.Context) error {
	if r == nil || r.key == nil {
		return nil
	}
	select {
	case r.sending <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.sending }()
	return r.send(ctx)
}

// Run sends a beat every interval until ctx ends, then a last one. It is for
// processes that live longer than a record.
func (r *Reporter) Run(ctx context.Context) {
	if r == nil {
		return
	}
	t := time.NewTicker(r.o.Every)
	defer t.Stop()
	for ctx.Err() == nil {
		r.logged(r.Flush(ctx))
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	r.logged(r.Flush(context.WithoutCancel(ctx)))
}

func (r *Reporter) logged(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		r.o.Log.Warn("beat not delivered; it is sent again with the next", "client", r.o.Client, "handler", r.o.Handler, "error", err.Error())
	}
}

// send delivers the pending beat, or seals a new one. Only the holder of
// r.sending calls it.
func (r *Reporter) send(ctx context.Context) error {
	b := r.seal()
	body, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("encode beat: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	if err := r.post(ctx, b.Nonce, body); err != nil {
		return err
	}
	r.mu.Lock()
	r.pending = nil
	r.mu.Unlock()
	return nil
}

func (r *Reporter) seal() *Beat {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.o.Now().UTC()
	r.last = now
	if r.pending != nil && now.Sub(r.sealed) < resendFor {
		return r.pending
	}
	b := r.next
	if r.pending != nil {
		b = merge(*r.pending, b)
	}
	r.seq++
	b.Client, b.Handler, b.Direction, b.Interval = r.o.Client, r.o.Handler, r.o.Direction, int(r.o.Interval/time.Second)
	b.Instance, b.Seq, b.Nonce, b.SentAt = r.instance, r.seq, random(), now
	r.next, r.pending, r.sealed = Beat{}, &b, now
	return &b
}

func (r *Reporter) post(ctx context.Context, nonce string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.o.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("the Centre's URL is not valid")
	}
	req.Header.Set("Content-Type", "application/json")
	Sign(req.Header, r.key, r.o.Client, nonce, r.o.Now(), body)
	res, err := r.o.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("post beat: %w", err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 4<<10))
	// 409 says that this nonce was counted before: the first answer was lost.
	if res.StatusCode/100 == 2 || res.StatusCode == http.StatusConflict {
		return nil
	}
	return fmt.Errorf("the Centre answered %d", res.StatusCode)
}

func random() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never returns an error
	return hex.EncodeToString(b[:])
}
