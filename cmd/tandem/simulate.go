package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"tandem/internal/local"
	"tandem/internal/local/why"
	"tandem/internal/record"
	"tandem/spec"
)

const simulateMore = `NEW is the changed spec file. The real flow decides what the next event of each record would do under the spec in force
and under NEW, with both systems and the table as they are now, and writes nothing. Told are the fields that would be
translated otherwise, and how many records only NEW would write. A deploy itself writes nothing: a write follows a
record's next event. Values are shown, of sensitive fields as fingerprints.

Records are the latest that a running tandem run has worked on. Of another integration give the inputs of its executions
with --inputs, one JSON a line: {"event": {...}} as the machine gets it, or a log event of AWS Step Functions with such an
input in details.input. With TANDEM_TABLE the table in DynamoDB and both systems are read, with --spec (the spec in
force), --secrets, TANDEM_HUBSPOT_URL and TANDEM_DESTINATION_URL; else the running server is asked.

Exit code 0, whatever the change would do; 1: it could not be tried, as there is no record or no answer; 2: NEW cannot
be read, is refused or another client's, or --inputs holds no input.`

// simulateOptions are the flags of tandem simulate.
type simulateOptions struct {
	address, inputs, spec, secrets string
	limit                          int
	json                           bool
}

func simulateCommand(ctx context.Context, e *env, args []string) error {
	o := simulateOptions{}
	f := e.flags("simulate", "[flags] NEW", simulateMore)
	f.StringVar(&o.address, "addr", "", "the `address` of a running tandem run (TANDEM_ADDR, "+defaultListen+")")
	f.StringVar(&o.inputs, "inputs", "", "a `file` of executions' inputs; - is standard input")
	f.StringVar(&o.spec, "spec", "", "with TANDEM_TABLE: the spec `file` in force; spec/CLIENT/integration-spec.json")
	f.StringVar(&o.secrets, "secrets", e.getenv("TANDEM_SECRETS"), "with TANDEM_TABLE: the secrets `file`")
	f.IntVar(&o.limit, "records", 100, "how many records to try, the latest ones")
	f.BoolVar(&o.json, "json", false, "print JSON")
	if err := parse(f, args); err != nil {
		return err
	}
	if f.NArg() != 1 || o.limit < 1 {
		return misused("name one spec file, the changed one, and at least one record")
	}
	after, err := loadSpec(f.Arg(0))
	if err != nil {
		return err
	}
	s, err := o.simulator(ctx, e, after, f.Arg(0))
	if err != nil {
		return err
	}
	refs, err := o.records(ctx, e, s)
	if err != nil {
		return err
	}
	result, err := inBatches(ctx, refs, s)
	if err != nil {
		return err
	}
	if o.json {
		return json.NewEncoder(e.out).Encode(result)
	}
	return printSimulation(e.out, result)
}

// simulator is what a change of spec is tried by.
type simulator struct {
	server server     // the running one, where records are not given
	pairs  *spec.Spec // what the pairs in inputs are called in
	try    func(context.Context, []record.Ref) (*local.Simulation, error)
}

// simulator chooses between a running server and a table in DynamoDB.
func (o simulateOptions) simulator(ctx context.Context, e *env, after *spec.Spec, file string) (*simulator, error) {
	if e.getenv("TANDEM_TABLE") == "" || o.address != "" {
		text, err := os.ReadFile(file)
		s := addressOf(e, o.address)
		return &simulator{server: s, pairs: after, try: func(ctx context.Context, refs []record.Ref) (out *local.Simulation, err error) {
			err = s.send(ctx, "POST", "/api/simulate", map[string]any{"spec": json.RawMessage(text), "records": refs}, &out)
			return out, err
		}}, err
	}
	if o.inputs == "" {
		return nil, misused("--inputs is missing: a table does not tell which records had events lately")
	}
	before, err := loadSpec(cmp.Or(o.spec, "spec/"+after.Client+"/integration-spec.json"))
	if err != nil {
		return nil, err
	}
	if before.Client != after.Client {
		return nil, misused("%s is of client %s, the spec in force of %s; name a changed spec of the same", file, after.Client, before.Client)
	}
	lo, err := tableOptions(ctx, e, before, o.secrets)
	if err != nil {
		return nil, err
	}
	return &simulator{pairs: before, try: func(ctx context.Context, refs []record.Ref) (*local.Simulation, error) {
		return local.Simulate(ctx, *lo, after, refs)
	}}, nil
}

