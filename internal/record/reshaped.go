package record

import (
	"cmp"
	"math/big"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Reshaped reports whether stored, a canonical text, is what a system may have made
// of sent by itself: another letter case, without or with spaces and the marks that
// phone numbers are written with, cut off, rounded, or a blank's default. Anything
// else somebody has set.
func Reshaped(t Type, stored, sent string) bool {
	switch {
	case stored == sent:
		return true
	case stored == "" || sent == "":
		return slices.Contains(blanks[t], stored+sent)
	}
	switch t {
	case Number:
		return rounded(stored, sent)
	case DateTime:
		return coarser(stored, sent)
	case String, Enum, Set, "":
		return respelt(plain(stored), plain(sent))
	}
	return false
}

// blanks are what systems without null keep in a blank's place.
var blanks = map[Type][]string{
	Number: {"0"}, Bool: {"false"}, Date: {"0001-01-01"}, DateTime: {"0001-01-01T00:00:00.000Z"},
}

// cutOff is the shortest text that is taken for a longer one cut off: few columns
// are narrower, and few people shorten a text to its first so many characters.
const cutOff = 20

func respelt(stored, sent string) bool {
	return stored != "" && (stored == sent || strings.HasPrefix(sent, stored) && utf8.RuneCountInString(stored) >= cutOff)
}

// Plain is what all forms of a canonical text have in common that a system may make of
// it by leaving out or changing letter case, spaces and such marks; a text of another
// type is its own.
func Plain(t Type, text string) string {
	switch t {
	case String, Enum, Set, "":
		return cmp.Or(plain(text), text) // of marks alone nothing would be left
	}
	return text
}

// plain leaves out of a text what systems change in it by themselves.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("()-/+", r) {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

// rounded: stored has fewer decimals than sent, and is sent rounded to them either
// way of a half, or cut to them.
func rounded(stored, sent string) bool {
	a, okA := new(big.Rat).SetString(stored)
	b, okB := new(big.Rat).SetString(sent)
	if !okA || !okB {
		return false
	}
	decimals, exact := a.FloatPrec()
	if more, _ := b.FloatPrec(); !exact || more <= decimals {
		return false
	}
	off := new(big.Rat).Sub(b, a)
	unit := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil))
	cut := off.Sign() == b.Sign() && off.Abs(off).Cmp(unit) < 0
	return cut || off.Abs(off).Cmp(unit.Mul(unit, big.NewRat(1, 2))) <= 0
}

// coarser: stored is a whole second, minute or day, and less than one from sent.
func coarser(stored, sent string) bool {
	a, errA := time.Parse(time.RFC3339, stored)
	b, errB := time.Parse(time.RFC3339, sent)
	return errA == nil && errB == nil && slices.ContainsFunc([]time.Duration{time.Second, time.Minute, 24 * time.Hour}, func(unit time.Duration) bool {
		return a.Truncate(unit).Equal(a) && b.Sub(a).Abs() < unit
	})
}
