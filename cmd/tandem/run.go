package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"tandem/internal/cloud/names"
	"tandem/internal/local"
	"tandem/internal/local/console"
	"tandem/internal/local/engine"
	"tandem/internal/local/sandbox"
	"tandem/internal/record"
	"tandem/internal/table"
	"tandem/internal/table/dynamo"
	"tandem/spec"
)

// Defaults of tandem run.
const (
	exampleSpec   = "spec/acme/integration-spec.json"
	defaultData   = ".data"
	defaultListen = "127.0.0.1:8480"
	defaultTable  = "tandem-local"
)

// runOptions are the flags of tandem run.
type runOptions struct {
	spec, hubspot, destination, secrets, data, listen, public, centre string
	concurrency                                                       int
	json, verbose                                                     bool
	anyPort                                                           bool // the default port may be replaced
}

const runMore = `Without --hubspot-url and --destination-url both systems are simulated, with sample data and a page each; the simulated
destination is that of spec/acme, which edited copies of it can use, too.
With --destination-url alone HubSpot is, without data: for trying a spec on a test account of the destination.
With both it is an integration server for any HubSpot-shaped API and any destination that the spec describes.
Each flag has an environment variable: TANDEM_SPEC, TANDEM_HUBSPOT_URL, TANDEM_DESTINATION_URL, TANDEM_SECRETS,
TANDEM_DATA, TANDEM_LISTEN, TANDEM_PUBLIC_URL, TANDEM_CENTRE_LISTEN. With AWS_ENDPOINT_URL_DYNAMODB (or TANDEM_TABLE) the mapping table is in
DynamoDB under the name TANDEM_TABLE (` + defaultTable + `), made when the endpoint is local; several processes, each with
its own --data, may share it.

A Notification Centre runs beside it and watches it; its login secret is in the file centre/login of --data. It posts to
Slack when TANDEM_SLACK_URL holds an incoming webhook; else its page of messages shows what it would have told. With
TANDEM_CENTRE_URL and TANDEM_CENTRE_SECRET (the client's beat secret) the agency's Centre hears the same.

The secrets file is one JSON object of texts: {"hubspot-token": "...", "hubspot-client-secret": "..." or
["current", "previous"], "destination-token": "...", "destination-client-secret": "..."}, under the names the spec gives.

`

func runFlags(e *env, args []string) (*runOptions, error) {
	o := &runOptions{}
	f := e.flags("run", "[flags]", runMore+local.APIDoc)
	f.StringVar(&o.spec, "spec", cmp.Or(e.getenv("TANDEM_SPEC"), exampleSpec), "the client's spec `file`")
	f.StringVar(&o.hubspot, "hubspot-url", e.getenv("TANDEM_HUBSPOT_URL"), "where HubSpot's API answers")
	f.StringVar(&o.destination, "destination-url", e.getenv("TANDEM_DESTINATION_URL"), "where the destination's API answers")
	f.StringVar(&o.secrets, "secrets", e.getenv("TANDEM_SECRETS"), "the secrets `file`")
	f.StringVar(&o.data, "data", cmp.Or(e.getenv("TANDEM_DATA"), defaultData), "the `directory` that keeps everything")
	f.StringVar(&o.listen, "listen", e.getenv("TANDEM_LISTEN"), "the `address` to listen on; "+defaultListen+", or another port if that one is taken")
	f.StringVar(&o.public, "public-url", e.getenv("TANDEM_PUBLIC_URL"), "the `origin` that senders post to and sign; the address listened on if empty")
	f.StringVar(&o.centre, "centre-listen", e.getenv("TANDEM_CENTRE_LISTEN"), "the `address` of the Notification Centre's pages, or off; any free port of 127.0.0.1 if empty")
	f.IntVar(&o.concurrency, "in-flight", 0, "how many executions work at once (32 if 0)")
	f.BoolVar(&o.json, "json", false, "print one JSON line with every address once ready")
	f.BoolVar(&o.verbose, "verbose", false, "log refused deliveries and slow steps too")
	if err := parse(f, args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, misused("unexpected argument %q; tandem run -h lists the flags", f.Arg(0))
	}
	return o, o.check()
}

