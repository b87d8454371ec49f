package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"tandem/internal/cloud/awsjson"
	"tandem/internal/cloud/names"
	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/spec"
)

// letter is a message in a client's dead-letter queue, as the machines send it.
type letter struct {
	Execution string         `json:"execution"`
	Machine   spec.Direction `json:"machine"`
	Event     flow.Envelope  `json:"event"`
	Error     flow.Cause     `json:"error"`

	id, receipt string
	body        json.RawMessage
}

func deadLettersCommand(ctx context.Context, e *env, args []string) error {
	f := e.flags("dead-letters", "[flags] CLIENT [ID...]",
		"Lists the dead letters of a deployed client. With --redrive those chosen by ID, --code or --all are started again\n"+
			"and leave the queue; the outcome of an event does not depend on how often it is started. `tandem redrive` does the same for a local server.")
	redrive := f.Bool("redrive", false, "start the chosen events again")
	code := f.String("code", "", "only dead letters of this `cause`, such as RemoteBusy")
	all := f.Bool("all", false, "with --redrive: all of them")
	export := f.String("export", "", "write them, one JSON object per line, to `FILE` as well")
	d, err := e.ofClient(f, args, mostLetters)
	if err != nil {
		return err
	}
	ids := d.args
	if *redrive && len(ids) == 0 && *code == "" && !*all {
		return misused("choose what to redrive: ids, --code or --all")
	}
	if *all && (!*redrive || len(ids) > 0 || *code != "") {
		return misused("--all goes with --redrive, and with neither ids nor --code")
	}
	if err := d.connect(e); err != nil {
		return err
	}
	queue, err := d.queue(ctx, d.client+"-dead-letters")
	if err != nil {
		return err
	}
	letters, err := d.receive(ctx, queue)
	defer d.giveBack(context.WithoutCancel(ctx), queue, &letters)
	if err != nil {
		return err
	}
	letters.chosen = func(l *letter) bool {
		return (*code == "" || l.Error.Error == *code) && (len(ids) == 0 || slices.Contains(ids, l.id))
	}
	if *export != "" {
		if err := letters.export(*export); err != nil {
			return err
		}
	}
	if !*redrive {
		return letters.list(e)
	}
	return d.redrive(ctx, e, queue, &letters)
}

// letters are what was received; those that were redriven are gone.
type letters struct {
	all    []*letter
	chosen func(*letter) bool
}

// queue is the address of one of the client's queues.
func (d *deployment) queue(ctx context.Context, name string) (string, error) {
	var out struct{ QueueURL string }
	err := d.api.Call(ctx, awsjson.SQS, "GetQueueUrl", map[string]any{"QueueName": name}, &out)
	if err != nil {
		return "", fmt.Errorf("the queue %s: %w; is it deployed in this account and region?", name, err)
	}
	return out.QueueURL, nil
}

const (
	// hiddenFor keeps a message from being received twice while the command runs,
	// in seconds; what is left is given back at once at its end.
	hiddenFor = 120
	// mostLetters bounds one run, as SQS bounds what may be in flight.
	mostLetters = 10_000
	// emptyAnswers in a row end the listing: one may be empty by chance, since SQS
	// asks a sample of its servers.
	emptyAnswers = 3
)

// receive takes all messages out of sight.
func (d *deployment) receive(ctx context.Context, queue string) (got letters, err error) {
	seen := map[string]bool{}
	for empty := 0; empty < emptyAnswers && len(got.all) < mostLetters; empty++ {
		var out struct {
			Messages []struct{ MessageID, ReceiptHandle, Body string }
		}
		err := d.api.Call(ctx, awsjson.SQS, "ReceiveMessage", map[string]any{
			"QueueUrl": queue, "MaxNumberOfMessages": 10, "VisibilityTimeout": hiddenFor, "WaitTimeSeconds": 1,
		}, &out)
		if err != nil {
			return got, err
		}
		for _, m := range out.Messages {
			l := &letter{id: m.MessageID, receipt: m.ReceiptHandle, body: json.RawMessage(m.Body)}
			if err := json.Unmarshal(l.body, l); err != nil {
				l.Error.Error, l.body = "NotALetter", nil
			}
			l.Error.Error = cmp.Or(l.Error.Error, "NotStarted") // from the queue of deferred events, after its last attempt
			if !seen[l.id] {
				seen[l.id] = true
				got.all = append(got.all, l)
			}
			empty = -1
		}
	}
	return got, nil
}

