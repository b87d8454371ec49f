package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/internal/flow"
	"tandem/internal/record"
)

// verbs is the script's language, one command on a line; a line that begins
// with # is a comment.
// Values may be quoted. A record is called by a name of the script's own, on
// both sides alike: the other side's id is looked up in the mapping.
//
//	hubspot|destination create OBJECT NAME prop=value...   somebody makes a record
//	hubspot|destination set NAME prop=value...             somebody edits it
//	hubspot write NAME prop=value...                       a program edits it, under our own app's id
//	hubspot|destination delete|restore|purge NAME          somebody removes it or brings it back
//	hubspot merge NAME OTHER SURVIVOR                      two records become a third
//	for N: COMMAND                                         with # in COMMAND as 1 to N
//	wait DURATION | quiet | poll                           time passes; until nothing is under way
//	backfill hubspot|destination OBJECT                    every record is told of, changed or not
//	hold hubspot|destination                               its deliveries stay with us
//	release hubspot|destination [together|singly] [reversed] [twice]  they are let through
//	forget hubspot|destination                             those that were held are lost
//	redeliver hubspot|destination                          its last delivery comes again
//	start again                                            the last execution is started once more
//	redrive                                                every dead letter is tried again
//	on before|after|every POINT: COMMAND                   once (every: each time after) that point is reached;
//	    POINT is SYSTEM create|update|archive|read|search or SOURCE Verify|Transform|Lookup|Write|Stamp|start
//	crash | restart | power cut                            the lambda, the execution or everything dies
//	fault STATUS|lost|late DURATION                        in a hook before or after a request
//	habit NAME=VALUE...                                    the destination's ways change
//	table keep|back|lost                                   it is backed up, put back to that, or lost
//	spec set PATH JSON | spec remove PATH                  the spec changes, a deployment
//	second COMMAND                                         in another integration on the same portal
//	mark                                                   counts begin anew
//	expect ...                                             see expect
var verbs map[string]func(*stage, context.Context, []string) error

func init() {
	verbs = map[string]func(*stage, context.Context, []string) error{
		"hubspot": (*stage).somebody, "destination": (*stage).somebody, "for": (*stage).repeat,
		"wait": (*stage).pass, "quiet": func(st *stage, ctx context.Context, _ []string) error { return st.quiet(ctx) },
		"poll": (*stage).look, "backfill": (*stage).backfill, "hold": (*stage).hold, "release": (*stage).release, "forget": (*stage).forget, "redeliver": (*stage).redeliver,
		"start": (*stage).startAgain, "redrive": (*stage).redrive, "on": (*stage).on, "crash": (*stage).crash,
		"restart": (*stage).restart, "power": (*stage).powerCut, "fault": (*stage).fault, "habit": (*stage).habit,
		"spec": (*stage).deploy, "table": (*stage).fate, "mark": (*stage).mark, "second": (*stage).other, "expect": (*stage).expect,
	}
}

// play runs a script and asks the invariants; it returns what was wrong.
func (st *stage) play(file string, first int, script string) []string {
	over := false
	st.start(0, false, func(ctx context.Context) {
		for i, text := range strings.Split(script, "\n") {
			if text = strings.TrimSpace(text); text == "" || strings.HasPrefix(text, "#") {
				continue
			}
			where := fmt.Sprintf("%s:%d", file, first+i)
			if said := strings.TrimPrefix(text, "second "); !strings.HasPrefix(said, "expect ") && said != "mark" {
				st.tell("%s", text)
			}
			if err := st.do(ctx, where, text); err != nil {
				st.problems = append(st.problems, fmt.Sprintf("%s: %v", where, err))
				return
			}
		}
		if err := st.quiet(ctx); err != nil {
			st.problems = append(st.problems, fmt.Sprintf("%s: %v", file, err))
		}
		over = true
	}, nil)
	if st.world.run(1000*time.Hour) && over {
		st.invariants(file)
	}
	return st.problems
}

// invariants asks what must hold in every quiet world, and makes all deliveries again.
func (st *stage) invariants(file string) {
	fail := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !st.excuse(text) {
			st.problems = append(st.problems, file+": invariant "+text)
		}
	}
	for _, h := range st.hooks {
		if h.hits == 0 {
			st.problems = append(st.problems, fmt.Sprintf("%s: never happened: %s %s", h.where, h.when, h.point))
		}
	}
	st.hooks = nil
	kept := len(st.lines)
	for _, s := range []*stage{st, st.second} {
		if s != nil {
			s.observe(record.HubSpot, false)
			s.check(fail)
			s.replay(fail)
		}
	}
	st.lines = st.lines[:kept]
}

func (st *stage) excuse(problem string) bool {
	for text := range st.excused {
		if strings.Contains(problem, text) {
			return true
		}
	}
	return false
}

// do runs one command.
func (st *stage) do(ctx context.Context, where, text string) error {
	words, err := split(text)
	if err != nil {
		return err
	}
	verb, ok := verbs[words[0]]
	if !ok {
		return fmt.Errorf("there is no verb %q", words[0])
	}
	was := st.where
	st.where = where
	defer func() { st.where = was }()
	return verb(st, ctx, words)
}

// split cuts a line into words; a quoted part keeps its spaces.
func split(text string) (words []string, err error) {
	var word strings.Builder
	quoted, any := false, false
	flush := func() {
		if any {
			words = append(words, word.String())
		}
		word.Reset()
		any = false
	}
	for _, c := range text {
		switch {
		case c == '"':
			quoted, any = !quoted, true
		case c == ' ' && !quoted:
			flush()
		default:
			word.WriteRune(c)
			any = true
		}
	}
	flush()
	if quoted {
		return nil, errors.New("a quote is not closed")
	}
	return words, nil
}

