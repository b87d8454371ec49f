package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"tandem/internal/cloud/names"
	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/spec"
)

func backfillCommand(ctx context.Context, e *env, args []string) error {
	f := e.flags("backfill", "[flags] [CLIENT]",
		"Tells of every record of both systems once, parents first: records that exist on both sides are matched and\n"+
			"linked, others are created, ambiguous ones parked. It may be interrupted and repeated: what is in step is not\n"+
			"written. Of a running tandem run, or, with CLIENT, of a deployment on AWS.")
	address := f.String("addr", "", "the `address` of a running tandem run (TANDEM_ADDR, "+defaultListen+")")
	only := f.String("pair", "", "only this `pair` of the spec")
	from := f.String("from", "", "only records of this `system`, hubspot or destination")
	pace := f.Float64("pace", 5, "on AWS: records a second")
	specFile := f.String("spec", "", "on AWS: the client's spec `file`; spec/CLIENT/integration-spec.json")
	named, err := mixed(f, args)
	switch {
	case err != nil:
		return err
	case len(named) > 1:
		return misused("name one client, or none for a running tandem run")
	case *from != "" && *from != string(record.HubSpot) && *from != string(record.Destination):
		return misused("--from is hubspot or destination")
	case *pace <= 0:
		return misused("--pace is a number of records a second")
	}
	var to source = running{addressOf(e, *address)}
	if len(named) == 1 {
		if to, err = e.deployed(named[0], *specFile, *pace); err != nil {
			return err
		}
	}
	steps, err := to.steps(ctx)
	if err != nil {
		return err
	}
	chosen, there := 0, []string{}
	for _, s := range steps {
		there = append(there, s.Pair+" of "+string(s.System))
		if (*only == "" || s.Pair == *only) && (*from == "" || string(s.System) == *from) {
			chosen++
			if err := backfill(ctx, e, to, s); err != nil {
				return fmt.Errorf("%s of %s: %w", s.Pair, s.System, err)
			}
		}
	}
	if chosen == 0 {
		return misused("the spec has no pair %s of %s that can be listed; it has %s", cmp.Or(*only, "at all"), cmp.Or(*from, "either system"), strings.Join(there, ", "))
	}
	return nil
}

// source is where a backfill is asked for, page by page.
type source interface {
	steps(ctx context.Context) ([]flow.BackfillStep, error)
	page(ctx context.Context, s flow.BackfillStep, cursor string) (names.Swept, error)
	// settle waits until another page is welcome.
	settle(ctx context.Context, last names.Swept) error
}

// backfill goes through the pages of one step, telling how far it has come.
func backfill(ctx context.Context, e *env, to source, s flow.BackfillStep) error {
	started, dropped, cursor := 0, 0, ""
	for {
		p, err := to.page(ctx, s, cursor)
		if err != nil {
			return err
		}
		started, dropped = started+p.Started, dropped+p.Dropped
		if _, err := fmt.Fprintf(e.out, "%-14s %-12s %6d started, %6d already in step\n", s.Pair, s.System, started, dropped); err != nil {
			return err
		}
		if err := to.settle(ctx, p); err != nil || !p.More {
			return err
		}
		cursor = p.Cursor
	}
}

// running is a server that was started with tandem run.
type running struct{ server }

func (l running) steps(ctx context.Context) ([]flow.BackfillStep, error) {
	var answer struct{ Steps []flow.BackfillStep }
	return answer.Steps, l.call(ctx, "GET", "/api/backfill", &answer)
}

func (l running) page(ctx context.Context, s flow.BackfillStep, cursor string) (p names.Swept, err error) {
	return p, l.call(ctx, "POST", "/api/backfill/"+url.PathEscape(s.Pair)+"/"+string(s.System)+"?cursor="+url.QueryEscape(cursor), &p)
}

// ahead is how many executions may wait when the next page is asked for.
const ahead = 50

func (l running) settle(ctx context.Context, last names.Swept) error {
	for {
		var st struct{ InFlight, Queued int }
		if err := l.call(ctx, "GET", "/api/status", &st); err != nil || st.Queued < ahead {
			return err
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// onAWS is a deployment; its functions that poll or compare list the records.
type onAWS struct {
	*deployment
	pace float64
}

func (e *env) deployed(client, specFile string, pace float64) (source, error) {
	d, err := e.deployment(client, specFile)
	if err != nil {
		return nil, err
	}
	if err := d.connect(e); err != nil {
		return nil, misused("%w; without CLIENT a running tandem run is asked", err)
	}
	return onAWS{d, pace}, nil
}

func (a onAWS) steps(context.Context) ([]flow.BackfillStep, error) {
	return flow.BackfillSteps(a.spec), nil
}

func (a onAWS) page(ctx context.Context, s flow.BackfillStep, cursor string) (p names.Swept, err error) {
	pair, _ := a.spec.PairByName(s.Pair)
	name, _ := sweeper(a.spec, pair, s.System)
	return p, a.invoke(ctx, name, names.Tick{Pair: s.Pair, All: true, Cursor: cursor}, &p)
}

func (a onAWS) settle(ctx context.Context, last names.Swept) error {
	return pause(ctx, time.Duration(float64(last.Started)/a.pace*float64(time.Second)))
}

// sweeper is the function of a deployment that reads a pair's records of a system by
// itself; false if it has none.
func sweeper(s *spec.Spec, pair spec.Pair, sys record.System) (string, bool) {
	d := spec.From(sys)
	polled := func(p spec.Pair) bool { return p.Side(sys).Trigger == "poll" }
	name := s.Client + "-" + string(d)
	switch {
	case polled(pair):
		return name + "-poll", true
	case len(flow.Reconciled(s, d))+len(flow.Woken(s, d)) > 0:
		return name + "-reconcile", true
	}
	return name + "-poll", slices.ContainsFunc(s.Pairs, polled)
}
