package record

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
)

// Type says how a field's text is read and which of its spellings are equal.
type Type string

// The types a spec may name. They follow HubSpot's property types
// (developers.hubspot.com, properties guide); Set is an enumeration that holds
// several values and Ref an id of a record of another object pair.
const (
	String    Type = "string"
	Number    Type = "number"
	Bool      Type = "bool"
	Date      Type = "date"
	DateTime  Type = "datetime"
	Enum      Type = "enum"
	Set       Type = "set"
	Reference Type = "ref"
)

// Types lists every Type in the order documentation prints them.
var Types = []Type{String, Number, Bool, Date, DateTime, Enum, Set, Reference}

// Canonical rewrites text in the one canonical spelling of its type:
//
//	string    Unicode NFC, line ends as \n
//	number    plain decimal, no exponent, no trailing zeros, "-0" is "0"
//	bool      "true" or "false"
//	date      YYYY-MM-DD (also from ISO instants, the day they name in their own
//	          zone, and from HubSpot's UTC milliseconds)
//	datetime  RFC 3339 in UTC with milliseconds (also from milliseconds)
//	enum      trimmed text
//	set       members trimmed, sorted, without repeats, joined by ";"
//	ref       trimmed text
//
// Blank text is blank in every type. Text that the type cannot hold is an
// error that names the type but never the value, which may be personal.
func Canonical(t Type, text string) (string, error) {
	if strings.TrimSpace(text) == "" {
		return "", nil
	}
	switch t {
	case String, "": // a spec that names no type means text
		return canonicalString(text), nil
	case Enum, Reference:
		return strings.TrimSpace(text), nil
	case Number:
		return canonicalNumber(strings.TrimSpace(text))
	case Bool:
		return canonicalBool(strings.TrimSpace(text))
	case Date:
		return canonicalTime(strings.TrimSpace(text), time.DateOnly)
	case DateTime:
		return canonicalTime(strings.TrimSpace(text), "2006-01-02T15:04:05.000Z")
	case Set:
		return canonicalSet(text), nil
	}
	return "", fmt.Errorf("unknown type %q", t)
}

func canonicalString(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return norm.NFC.String(strings.ReplaceAll(s, "\r", "\n"))
}

// maxExponent bounds the digits that a spelling such as 1e999999999 may unfold to.
const maxExponent = 64

func canonicalNumber(s string) (string, error) {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	if n, err := strconv.Atoi(exponent); exponent != "" && (err != nil || n > maxExponent || n < -maxExponent) {
		return "", fmt.Errorf("not a number in range")
	}
	if len(s) > 2*maxExponent || strings.ContainsAny(mantissa, "/_xXpPiInN") {
		return "", fmt.Errorf("not a decimal number")
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return "", fmt.Errorf("not a number")
	}
	digits, _ := r.FloatPrec()
	out := r.FloatString(digits)
	return out, nil
}

func canonicalBool(s string) (string, error) {
	switch strings.ToLower(s) {
	case "true", "yes", "1":
		return "true", nil
	case "false", "no", "0":
		return "false", nil
	}
	return "", fmt.Errorf("not a bool")
}

// timeLayouts are the spellings met in HubSpot reads and in common REST APIs; a
// zone without a colon is Salesforce's.
var timeLayouts = []string{
	time.RFC3339Nano, time.DateOnly, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04:05.000Z07:00", "2006-01-02T15:04:05Z0700",
}

func canonicalTime(s, layout string) (string, error) {
	// HubSpot's webhooks carry dates and instants as UTC milliseconds
	// (facts: a datetime arrives as "1752559200000" where a read answers ISO).
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil && len(s) > 8 {
		return formatTime(time.UnixMilli(ms).UTC(), layout)
	}
	for _, l := range timeLayouts {
		if t, err := time.Parse(l, s); err == nil {
			return formatTime(t, layout)
		}
	}
	return "", fmt.Errorf("not a date or time")
}

// formatTime refuses instants whose year has not four digits: their canonical
// text could not be read again. A day is that of the zone it was told in: a system
// that tells days as its own midnights means those.
func formatTime(t time.Time, layout string) (string, error) {
	if layout != time.DateOnly {
		t = t.UTC()
	}
	if t.Year() < 1 || t.Year() > 9999 {
		return "", fmt.Errorf("not a time in the years 1 to 9999")
	}
	return t.Format(layout), nil
}

func canonicalSet(s string) string {
	var members []string
	for m := range strings.SplitSeq(s, ";") {
		if m = strings.TrimSpace(m); m != "" {
			members = append(members, m)
		}
	}
	slices.Sort(members)
	return strings.Join(slices.Compact(members), ";")
}
