// Package sandbox is both ends of an integration on one machine: a simulated
// HubSpot portal and a simulated destination, each with a page where a person
// edits records, each delivering signed webhooks to a local server. What they
// hold is kept in files. It is for trying Tandem, not for real data.
package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"tandem/internal/cloud/names"
	"tandem/internal/local"
	"tandem/internal/record"
	"tandem/internal/simulator/erp"
	"tandem/internal/simulator/portal"
	"tandem/spec"
)

// Sandbox is the two simulators on loopback.
type Sandbox struct {
	// Secrets are what the local server shares with them, made at the first start.
	Secrets local.Secrets

	spec      *spec.Spec
	dir       string
	portal    *portal.Portal
	company   *erp.Company
	listeners [2]net.Listener
	log       *slog.Logger
}

// Sample is how many contacts a new portal begins with between two simulators.
const Sample = 12

// Search lags and polls of a sandbox: a person waits for the result.
const (
	searchLag = time.Second
	pollEvery = time.Second
)

// Adapt returns the spec with the sandbox's pace.
func Adapt(s *spec.Spec) *spec.Spec {
	c := *s
	c.HubSpot.SearchLag.Duration, c.Destination.SearchLag.Duration = searchLag, searchLag
	c.Pairs = append([]spec.Pair(nil), s.Pairs...)
	for i := range c.Pairs {
		for _, side := range []*spec.Side{&c.Pairs[i].HubSpot, &c.Pairs[i].Destination} {
			if side.Trigger == "poll" { // Every of the others is how often they are compared
				side.Every.Duration = pollEvery
			}
		}
	}
	return &c
}

// Fits refuses a spec whose destination cannot be the simulated one: that has the
// paths of spec/acme alone.
func Fits(s *spec.Spec) error {
	for _, p := range s.Pairs {
		read := s.Destination.Objects[p.Destination.Object].Read.Path
		if !slices.ContainsFunc(erp.Kinds, func(k erp.Kind) bool { return read == "/api/"+k.Name+"/{id}" }) {
			return fmt.Errorf("%s cannot be simulated: it keeps %s at %s, and the simulated destination has the paths of spec/acme alone",
				s.Destination.Name, p.Destination.Object, read)
		}
	}
	return nil
}

// Open loads what an earlier sandbox left in dir, or begins with so many sample
// contacts, and listens on two loopback ports, the same ones as before where they are free.
func Open(s *spec.Spec, dir string, samples int, log *slog.Logger) (*Sandbox, error) {
	b := &Sandbox{spec: s, dir: dir, log: log}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("sandbox: %w; choose a --data directory that can be written", err)
	}
	if err := b.secrets(); err != nil {
		return nil, err
	}
	if err := b.load(samples); err != nil {
		return nil, err
	}
	for i := range b.listeners {
		var err error
		if b.listeners[i], err = local.ListenAgain(filepath.Join(dir, "address"+strconv.Itoa(i))); err != nil {
			return nil, fmt.Errorf("sandbox: %w", err)
		}
	}
	return b, nil
}

// secrets reads the secrets file of the directory or makes it.
func (b *Sandbox) secrets() (err error) {
	path := filepath.Join(b.dir, "secrets.json")
	if b.Secrets, err = local.LoadSecrets(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b.Secrets = local.Secrets{}
	file := map[string]string{}
	for _, name := range names.Secrets(b.spec) {
		file[name] = rand.Text()
		b.Secrets[name] = []string{file[name]}
	}
	body, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, body, 0o600)
}

func (b *Sandbox) load(samples int) error {
	id := func(text string) int64 { n, _ := strconv.ParseInt(text, 10, 64); return n }
	b.portal = portal.New(portal.Options{PortalID: id(b.spec.HubSpot.PortalID), AppID: id(b.spec.HubSpot.AppID), SearchLag: searchLag / 2})
	b.portal.DefineFor(b.spec)
	b.company = erp.New(erp.Usual(), nil, nil)
	_, err := os.Stat(b.file("portal"))
	fresh := errors.Is(err, fs.ErrNotExist)
	if err := b.portal.LoadFile(b.file("portal")); err != nil {
		return err
	}
	if fresh {
		return b.portal.Seed(samples)
	}
	return b.company.Load(b.file("erp"))
}

func (b *Sandbox) file(name string) string { return filepath.Join(b.dir, name+".json") }

// HubSpotURL and DestinationURL are where the simulators answer, API and page alike.
func (b *Sandbox) HubSpotURL() string { return "http://" + b.listeners[0].Addr().String() }

// DestinationURL is where the simulated destination answers.
func (b *Sandbox) DestinationURL() string { return "http://" + b.listeners[1].Addr().String() }

// keepEvery is how often changes are written to the files.
const keepEvery = 200 * time.Millisecond

// Run serves both until ctx ends. webhook tells where each delivers to.
func (b *Sandbox) Run(ctx context.Context, webhook func(record.System) string) error {
	token := b.Secrets[names.TokenSecret(b.spec, record.Destination)][0]
	secret := func(sys record.System) string { return b.Secrets[names.ClientSecret(b.spec, sys)][0] }
	servers := []*http.Server{
		{Handler: b.portal.Handler(), ReadHeaderTimeout: 5 * time.Second},
		{Handler: erp.Handler(b.company, token), ReadHeaderTimeout: 5 * time.Second},
	}
	var work sync.WaitGroup
	errs := make(chan error, 4)
	for i, s := range servers {
		work.Go(func() {
			if err := s.Serve(b.listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				errs <- err
			}
		})
	}
	work.Go(func() {
		_ = b.portal.Deliverer(portal.DeliveryOptions{
			URL: webhook(record.HubSpot), Secret: func() string { return secret(record.HubSpot) }, Log: b.log,
		}).Run(ctx) // ends with ctx
	})
	work.Go(func() {
		erp.Deliverer{Company: b.company, URL: webhook(record.Destination), Secret: secret(record.Destination)}.Run(ctx)
	})
	work.Go(func() { errs <- b.portal.Keep(ctx, b.file("portal"), keepEvery) })
	work.Go(func() { errs <- b.keep(ctx) })
	<-ctx.Done()
	for _, s := range servers {
		s.Close()
	}
	work.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// keep saves the destination whenever something has changed, and at the end.
func (b *Sandbox) keep(ctx context.Context) error {
	for running := true; running; {
		select {
		case <-ctx.Done():
			running = false
		case <-time.After(keepEvery):
		}
		if b.company.Unsaved() {
			if err := b.company.Save(b.file("erp")); err != nil {
				return err
			}
		}
	}
	return nil
}