// check refuses combinations that cannot work.
func (o *runOptions) check() error {
	if o.hubspot != "" && o.destination == "" {
		return misused("--destination-url is missing: HubSpot's simulator can stand beside a real destination, the destination's not beside HubSpot")
	}
	if o.destination != "" && o.secrets == "" {
		return misused("--secrets is missing: a JSON file with the tokens and client secrets of the systems that are not simulated; tandem run -h shows its form")
	}
	for _, given := range [][2]string{{"--hubspot-url", o.hubspot}, {"--destination-url", o.destination}} {
		if given[1] != "" && !isAPI(given[1]) {
			return misused("%s must be an absolute http or https URL without a query, such as http://127.0.0.1:9001", given[0])
		}
	}
	if o.concurrency < 0 {
		return misused("--in-flight must be at least 1, or 0 for the default of %d", engine.DefaultConcurrency)
	}
	if o.listen == "" {
		o.listen, o.anyPort = defaultListen, true
	}
	return nil
}

// isAPI reports whether text can be where an API answers.
func isAPI(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.RawQuery == "" && u.Fragment == ""
}

func runCommand(ctx context.Context, e *env, args []string) error {
	o, err := runFlags(e, args)
	if err != nil {
		return err
	}
	s, err := loadSpec(o.spec)
	if err != nil {
		return err
	}
	level := slog.LevelWarn
	if o.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: level}))
	if o.hubspot == "" {
		return runSandbox(ctx, e, o, s, log)
	}
	secrets, err := local.LoadSecrets(o.secrets)
	if err != nil {
		return usage{err}
	}
	w, err := openWatched(ctx, e, o, local.Options{Spec: s, Secrets: secrets, HubSpotURL: o.hubspot, DestinationURL: o.destination, Log: log})
	if err != nil {
		return err
	}
	if err := e.ready(ctx, o, w, nil); err != nil {
		return err
	}
	return w.Run(ctx)
}

// loadSpec reads a spec and refuses one that the checker refuses.
func loadSpec(file string) (*spec.Spec, error) {
	s, err := spec.Load(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, misused("there is no spec at %s%s", file, hint(file))
	}
	if err != nil {
		return nil, usage{err}
	}
	if findings := spec.Check(s); spec.Refuses(findings) {
		return nil, misused("%s could lose data or loop and is not run; see tandem check %s", file, file)
	}
	return s, nil
}

// hint says what a file that is looked for where nobody named one tells: where to
// stand.
func hint(file string) string {
	if usual, _ := path.Match("spec/*/"+names.SpecName, file); usual {
		return ": run this in the repository's folder, or name another file"
	}
	return ""
}

// openServer opens the server over its table.
func openServer(ctx context.Context, e *env, o *runOptions, lo local.Options) (*local.Server, error) {
	if err := own(o, lo.Spec); err != nil {
		return nil, err
	}
	t, err := sharedTable(ctx, e)
	if err != nil {
		return nil, err
	}
	lo.Table, lo.Data, lo.Listen, lo.PublicURL, lo.Concurrency = t, o.data, o.listen, o.public, o.concurrency
	s, err := local.Open(lo)
	var taken *net.OpError
	if o.anyPort && errors.As(err, &taken) && taken.Op == "listen" {
		lo.Listen = "127.0.0.1:0"
		s, err = local.Open(lo)
	}
	if err != nil {
		return nil, usage{err}
	}
	return s, nil
}

// sharedTable is the table in DynamoDB that the environment asks for, nil for none.
func sharedTable(ctx context.Context, e *env) (table.Table, error) {
	endpoint, name := e.getenv("AWS_ENDPOINT_URL_DYNAMODB"), e.getenv("TANDEM_TABLE")
	if endpoint == "" && name == "" {
		return nil, nil
	}
	client, err := dynamo.Client(e.getenv)
	if err != nil {
		return nil, usage{err}
	}
	name = cmp.Or(name, defaultTable)
	if isLocal(endpoint) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute) // it may be starting, too
		defer cancel()
		if err := dynamo.Ensure(ctx, client, name); err != nil {
			return nil, fmt.Errorf("table %s at %s: %w; start DynamoDB Local there or unset AWS_ENDPOINT_URL_DYNAMODB", name, endpoint, err)
		}
	}
	return dynamo.New(client, name, time.Now, func(string) {}), nil
}

