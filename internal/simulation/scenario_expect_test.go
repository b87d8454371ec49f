package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/internal/ledger"
	"tandem/internal/record"
	"tandem/spec"
)

// expect checks what must be so at this moment:
//
//	expect hubspot|destination NAME prop=value...   what a record holds
//	expect hubspot|destination NAME gone            the record is not live
//	expect hubspot|destination OBJECT N             so many live records
//	expect writes hubspot|destination N [at most]   requests that changed something, since mark
//	expect outcomes KIND=N...                       stamped, dropped, parked or dead, since mark
//	expect reason TEXT                              an event ended since mark for a reason with this text
//	expect warning TEXT                             the operators' log warned of it
//	expect linked NAME | expect parked|gone SYSTEM NAME  the state of its pair
//	expect parked-field NAME FIELD                  the loop breaker took the field out
//	expect waits NAME FIELD                         the reference waits for what it refers to
//	expect conflict NAME FIELD loser=VALUE [winner=SYSTEM]  the losing value is recorded
//	expect conflicts NAME N                         so many are recorded
//	expect drift NAME FIELD                         an edit on a one-way field's wrong side was reported
//	expect nothing about SYSTEM NAME                the ledger holds no value or fingerprint of it
//	expect quiet                                    nothing is under way
//	expect violation TEXT                           an invariant need not hold here; the story says why
func (st *stage) expect(_ context.Context, w []string) error {
	if len(w) < 2 {
		return errUsage
	}
	switch w[1] {
	case "hubspot", "destination":
		return st.expectRecord(record.System(w[1]), w[2:])
	case "writes":
		return st.expectWrites(w[2:])
	case "outcomes":
		return st.expectOutcomes(w[2:])
	case "reason":
		return st.expectReason(strings.Join(w[2:], " "))
	case "warning":
		if text := strings.Join(w[2:], " "); !slices.ContainsFunc(st.warnings, func(r string) bool { return strings.Contains(r, text) }) {
			return fmt.Errorf("nobody was warned of %q; warnings were %q", text, st.warnings)
		}
		return nil
	case "quiet":
		if st.inFlight > 0 {
			return fmt.Errorf("%d tasks are under way", st.inFlight)
		}
		return nil
	case "violation":
		st.excused[strings.Join(w[2:], " ")] = true
		return nil
	}
	return st.expectPair(w[1:])
}

func (st *stage) expectRecord(sys record.System, w []string) error {
	if len(w) < 2 {
		return errUsage
	}
	if pair, ok := st.spec.PairByObject(sys, w[0]); ok {
		n, err := strconv.Atoi(w[1])
		if got := len(st.list(sys, pair.Side(sys).Object)); err == nil && got != n {
			err = fmt.Errorf("%s has %d live %s, want %d", sys, got, w[0], n)
		}
		return err
	}
	id, pair, err := st.id(sys, w[0])
	if err != nil {
		return err
	}
	now := st.now1(pair, sys, id)
	if gone := w[1] == "gone"; gone != (now == nil) {
		return fmt.Errorf("%s %s %s: live is %v", sys, pair.Side(sys).Object, id, now != nil)
	} else if gone {
		return nil
	}
	props, err := st.props(sys, pair, w[1:])
	if err != nil {
		return err
	}
	for _, f := range pair.Fields {
		want, asked := props[f.Side(sys).Property]
		if asked && now[f.Name] != want {
			return fmt.Errorf("%s %s %s: %s is %q, want %q", sys, pair.Side(sys).Object, id, f.Side(sys).Property, now[f.Name], want)
		}
	}
	return nil
}

func (st *stage) expectWrites(w []string) error {
	if len(w) < 2 {
		return errUsage
	}
	n, err := strconv.Atoi(w[1])
	got := st.writesTo[record.System(w[0])]
	if err == nil && (got > n || got < n && len(w) == 2) {
		err = fmt.Errorf("writes to %s: %d, want %s", w[0], got, strings.Join(w[1:], " "))
	}
	return err
}

func (st *stage) expectOutcomes(w []string) error {
	for _, v := range w {
		kind, text, _ := strings.Cut(v, "=")
		n, err := strconv.Atoi(text)
		if err != nil || !slices.Contains([]string{"stamped", "dropped", "parked", "dead"}, kind) {
			return fmt.Errorf("%q: write stamped, dropped, parked or dead = a number", v)
		}
		if st.outcomes[kind] != n {
			return fmt.Errorf("outcomes %s: %d, want %d; there were %v", kind, st.outcomes[kind], n, st.reasons)
		}
	}
	return nil
}

