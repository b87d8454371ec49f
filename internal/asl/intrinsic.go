package asl

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// mathAdd is States.MathAdd, the one intrinsic that the machines use. Both
// arguments are integers (numbers with a fraction are rounded, as AWS
// documents); each is a number or a path.
type mathAdd struct {
	args  [2]template
	field string
}

// parseIntrinsic compiles a call.
func parseIntrinsic(text, field string) (template, error) {
	inner, ok := strings.CutPrefix(text, "States.MathAdd(")
	if !ok || !strings.HasSuffix(inner, ")") {
		return nil, fmt.Errorf("field %q: %q is neither a path nor States.MathAdd(a, b), the intrinsic that is supported", field, text)
	}
	args := strings.Split(strings.TrimSuffix(inner, ")"), ",")
	if len(args) != 2 {
		return nil, fmt.Errorf("field %q: States.MathAdd takes 2 arguments, not %d", field, len(args))
	}
	add := mathAdd{field: field}
	for i, a := range args {
		t, err := parseArgument(strings.TrimSpace(a), field)
		if err != nil {
			return nil, err
		}
		add.args[i] = t
	}
	return add, nil
}

// parseArgument reads a number or a path.
func parseArgument(text, field string) (template, error) {
	if strings.HasPrefix(text, "$") {
		p, err := parsePath(text)
		return pathTemplate{p, field}, err
	}
	if _, err := strconv.ParseInt(text, 10, 32); err != nil {
		return nil, fmt.Errorf("field %q: argument %q is neither a path nor a whole number", field, text)
	}
	return literal(text), nil
}

func (a mathAdd) appendTo(b []byte, in scope) ([]byte, *Failure) {
	sum := int64(0)
	for _, arg := range a.args {
		raw, f := arg.appendTo(nil, in)
		if f != nil {
			return nil, &Failure{intrinsicFailure, f.Cause}
		}
		n, err := wholeNumber(raw)
		if err != nil {
			return nil, &Failure{intrinsicFailure, fmt.Sprintf("field %q: an argument of States.MathAdd %v", a.field, err)}
		}
		sum += n
	}
	return strconv.AppendInt(b, sum, 10), nil
}

// wholeNumber reads a number of the range that AWS allows here.
func wholeNumber(raw json.RawMessage) (int64, error) {
	f, err := strconv.ParseFloat(string(compact(raw)), 64)
	if err != nil {
		return 0, fmt.Errorf("is not a number")
	}
	if f = math.Round(f); f < math.MinInt32 || f > math.MaxInt32 {
		return 0, fmt.Errorf("is outside the 32-bit range")
	}
	return int64(f), nil
}
