package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"tandem/internal/local"
	"tandem/internal/local/console"
	"tandem/internal/local/lookout"
)

// watched is a server and the Notification Centre beside it, nil when it is off.
type watched struct {
	*local.Server
	centre *lookout.Lookout
}

// openWatched opens the Centre and then the server, whose console links to it.
func openWatched(ctx context.Context, e *env, o *runOptions, lo local.Options) (*watched, error) {
	w := &watched{}
	if o.centre != "off" {
		l, err := lookout.Open(lookout.Options{
			Client: lo.Spec.Client, Dir: filepath.Join(o.data, "centre"), Listen: o.centre, SlackURL: e.getenv("TANDEM_SLACK_URL"), Log: lo.Log,
		})
		if err != nil {
			return nil, usage{err}
		}
		w.centre, lo.Ended, lo.Refused = l, l.Ended, l.Refused
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

// login tells how to log in: in the sandbox the secret itself, else its file.
func (w *watched) login(sandboxed bool) string {
	if sandboxed {
		return w.centre.Login()
	}
	return "the secret in " + w.centre.LoginFile()
}
