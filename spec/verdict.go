package spec

import (
	"strconv"
	"strings"

	"tandem/internal/record"
)

// Verdict is what the checker decided about one field's way there and back.
type Verdict string

// The verdicts. A way there f and a way back b converge when f(b(f(x))) = f(x)
// and b(f(b(y))) = b(y) for every x and y: after one journey, whichever side it
// began on, nothing moves any more. Only converging fields may travel both ways.
const (
	// Invertible: every value comes back as it was.
	Invertible Verdict = "invertible"
	// Canonicalising: it converges; a value may come back in another spelling.
	Canonicalising Verdict = "canonicalising"
	// Lossy: it converges, but different values come back as one. Only an enumMap
	// whose reverse is written out gets this verdict.
	Lossy Verdict = "lossy"
	// OneWay: the field travels in one direction only.
	OneWay Verdict = "one-way"
	// Refused: it does not converge, or a value has no way back.
	Refused Verdict = "refused"
)

// Judgement is a verdict with its reason.
type Judgement struct {
	Verdict Verdict
	// Code and Message are those of the finding that a refusal becomes.
	Code, Message string
	// From is the side that Chain begins on: a value there, what it becomes on the
	// other side, and what that becomes when it comes back.
	From  record.System
	Chain []string
	// Stopped says why the chain ends before it is back.
	Stopped string
}

// Example prints the chain, as in prospect -> LEAD -> lead; "" without one.
func (j Judgement) Example() string {
	words := make([]string, len(j.Chain))
	for i, v := range j.Chain {
		words[i] = show(v)
	}
	if j.Stopped != "" && len(words) > 0 {
		words = append(words, "("+j.Stopped+")")
	}
	return strings.Join(words, " -> ")
}

// show writes a value plainly where it is plain, quoted elsewhere.
func show(v string) string {
	if v == "" || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return strconv.QuoteToASCII(v)
	}
	return v
}