// records lists the latest distinct records, newest first.
func (o simulateOptions) records(ctx context.Context, e *env, s *simulator) ([]record.Ref, error) {
	var all []record.Ref
	var err error
	if o.inputs != "" {
		all, err = o.fromInputs(e, s.pairs)
	} else {
		var page struct{ Executions []struct{ Record record.Ref } }
		err = s.server.call(ctx, "GET", "/api/executions?limit=1000", &page)
		for _, x := range page.Executions {
			all = append(all, x.Record)
		}
	}
	if err == nil && len(all) == 0 {
		err = errors.New("the server has worked on no record lately; change one, or give the inputs of executions with --inputs")
	}
	var refs []record.Ref
	for _, ref := range all {
		if len(refs) < o.limit && ref.ID != "" && !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	return refs, err
}

// fromInputs reads the records of stored inputs, the last line first. Lines that
// hold none, such as other log events, are passed over.
func (o simulateOptions) fromInputs(e *env, pairs *spec.Spec) (refs []record.Ref, err error) {
	in := io.NopCloser(e.in)
	if o.inputs != "-" {
		if in, err = os.Open(o.inputs); err != nil {
			return nil, usage{err}
		}
	}
	defer in.Close()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if ref, ok := refOf(lines.Bytes(), pairs); ok {
			refs = append(refs, ref)
		}
	}
	if lines.Err() == nil && len(refs) == 0 {
		return nil, misused(`no line of %s is the input of an execution of the spec's pairs; one JSON a line, {"event": {...}}`, o.inputs)
	}
	slices.Reverse(refs)
	return refs, lines.Err()
}

// refOf finds the source record in an execution's input, which may stand in a
// log event.
func refOf(line []byte, s *spec.Spec) (record.Ref, bool) {
	var input struct {
		Event struct {
			Direction spec.Direction
			Pair, ID  string
		}
		Details struct{ Input string }
	}
	if json.Unmarshal(line, &input) != nil {
		return record.Ref{}, false
	}
	if input.Details.Input != "" {
		return refOf([]byte(input.Details.Input), s)
	}
	ev := input.Event
	if ev.ID == "" || ev.Direction != spec.ToDestination && ev.Direction != spec.ToHubSpot {
		return record.Ref{}, false
	}
	p, known := s.PairByName(ev.Pair)
	return record.Ref{System: ev.Direction.Source(), Object: p.Side(ev.Direction.Source()).Object, ID: ev.ID}, known
}

// inBatches tries some records at a time, since a server answers no longer than a minute.
func inBatches(ctx context.Context, refs []record.Ref, s *simulator) (*local.Simulation, error) {
	all := &local.Simulation{Records: []why.Comparison{}}
	for batch := range slices.Chunk(refs, 10) {
		part, err := s.try(ctx, batch)
		if err != nil {
			return nil, err
		}
		all.Before, all.After = part.Before, part.After
		all.Records = append(all.Records, part.Records...)
	}
	return all, nil
}

func printSimulation(w io.Writer, s *local.Simulation) error {
	var b strings.Builder
	writes, other := map[record.System]int{}, 0
	for _, c := range s.Records {
		for _, sys := range c.Writes {
			writes[sys]++
		}
		if !c.Same() {
			other++
			fmt.Fprintf(&b, "%s %s %s: %s\n", c.Record.System, c.Record.Object, c.Record.ID, differs(c))
		}
	}
	fmt.Fprintf(&b, "%d records tried, spec %s against %s: %d would fare otherwise.\n", len(s.Records), s.Before, s.After, other)
	fmt.Fprintf(&b, "Writes that the change would cause: %d into HubSpot, %d into the destination, each at its record's next event.\n",
		writes[record.HubSpot], writes[record.Destination])
	_, err := io.WriteString(w, b.String())
	return err
}

// differs says how one record would fare otherwise.
func differs(c why.Comparison) string {
	var parts []string
	for _, d := range c.Fields {
		parts = append(parts, fmt.Sprintf("%s %s -> %s", d.Field, shown(d.Before), shown(d.After)))
	}
	if is, was := c.After.String(), c.Before.String(); is != was {
		parts = append(parts, is+" (now: "+was+")")
	}
	return strings.Join(parts, "; ")
}

func shown(v *string) string {
	if v == nil {
		return "(not there)"
	}
	return fmt.Sprintf("%q", *v)
}