func (st *stage) expectReason(text string) error {
	if !slices.ContainsFunc(st.reasons, func(r string) bool { return strings.Contains(r, text) }) {
		return fmt.Errorf("no event ended with %q; there were %q", text, st.reasons)
	}
	return nil
}

// expectPair checks what the ledger holds of a record.
func (st *stage) expectPair(w []string) error {
	if len(w) < 2 {
		return errUsage
	}
	sys, name := record.HubSpot, w[1]
	if len(w) > 2 && (w[1] == "hubspot" || w[1] == "destination") {
		sys, name = record.System(w[1]), w[2]
	}
	if w[0] == "nothing" {
		sys, name = record.System(w[2]), w[3]
	}
	id, kind, err := st.id(sys, name)
	if err != nil {
		return err
	}
	pair := st.run.pairOf(kind, record.Ref{System: sys, Object: kind.Side(sys).Object, ID: id})
	if pair == nil {
		return errors.New("the table cannot be read")
	}
	switch w[0] {
	case "linked":
		return state(pair, ledger.Linked)
	case "parked":
		return state(pair, ledger.Parked)
	case "gone":
		return state(pair, ledger.Gone)
	case "nothing":
		return st.forgotten(kind, pair)
	}
	if len(w) < 3 {
		return errUsage
	}
	return st.expectField(kind, pair, w)
}

// forgotten: what is left of a record tells nothing but that it is to rest.
func (st *stage) forgotten(kind spec.Pair, p *ledger.Pair) error {
	look := &ledger.Ledger{Table: st.table, Client: st.spec.Client, Now: func() time.Time { return st.now }}
	lost, err := look.Conflicts(context.Background(), record.Ref{System: record.Destination, Object: kind.Destination.Object, ID: p.IDs[record.Destination]})
	if err == nil && len(p.Base)+len(p.Windows)+len(p.Drifted)+len(p.Swings)+len(lost) > 0 {
		err = fmt.Errorf("the ledger still knows: base of %d fields, %d windows, %d drifts, %d swings, %d conflicts",
			len(p.Base), len(p.Windows), len(p.Drifted), len(p.Swings), len(lost))
	}
	return err
}

func state(p *ledger.Pair, want ledger.State) error {
	if p.State != want {
		return fmt.Errorf("its pair is %q %s, want %q", p.State, p.Reason, want)
	}
	return nil
}

func (st *stage) expectField(kind spec.Pair, pair *ledger.Pair, w []string) error {
	dest := record.Ref{System: record.Destination, Object: kind.Destination.Object, ID: pair.IDs[record.Destination]}
	look := &ledger.Ledger{Table: st.table, Client: st.spec.Client, Now: func() time.Time { return st.now }}
	lost, err := look.Conflicts(context.Background(), dest)
	if err != nil {
		return err
	}
	switch w[0] {
	case "parked-field":
		if pair.ParkedFields[w[2]] == "" {
			return fmt.Errorf("field %s is not parked; parked are %v", w[2], pair.ParkedFields)
		}
	case "waits":
		if !slices.ContainsFunc(pair.Waits, func(o ledger.Wait) bool { return o.Field == w[2] }) {
			return fmt.Errorf("field %s waits for nothing; what waits is %v", w[2], pair.Waits)
		}
	case "drift":
		if pair.Drifted[w[2]] == "" {
			return fmt.Errorf("no drift of field %s was reported", w[2])
		}
	case "conflicts":
		if w[2] != strconv.Itoa(len(lost)) {
			return fmt.Errorf("%d conflicts are recorded, want %s: %v", len(lost), w[2], lost)
		}
	case "conflict":
		loser, winner := argument(w[3:], "loser"), argument(w[3:], "winner")
		print := ledger.Fingerprint(st.spec.Client+"/"+kind.Name, w[2], record.HubSpot, loser)
		if !slices.ContainsFunc(lost, func(c ledger.Conflict) bool {
			return c.Field == w[2] && (c.Loser == loser || c.LoserPrint == print) && (winner == "" || string(c.Winner) == winner)
		}) {
			return fmt.Errorf("no such conflict is recorded; there are %+v", lost)
		}
	default:
		return fmt.Errorf("there is nothing called %q to expect", w[0])
	}
	return nil
}

func argument(words []string, name string) string {
	for _, w := range words {
		if v, ok := strings.CutPrefix(w, name+"="); ok {
			return v
		}
	}
	return ""
}
