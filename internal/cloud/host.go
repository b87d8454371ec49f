package cloud

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"tandem/internal/beat"
	"tandem/internal/cloud/awsjson"
	"tandem/internal/cloud/names"
	"tandem/internal/destination"
	"tandem/internal/flow"
	"tandem/internal/hubspot"
	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/internal/table/dynamo"
	"tandem/spec"
)

// Host is one running function of a client.
type Host struct {
	Name      string
	Direction spec.Direction
	Spec      *spec.Spec
	Secrets   *Secrets
	Table     table.Table
	Flow      *flow.Flow
	Metrics   *Metrics
	Log       *slog.Logger

	reporting   reporting
	hubspot     *hubspot.Client
	budget      *hubspot.Budget
	destination *destination.Client
	starter     flow.Starter
	lines       []line // of the function later
	queues      *awsjson.Client
	deadLetters string // the queue's URL, "" where this function does not look into it
	// untold are the dead letters of which the Centre is not known to have heard.
	untold map[table.Key]ledger.Letter
	behind bool // the beat before was not answered
}

// New opens the function called name from its environment. It sends one request,
// for the secrets, while the platform still gives it a whole CPU.
func New(ctx context.Context, name string, getenv func(string) string) (*Host, error) {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil)).With("function", name)
	h := &Host{Name: name, Direction: spec.Direction(getenv(names.Direction)), Log: log}
	var err error
	if h.Spec, err = loadSpec(getenv); err != nil {
		return nil, err
	}
	aws, err := awsjson.FromEnv(getenv)
	if err != nil {
		return nil, err
	}
	h.Secrets, err = OpenSecrets(getenv, getenv(names.SecretsPrefix), names.Parameters(h.Spec, name, h.Direction)...)
	if err != nil {
		return nil, err
	}
	if _, err := h.Secrets.Get(ctx, names.CentreSecret); err != nil {
		log.Warn("beats will not be signed", "error", err)
	}
	h.starter = newStarter(aws, machines(getenv, h.Direction))
	h.queues, h.deadLetters, h.untold = awsjson.New(aws, queueTimeout), getenv(names.DeadLetters), map[table.Key]ledger.Letter{}
	api, err := dynamo.Client(getenv)
	if err != nil {
		return nil, err
	}
	h.Table = dynamo.New(api, getenv(names.Table), nil, nil)
	h.Metrics = NewMetrics(os.Stdout, h.Spec.Client, time.Now)
	if getenv(names.CentreURL) != "" {
		h.reporting = reporting{open: func(ctx context.Context) (*beat.Reporter, error) { return h.reporter(ctx, getenv) }, now: time.Now, log: log}
	}
	h.beats()
	if name == "later" {
		if h.lines, err = lines(h.Table, h.Spec); err != nil {
			return nil, err
		}
	}
	return h, h.open()
}

// loadSpec reads the spec that was shipped beside the executable. It was parsed
// strictly, checked and hashed when the stack was made; to do that again would
// double a function's start.
func loadSpec(getenv func(string) string) (*spec.Spec, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(filepath.Dir(self), cmp.Or(getenv(names.SpecFile), names.SpecName))
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s := new(spec.Spec)
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, fmt.Errorf("%s: %w; deploy again", file, err)
	}
	if s.Hash = getenv(names.SpecHash); s.Hash == "" {
		return nil, fmt.Errorf("%s is not set; the stack sets it", names.SpecHash)
	}
	return s, nil
}

// machines are the ARNs of what this function may start: its own direction's, or
// both.
func machines(getenv func(string) string, own spec.Direction) map[spec.Direction]string {
	all := map[spec.Direction]string{}
	for _, d := range []spec.Direction{spec.ToDestination, spec.ToHubSpot} {
		if arn := getenv(names.Machine(d)); arn != "" {
			all[d] = arn
		}
	}
	if arn := getenv(names.MachineARN); arn != "" {
		all[own] = arn
	}
	return all
}

// open makes the systems' clients and the flow over them.
func (h *Host) open() error {
	hub, _, err := hubspot.Paced(http.DefaultTransport, h.Table, h.Spec.HubSpot.RateLimit)
	if err != nil {
		return err
	}
	dest, _, err := destination.Paced(http.DefaultTransport, h.Table, h.Spec.Destination)
	if err != nil {
		return err
	}
	h.budget = &hubspot.Budget{Base: hub}
	o := hubspot.OptionsFor(h.Spec)
	o.HTTP = &http.Client{Transport: h.budget, Timeout: remoteTimeout}
	token := names.TokenSecret(h.Spec, record.HubSpot)
	o.Token = func(ctx context.Context) (string, error) { return h.Secrets.Get(ctx, token) }
	again := func(string) { h.Secrets.Refresh(context.Background()) }
	o.Invalidate = again
	if h.hubspot, err = hubspot.New(o); err != nil {
		return err
	}
	if h.destination, err = destination.New(h.Spec, destination.Options{Secrets: h.secret, Invalidate: again, HTTP: &http.Client{Transport: dest, Timeout: remoteTimeout}, Table: h.Table}); err != nil {
		return err
	}
	h.Flow, err = flow.New(flow.Options{
		Spec:    h.Spec,
		Remotes: map[record.System]flow.Remote{record.HubSpot: h.hubspot, record.Destination: h.destination},
		Ledger:  &ledger.Ledger{Table: h.Table, Client: h.Spec.Client, Now: time.Now},
		Seals:   &flow.Sealer{Secrets: h.clientSecrets},
		Log:     h.Log,
	})
	return err
}

// queueTimeout bounds one answer of a queue.
const queueTimeout = 3 * time.Second

// remoteTimeout is longer than any function's, whose deadline ends a call first.
const remoteTimeout = time.Minute

func (h *Host) secret(name string) (string, error) { return h.Secrets.Get(context.Background(), name) }

func (h *Host) clientSecrets(s record.System) ([]string, error) {
	return h.Secrets.Valid(context.Background(), names.ClientSecret(h.Spec, s))
}