func isLocal(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// runSandbox runs the server between two simulators, or between HubSpot's and a
// real destination.
func runSandbox(ctx context.Context, e *env, o *runOptions, s *spec.Spec, log *slog.Logger) error {
	if o.destination == "" {
		if err := sandbox.Fits(s); err != nil {
			return misused("%s: %w; name %s itself with --destination-url, and --secrets", o.spec, err, s.Destination.Name)
		}
	}
	s = sandbox.Adapt(s)
	samples := sandbox.Sample
	if o.destination != "" {
		samples = 0
	}
	box, err := sandbox.Open(s, filepath.Join(o.data, "simulators"), samples, log)
	if err != nil {
		return usage{err}
	}
	there := console.Link{Name: s.Destination.Name + " (simulated)", URL: box.DestinationURL()}
	if o.destination != "" {
		there = console.Link{Name: s.Destination.Name, URL: o.destination}
		given, err := local.LoadSecrets(o.secrets)
		if err == nil {
			err = given.Complete(s, record.Destination)
		}
		if err != nil {
			return usage{err}
		}
		maps.Copy(box.Secrets, given)
	}
	links := []console.Link{{Name: "HubSpot (simulated)", URL: box.HubSpotURL()}, there}
	server, err := openWatched(ctx, e, o, local.Options{
		Spec: s, Secrets: box.Secrets, HubSpotURL: box.HubSpotURL(), DestinationURL: there.URL, Links: links, Log: log,
	})
	if err != nil {
		return err
	}
	// The simulators outlive the server, so that its last writes find them.
	outer, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- box.Run(outer, server.WebhookURL) }()
	if err := e.ready(ctx, o, server, links); err != nil {
		return err
	}
	err = server.Run(ctx)
	stop()
	return errors.Join(err, <-ended)
}

// ready tells every address, and which system does not answer.
func (e *env) ready(ctx context.Context, o *runOptions, s *watched, links []console.Link) error {
	for _, p := range s.Probe(ctx) {
		s.o.Log.Warn(p)
	}
	addresses := map[string]string{
		"console": s.URL() + "/", "api": s.URL() + "/api", "data": o.data,
		"hubspotWebhook": s.WebhookURL(record.HubSpot), "destinationWebhook": s.WebhookURL(record.Destination),
		"hubspot": o.hubspot, "destination": o.destination,
	}
	if links != nil {
		addresses["hubspot"], addresses["destination"] = links[0].URL, links[1].URL
	}
	if s.centre != nil {
		addresses["centre"] = s.centre.URL() + "/"
	}
	if o.json {
		return json.NewEncoder(e.out).Encode(addresses)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Tandem runs. Ctrl-C ends it; what it knows is kept in %s.\n\n  console             %s\n", o.data, addresses["console"])
	for i, what := range []string{"hubspot", "destination"} {
		name := what
		if links != nil {
			name = links[i].Name
		}
		fmt.Fprintf(&b, "  %-19s %s\n", name, addresses[what])
	}
	fmt.Fprintf(&b, "  webhooks            %s\n                      %s\n", addresses["hubspotWebhook"], addresses["destinationWebhook"])
	if s.centre != nil {
		fmt.Fprintf(&b, "  notification centre %s\n                      log in with %s\n", addresses["centre"], s.login(links != nil))
	}
	if links != nil {
		look := "change a contact, and look at the other page"
		if o.destination != "" { // it has no page of ours, and HubSpot begins empty
			look = "make or change a record, and look into " + links[1].Name
		}
		fmt.Fprintf(&b, "\nTry it: open the HubSpot page, %s; then the other way round.\nThe console shows each change as an execution.\n", look)
	}
	_, err := e.out.Write([]byte(b.String()))
	return err
}
