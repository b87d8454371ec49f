package limit

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// Wrap puts a limiter in front of a remote: one permit per call. A remote whose
// calls send several requests is better served by Transport.
func Wrap(r flow.Remote, l *Limiter) flow.Remote { return remote{r, l} }

// remote is a flow.Remote within a budget. Abilities passes through.
type remote struct {
	flow.Remote
	limit *Limiter
}

// paced makes one call within the budget and feeds its error back.
func paced[T any](ctx context.Context, l *Limiter, call func() (T, error)) (T, error) {
	if err := l.Wait(ctx); err != nil {
		var none T
		return none, err
	}
	out, err := call()
	return out, l.Observe(ctx, err)
}

func (r remote) Read(ctx context.Context, object, id string, properties []string) (record.Record, error) {
	return paced(ctx, r.limit, func() (record.Record, error) { return r.Remote.Read(ctx, object, id, properties) })
}

func (r remote) Create(ctx context.Context, object string, fields record.Fields, externalID, key string) (record.Record, error) {
	return paced(ctx, r.limit, func() (record.Record, error) { return r.Remote.Create(ctx, object, fields, externalID, key) })
}

func (r remote) Update(ctx context.Context, object, id string, fields record.Fields, etag string) (record.Record, error) {
	return paced(ctx, r.limit, func() (record.Record, error) { return r.Remote.Update(ctx, object, id, fields, etag) })
}

func (r remote) Find(ctx context.Context, object, property, value string, properties []string) (found []record.Record, consistent bool, err error) {
	found, err = paced(ctx, r.limit, func() (found []record.Record, err error) {
		found, consistent, err = r.Remote.Find(ctx, object, property, value, properties)
		return found, err
	})
	return found, consistent, err
}

func (r remote) Archive(ctx context.Context, object, id string) error {
	_, err := paced(ctx, r.limit, func() (struct{}, error) { return struct{}{}, r.Remote.Archive(ctx, object, id) })
	return err
}

// WrapChanges does for polls what Wrap does for records. Polls count as live.
func WrapChanges(c flow.Changes, l *Limiter) flow.Changes { return changes{c, l} }

type changes struct {
	flow.Changes
	limit *Limiter
}

func (c changes) Changed(ctx context.Context, object, cursor string) (refs []flow.ChangedRecord, next string, more bool, err error) {
	refs, err = paced(ctx, c.limit, func() (refs []flow.ChangedRecord, err error) {
		refs, next, more, err = c.Changes.Changed(ctx, object, cursor)
		return refs, err
	})
	return refs, next, more, err
}

// Transport puts a limiter in front of every single HTTP request. A wait that
// belongs to the machine comes out of the client as the *flow.Error in the chain
// of its error.
func Transport(base http.RoundTripper, l *Limiter) http.RoundTripper { return transport{base, l} }

type transport struct {
	base  http.RoundTripper
	limit *Limiter
}

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := t.limit.Wait(r.Context()); err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper must close it, also when it sends nothing
		}
		return nil, err
	}
	resp, err := t.base.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusTooManyRequests {
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		_ = t.limit.Throttled(context.WithoutCancel(r.Context()), time.Duration(max(seconds, 0))*time.Second)
	}
	return resp, err
}
