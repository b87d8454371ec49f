package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"tandem/internal/cost"
	"tandem/internal/local"
	"tandem/internal/local/console"
	"tandem/internal/local/lookout"
	"tandem/internal/local/writers"
)

// watched is a server and the Notification Centre beside it, nil when it is off.
type watched struct {
	*local.Server
	centre *lookout.Lookout
	o      local.Options
	data   string
}

// openWatched opens the Centre and then the server, whose console links to it.
func openWatched(ctx context.Context, e *env, o *runOptions, lo local.Options) (*watched, error) {
	w := &watched{o: lo, data: o.data}
	if o.centre != "off" {
		prices, err := cost.Prices(lo.Spec)
		if err != nil {
			lo.Log.Debug("the Notification Centre shows no cost", "error", err)
		}
		l, err := lookout.Open(lookout.Options{
			Client: lo.Spec.Client, Dir: filepath.Join(o.data, "centre"), Listen: o.centre, SlackURL: e.getenv("TANDEM_SLACK_URL"),
			ReportURL: e.getenv("TANDEM_CENTRE_URL"), ReportSecret: e.getenv("TANDEM_CENTRE_SECRET"), Prices: prices, Log: lo.Log,
		})
		if err != nil {
			return nil, usage{err}
		}
		w.centre, lo.Ended, lo.Postponed, lo.Refused = l, l.Ended, l.Postponed, l.Refused
		lo.Links = append(slices.Clone(lo.Links), console.Link{Name: "Notification Centre", URL: l.URL() + "/"})
	}
	var err error
	if w.Server, err = openServer(ctx, e, o, lo); err != nil {
		if w.centre != nil {
			err = errors.Join(err, w.centre.Close())
		}
		return nil, err
	}
	if w.centre != nil {
		w.centre.Attach(w.Server)
	}
	return w, nil
}

// Run runs both until ctx ends. The Centre ends last, so that the last outcomes
// are counted; its failure leaves the server running.
func (w *watched) Run(ctx context.Context) error {
	around, blind := context.WithCancel(ctx)
	var lonely sync.WaitGroup
	lonely.Go(func() { w.lookAround(around) })
	defer lonely.Wait()
	defer blind()
	if w.centre == nil {
		return w.Server.Run(ctx)
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- w.centre.Run(watching) }()
	err := w.Server.Run(ctx)
	stop()
	return errors.Join(err, <-ended)
}

// lookAround warns of another server on this machine that writes to the same
// portal from a table of its own, until ctx ends. Where signs cannot be kept, it
// does without.
func (w *watched) lookAround(ctx context.Context) {
	sign, err := w.sign(ctx)
	if err != nil {
		w.o.Log.Debug("a second writer on this machine will not be noticed", "error", err)
		return
	}
	defer sign.Close()
	var known []string
	for t := time.NewTicker(writers.Life / 3); ctx.Err() == nil; {
		others, _ := sign.Others(time.Now())
		for _, other := range others {
			if !slices.Contains(known, other) {
				w.o.Log.Warn("another server writes to the same HubSpot portal from a table of its own: stop one, they undo each other's work",
					"portal", w.o.Spec.HubSpot.PortalID, "other", other)
				if w.centre != nil {
					w.centre.SecondWriter()
				}
			}
		}
		known = others
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}

func (w *watched) sign(ctx context.Context) (*writers.Sign, error) {
	dir, err := writers.Dir()
	if err != nil {
		return nil, err
	}
	deployment, err := w.Deployment(ctx)
	if err != nil {
		return nil, err
	}
	data, err := filepath.Abs(w.data)
	if err != nil {
		return nil, err
	}
	portal := cmp.Or(w.o.HubSpotURL, w.o.Spec.HubSpot.BaseURL) + " " + w.o.Spec.HubSpot.PortalID
	return writers.Open(dir, portal, deployment, fmt.Sprintf("process %d with --data %s", os.Getpid(), data))
}

// login tells how to log in: in the sandbox the secret itself, else its file.
func (w *watched) login(sandboxed bool) string {
	if sandboxed {
		return w.centre.Login()
	}
	return "the secret in " + w.centre.LoginFile()
}