// giveBack makes what is left visible again for the next look.
func (d *deployment) giveBack(ctx context.Context, queue string, l *letters) {
	for _, one := range l.all {
		if one.receipt != "" {
			// What fails here becomes visible by itself in two minutes.
			_ = d.api.Call(ctx, awsjson.SQS, "ChangeMessageVisibility", map[string]any{"QueueUrl": queue, "ReceiptHandle": one.receipt, "VisibilityTimeout": 0}, nil)
		}
	}
}

func (l *letters) list(e *env) error {
	n := 0
	for _, one := range l.all {
		if l.chosen(one) {
			n++
			fmt.Fprintf(e.out, "%s  %s  %s  %s %s  %s: %s\n", one.id, time.UnixMilli(one.Event.At).UTC().Format(time.RFC3339), one.Machine, one.Event.Pair, one.Event.ID, one.Error.Error, one.Error.Text())
		}
	}
	if n == 0 {
		fmt.Fprintln(e.out, "there are no dead letters")
	}
	return nil
}

func (l *letters) export(file string) error {
	var b strings.Builder
	for _, one := range l.all {
		if l.chosen(one) && one.body != nil {
			b.Write(one.body)
			b.WriteByte('\n')
		}
	}
	return os.WriteFile(file, []byte(b.String()), 0o600)
}

// redrive starts the chosen events again, oldest first, and deletes each after
// its start: a failure between the two starts it twice, which changes nothing.
func (d *deployment) redrive(ctx context.Context, e *env, queue string, l *letters) error {
	machines := map[spec.Direction]string{}
	slices.SortFunc(l.all, func(a, b *letter) int { return cmp.Compare(a.Event.At, b.Event.At) })
	n := 0
	for _, one := range l.all {
		if !l.chosen(one) {
			continue
		}
		if one.body == nil {
			fmt.Fprintf(e.err, "%s: not a dead letter of Tandem; look at it in the console\n", one.id)
			continue
		}
		if machines[one.Machine] == "" {
			arn, err := d.machine(ctx, one.Machine)
			if err != nil {
				return err
			}
			machines[one.Machine] = arn
		}
		name, err := d.again(ctx, machines[one.Machine], queue, one)
		if err != nil {
			return fmt.Errorf("dead letter %s: %w; %d were redriven before it", one.id, err, n)
		}
		n++
		fmt.Fprintf(e.out, "%s: started %s\n", one.id, name)
	}
	if n == 0 {
		return errors.New("no dead letter was chosen by that; tandem dead-letters lists them")
	}
	return nil
}

// again starts one event under a name of its own and deletes its message. The
// event's seal is checked by Verify as before.
func (d *deployment) again(ctx context.Context, machine, queue string, l *letter) (string, error) {
	name, input, err := flow.Redriven(l.Event, l.id)
	if err != nil {
		return "", err
	}
	in := map[string]any{"stateMachineArn": machine, "name": name, "input": string(input)}
	if err := d.api.Call(ctx, awsjson.States, "StartExecution", in, nil); err != nil {
		return "", err
	}
	if err := d.api.Call(ctx, awsjson.SQS, "DeleteMessage", map[string]any{"QueueUrl": queue, "ReceiptHandle": l.receipt}, nil); err != nil {
		return "", fmt.Errorf("%s is started, but: %w", name, err)
	}
	l.receipt = ""
	d.unlist(ctx, l)
	return name, nil
}

// unlist takes the letter from the Centre's page; otherwise it goes by itself
// when its message would have.
func (d *deployment) unlist(ctx context.Context, l *letter) {
	key := ledger.LetterKey(l.Machine, l.Execution)
	_ = d.api.Call(ctx, awsjson.DynamoDB, "DeleteItem", map[string]any{"TableName": names.ClientTable(d.client),
		"Key": map[string]any{"pk": map[string]string{"S": key.PK}, "sk": map[string]string{"S": key.SK}}}, nil)
}
