package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/internal/simulator/erp"
	"tandem/spec"
)

func (st *stage) crash(ctx context.Context, _ []string) error {
	if ctx.Value(lambdaKey{}) == nil {
		return errors.New("only a lambda can crash: use it in a hook")
	}
	panic(diedLambda{})
}

func (st *stage) restart(ctx context.Context, _ []string) error {
	if ctx.Value(lambdaKey{}) == nil {
		return errors.New("only an execution can restart: use it in a hook")
	}
	panic(died{"execution"})
}

func (st *stage) powerCut(context.Context, []string) error { st.power++; return nil }

func (st *stage) fault(_ context.Context, w []string) error {
	switch {
	case len(w) == 2 && w[1] == "lost":
		return &fault{lost: true}
	case len(w) == 3 && w[1] == "late":
		d, err := time.ParseDuration(w[2])
		if err != nil {
			return err
		}
		return &fault{late: d}
	case len(w) == 2:
		status, err := strconv.Atoi(w[1])
		if err != nil {
			return fmt.Errorf("fault %q: allowed are a status, lost, and late with a duration", w[1])
		}
		return &fault{status: status}
	}
	return errUsage
}

// habit changes the destination's ways.
func (st *stage) habit(_ context.Context, w []string) error {
	for _, v := range w[1:] {
		name, text, _ := strings.Cut(v, "=")
		d, _ := time.ParseDuration(text)
		n, _ := strconv.Atoi(text)
		var err error
		st.erp.SetHabits(func(h *erp.Habits) {
			switch {
			case name == "phones":
				h.Phones = text == "true"
			case name == "skew":
				h.Skew, st.run.skew = d, d
			case name == "omits":
				h.Omits = text == "true"
			case name == "terse":
				h.Terse = text == "true"
			case name == "findlag":
				h.FindLag = d
			case strings.HasPrefix(name, "longest."):
				h.Longest = map[string]int{strings.TrimPrefix(name, "longest."): n}
			case strings.HasPrefix(name, "unique."):
				h.Unique[strings.TrimPrefix(name, "unique.")] = strings.FieldsFunc(text, func(c rune) bool { return c == ',' })
			default:
				err = fmt.Errorf("there is no habit %q", name)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// deploy changes the spec as its author would in the file, and deploys it.
func (st *stage) deploy(_ context.Context, w []string) error {
	if len(w) < 3 {
		return errUsage
	}
	data, err := json.Marshal(st.document())
	if err != nil {
		return err
	}
	var doc any
	if err := json.Unmarshal(data, &doc); err != nil {
		return err
	}
	var value any
	if w[1] == "set" {
		if err := json.Unmarshal([]byte(strings.ReplaceAll(strings.Join(w[3:], " "), "'", `"`)), &value); err != nil {
			return fmt.Errorf("the value is not JSON (quotes are written '): %w", err)
		}
	}
	if doc, err = change(doc, strings.Split(w[2], "."), value); err != nil {
		return err
	}
	if data, err = json.Marshal(doc); err != nil {
		return err
	}
	s, err := spec.Parse("spec of the scenario", data)
	if err != nil {
		return err
	}
	st.source = doc
	st.hub.DefineFor(s)
	return st.adopt(s)
}

// document is the spec's file as it is now deployed.
func (st *stage) document() any {
	if st.source == nil {
		data, err := os.ReadFile("../../spec/acme/integration-spec.json")
		if err == nil {
			err = json.Unmarshal(data, &st.source)
		}
		if err != nil {
			panic(err)
		}
	}
	return st.source
}

// change sets (or with nil removes) what a path names; members of an array are
// named by their "name" and a path may end in a new one.
func change(doc any, path []string, value any) (any, error) {
	switch at := doc.(type) {
	case map[string]any:
		if len(path) == 1 {
			if at[path[0]] = value; value == nil {
				delete(at, path[0])
			}
			return at, nil
		}
		inner, err := change(at[path[0]], path[1:], value)
		at[path[0]] = inner
		return at, err
	case []any:
		i := slices.IndexFunc(at, func(e any) bool { m, _ := e.(map[string]any); return m["name"] == path[0] })
		switch {
		case i < 0 && len(path) == 1 && value != nil:
			return append(at, value), nil
		case i < 0:
			return at, fmt.Errorf("the spec has nothing called %q there", path[0])
		case len(path) == 1 && value == nil:
			return slices.Delete(at, i, i+1), nil
		case len(path) == 1:
			at[i] = value
			return at, nil
		}
		inner, err := change(at[i], path[1:], value)
		at[i] = inner
		return at, err
	}
	return doc, fmt.Errorf("the spec has nothing at %q", path[0])
}
