package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"tandem/internal/centre"
	"tandem/internal/table/embedded"
)

const centreMore = `The pages show a sample agency as it stands at the moment of starting, on loopback. Nothing is watched and nothing is kept:
the Centre of a real integration runs beside tandem run, or on AWS from its own stack.`

func centreCommand(ctx context.Context, e *env, args []string) error {
	f := e.flags("centre", "--demo [flags]", centreMore)
	demo := f.Bool("demo", false, "sample data; the only kind this command shows")
	listen := f.String("listen", "127.0.0.1:0", "the `address` to listen on")
	clients := f.Int("clients", 12, "how many integrations the sample agency has")
	if err := parse(f, args); err != nil {
		return err
	}
	if !*demo || f.NArg() > 0 {
		return misused("give --demo and no argument; the Centre of a real integration is started by tandem run")
	}
	if *clients < 1 || *clients > 1000 {
		return misused("--clients must be from 1 to 1000")
	}
	return e.demoCentre(ctx, *listen, *clients)
}

// demoCentre serves sample data from a folder that is removed at the end.
func (e *env) demoCentre(ctx context.Context, listen string, clients int) (err error) {
	dir, err := os.MkdirTemp("", "tandem-centre-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t, err := embedded.Open(dir, nil)
	if err != nil {
		return err
	}
	defer t.Close()
	// The clock stands still, or every sample handler would soon be silent for too long.
	now, login := time.Now(), rand.Text()
	if err := centre.Demo(ctx, t, now, clients); err != nil {
		return err
	}
	c, err := centre.New(centre.Options{
		Table: t, Plain: true, Now: func() time.Time { return now }, Outcomes: centre.DemoOutcomes{Now: now},
		Log: slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Secrets: func(_ context.Context, name string) (string, error) {
			if name == centre.LoginSecret {
				return login, nil
			}
			return "", errors.New("the sample agency has no secret " + name)
		},
	})
	if err != nil {
		return err
	}
	return e.serveDemo(ctx, listen, login, c.Dashboard())
}

func (e *env) serveDemo(ctx context.Context, listen, login string, pages http.Handler) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return misused("cannot listen: %w; choose another --listen", err)
	}
	fmt.Fprintf(e.out, "The Notification Centre shows sample data. Ctrl-C ends it.\n\n  pages       http://%s/\n  log in with %s\n", l.Addr(), login)
	server := &http.Server{Handler: pages, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
