package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"tandem/internal/local/engine"
)

func redriveCommand(ctx context.Context, e *env, args []string) error {
	f := e.flags("redrive", "[flags] [ID...]", "Without ids, --code and --all, dead letters are listed and nothing is started.")
	address := f.String("addr", "", "the `address` of a running tandem run (TANDEM_ADDR, "+defaultListen+")")
	code := f.String("code", "", "redrive all dead letters of this `cause`, such as RemoteBusy")
	all := f.Bool("all", false, "redrive all dead letters")
	asJSON := f.Bool("json", false, "list as JSON")
	if err := parse(f, args); err != nil {
		return err
	}
	if *all && *code != "" || f.NArg() > 0 && (*all || *code != "") {
		return misused("choose dead letters by ids, or by --code, or --all")
	}
	s := addressOf(e, *address)
	if f.NArg() > 0 {
		for _, id := range f.Args() {
			if _, err := strconv.ParseUint(id, 10, 64); err != nil {
				return misused("%q is not the id of a dead letter; tandem redrive lists them", id)
			}
			if err := s.redrive(ctx, e, id); err != nil {
				return err
			}
		}
		return nil
	}
	letters, err := s.deadLetters(ctx)
	if err != nil {
		return err
	}
	if *code == "" && !*all {
		return list(e, letters, *asJSON)
	}
	letters = slices.DeleteFunc(letters, func(l engine.DeadLetter) bool { return !*all && l.Code != *code })
	for _, l := range letters {
		if err := s.redrive(ctx, e, l.ID); err != nil {
			return err
		}
	}
	if len(letters) == 0 {
		_, err = fmt.Fprintln(e.out, "there are no such dead letters")
	}
	return err
}

func (s server) redrive(ctx context.Context, e *env, id string) error {
	var started struct{ Execution string }
	if err := s.call(ctx, "POST", "/api/dead-letters/"+id+"/redrive", &started); err != nil {
		return fmt.Errorf("dead letter %s: %w", id, err)
	}
	_, err := fmt.Fprintf(e.out, "%s: started %s\n", id, started.Execution)
	return err
}

// deadLetters reads all pages of the list.
func (s server) deadLetters(ctx context.Context) (all []engine.DeadLetter, err error) {
	for since := uint64(0); ; {
		var page struct {
			DeadLetters []engine.DeadLetter
			Next        uint64
		}
		if err := s.call(ctx, "GET", "/api/dead-letters?since="+strconv.FormatUint(since, 10), &page); err != nil {
			return nil, err
		}
		if len(page.DeadLetters) == 0 {
			return all, nil
		}
		all, since = append(all, page.DeadLetters...), page.Next
	}
}

func list(e *env, letters []engine.DeadLetter, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(e.out).Encode(append([]engine.DeadLetter{}, letters...))
	}
	if len(letters) == 0 {
		_, err := fmt.Fprintln(e.out, "there are no dead letters")
		return err
	}
	for _, l := range letters {
		fmt.Fprintf(e.out, "%s  %s  %s %s  %s: %s\n", l.ID, l.At.Format(time.RFC3339), l.Object, l.Event.ID, l.Code, l.Cause)
	}
	return nil
}
