package destination

import (
	"context"
	"slices"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// maxRecent bounds how many pages are read to find what was created in a span.
const maxRecent = 50

// Created implements flow.Recents: of what changed since from it keeps what was
// created from then on and not after until. A record cannot be created without
// having changed.
func (c *Client) Created(ctx context.Context, name string, from, until time.Time, properties []string) (made []record.Record, err error) {
	o, err := c.object(name)
	if err != nil {
		return nil, err
	}
	for n, page := 0, ""; n == 0 || page != ""; n++ {
		if n == maxRecent {
			return nil, flow.Errorf(flow.RemoteRefused, "%d pages of %s changed since a create lost its answer; it is to be looked up by hand", n, name)
		}
		var a *answer
		if a, page, err = c.page(ctx, o, from, page); err != nil {
			return nil, err
		}
		for _, item := range list(a.body) {
			at, err := o.time(a, item, "createdAt", o.CreatedAt)
			if err != nil {
				return nil, err
			}
			if at.Before(from.Truncate(time.Second)) || at.After(until) {
				continue
			}
			r, err := c.whole(ctx, o, a, item, properties)
			if err != nil {
				return nil, err
			}
			if !slices.ContainsFunc(made, func(m record.Record) bool { return m.ID == r.ID }) {
				made = append(made, r)
			}
		}
	}
	return made, nil
}

// whole reads a listed item; one that leaves out a property is read by its id.
func (c *Client) whole(ctx context.Context, o *object, a *answer, item any, properties []string) (record.Record, error) {
	a.etag = "" // the list's, not the record's
	r, err := o.record(a, item, properties)
	if err != nil || len(r.Fields) == len(properties) {
		return r, err
	}
	return c.Read(ctx, o.name, r.ID, properties)
}