var errUsage = errors.New("the command is not complete: see verbs")

func (st *stage) repeat(ctx context.Context, w []string) error {
	if len(w) < 3 || !strings.HasSuffix(w[1], ":") {
		return errUsage
	}
	n, err := strconv.Atoi(strings.TrimSuffix(w[1], ":"))
	if err != nil {
		return err
	}
	for i := range n {
		if err := st.do(ctx, st.where, strings.ReplaceAll(quote(w[2:]), "#", strconv.Itoa(i+1))); err != nil {
			return err
		}
	}
	return nil
}

// quote makes a line of words again.
func quote(words []string) string { return `"` + strings.Join(words, `" "`) + `"` }

func (st *stage) pass(ctx context.Context, w []string) error {
	if len(w) != 2 {
		return errUsage
	}
	d, err := time.ParseDuration(w[1])
	if err != nil {
		return err
	}
	return st.wait(ctx, d)
}

// everything lists all records of an object type, as a backfill does.
type everything struct {
	st  *stage
	sys record.System
}

// Changed implements flow.Changes.
func (e everything) Changed(_ context.Context, object, cursor string) (refs []flow.ChangedRecord, next string, more bool, err error) {
	for _, id := range e.st.list(e.sys, object) {
		refs = append(refs, flow.ChangedRecord{ID: id})
	}
	return refs, cursor, false, nil
}

// backfill tells of every record of an object type, changed or not.
func (st *stage) backfill(_ context.Context, w []string) error {
	if len(w) != 3 {
		return errUsage
	}
	sys := record.System(w[1])
	st.inFlight++
	done := func() { st.inFlight-- }
	st.run.start(0, true, func(ctx context.Context) {
		if _, err := st.ingress.Poll(ctx, sys, w[2], everything{st, sys}); err != nil {
			st.problems = append(st.problems, st.where+": "+err.Error())
		}
		done()
	}, done)
	return nil
}

func (st *stage) look(context.Context, []string) error { st.poll(); return nil }

func (st *stage) hold(_ context.Context, w []string) error {
	if len(w) != 2 {
		return errUsage
	}
	st.pump()
	st.holding[record.System(w[1])] = true
	return nil
}

func (st *stage) forget(_ context.Context, w []string) error {
	if len(w) != 2 {
		return errUsage
	}
	st.pump()
	st.held[record.System(w[1])] = nil
	return nil
}

func (st *stage) release(_ context.Context, w []string) error {
	if len(w) < 2 {
		return errUsage
	}
	st.pump()
	sys := record.System(w[1])
	list := st.held[sys]
	st.held[sys], st.holding[sys] = nil, false
	if slices.Contains(w, "together") {
		list = together(sys, list)
	}
	if slices.Contains(w, "singly") {
		var each []delivered
		for _, d := range list {
			each = append(each, d.singly()...)
		}
		list = each
	}
	if slices.Contains(w, "reversed") {
		slices.Reverse(list)
	}
	if slices.Contains(w, "twice") {
		list = append(slices.Clone(list), list...)
	}
	for i, d := range list {
		st.bring(d, 0, time.Duration(20+10*i)*time.Millisecond)
	}
	return nil
}

// together makes one HubSpot delivery of several.
func together(sys record.System, list []delivered) []delivered {
	all := delivered{system: sys}
	for _, d := range list {
		all.hub = append(all.hub, d.hub...)
	}
	return []delivered{all}
}

// singly cuts a delivery into one per event.
func (d delivered) singly() (out []delivered) {
	for i := range d.hub {
		out = append(out, delivered{system: d.system, hub: d.hub[i : i+1]})
	}
	var body struct {
		Events []json.RawMessage `json:"events"`
	}
	_ = json.Unmarshal(d.erp, &body)
	for _, e := range body.Events {
		out = append(out, delivered{system: d.system, erp: fmt.Appendf(nil, `{"events":[%s]}`, e)})
	}
	return out
}

func (st *stage) redeliver(_ context.Context, w []string) error {
	d := st.last[record.System(w[len(w)-1])]
	if d.system == "" {
		return fmt.Errorf("%s has delivered nothing yet", w[len(w)-1])
	}
	st.bring(d, 1, 20*time.Millisecond)
	return nil
}

func (st *stage) startAgain(context.Context, []string) error {
	if len(st.starts) == 0 {
		return errors.New("nothing was started yet")
	}
	s := st.starts[len(st.starts)-1]
	st.execute(s.direction, s.name, s.input)
	return nil
}

func (st *stage) redrive(context.Context, []string) error {
	letters := st.letters
	st.letters, st.seen = nil, 0
	for i, l := range letters {
		st.execute(l.state.Event.Direction, fmt.Sprintf("%s-r%d", l.state.Event.Name, i), l.input)
	}
	return nil
}

// on keeps a command for later.
func (st *stage) on(_ context.Context, w []string) error {
	head, command, ok := strings.Cut(strings.Join(w[1:], " "), ": ")
	words := strings.Fields(head)
	if !ok || len(words) != 3 || !slices.Contains([]string{"before", "after", "every"}, words[0]) {
		return errors.New("write: on before|after|every POINT: COMMAND")
	}
	h := &hook{when: words[0], point: words[1] + " " + words[2], command: command, where: st.where}
	if h.when == "every" {
		h.when, h.always = "after", true
	}
	st.hooks = append(st.hooks, h)
	return nil
}

func (st *stage) mark(context.Context, []string) error {
	st.writesTo, st.outcomes, st.reasons = map[record.System]int{}, map[string]int{}, nil
	return nil
}
