package logic

import (
	"errors"
	"strings"
)

func init() {
	register(Function{
		Name: "phoneAU",
		Doc: "Writes a telephone number as E.164 (ITU-T E.164: + and at most 15 digits). Numbers without a country code are " +
			"Australian: 0 and nine digits, or a 1300 or 1800 number. Both ways it is a canonical form: the side that is " +
			"written to gets E.164.",
		Forward: phoneAU,
		Reverse: phoneAU,
		Examples: []Example{
			{Text: "a mobile", In: "0412 345 678", Want: "+61412345678"},
			{Text: "a landline with its area in brackets", In: "(02) 9374-4000", Want: "+61293744000"},
			{Text: "a country code with a needless zero", In: "+61 (0)2 9374 4000", Want: "+61293744000"},
			{Text: "dialled from abroad", In: "0061 3 9374 4000", Want: "+61393744000"},
			{Text: "dialled out of Australia", In: "0011 46 8 123 456 78", Want: "+46812345678"},
			{Text: "a freecall number", In: "1800 160 401", Want: "+611800160401"},
			{Text: "another country's number", In: "+46 8 123 456 78", Want: "+46812345678"},
			{Text: "already E.164", In: "+61412345678", Want: "+61412345678"},
			{Text: "too short", In: "9374 4000", Fails: true},
			{Text: "letters", In: "02 9374 4000 ext 7", Fails: true},
			{Text: "more digits than E.164 has", In: "+1234567890123456", Fails: true},
			{Text: "an area that Australia has not", In: "0912345678", Fails: true},
		},
	})
}

// Lengths of what follows the plus sign in E.164; no country has shorter
// numbers in use than seven digits with its code.
const (
	shortestE164 = 7
	longestE164  = 15
)

// phoneAU normalises a number to E.164, reading national numbers as Australian.
func phoneAU(text string) (string, error) {
	number := strings.Map(dropSeparators, text)
	number, international := cutPrefixes(number, "+", "0011", "00")
	if strings.Trim(number, "0123456789") != "" || number == "" {
		return "", errors.New("only digits, spaces and + - . ( ) / may stand in a telephone number")
	}
	if !international {
		return nationalAU(number)
	}
	if rest, ok := strings.CutPrefix(number, "61"); ok {
		return nationalAU(strings.TrimPrefix(rest, "0"))
	}
	if len(number) < shortestE164 || len(number) > longestE164 || number[0] == '0' {
		return "", errors.New("an international number has 7 to 15 digits and a country code that does not begin with 0")
	}
	return "+" + number, nil
}

// nationalAU reads a number in Australia's plan: areas 2, 3, 7 and 8, mobiles 4
// and 5, and the 1300 and 1800 services.
func nationalAU(number string) (string, error) {
	if len(number) == 10 && (strings.HasPrefix(number, "1300") || strings.HasPrefix(number, "1800")) {
		return "+61" + number, nil
	}
	significant := strings.TrimPrefix(number, "0")
	if len(significant) != 9 || !strings.Contains("234578", significant[:1]) {
		return "", errors.New("an Australian number has an area or mobile code and eight digits, or is a 1300 or 1800 number")
	}
	return "+61" + significant, nil
}

// cutPrefixes removes the first of prefixes that s begins with.
func cutPrefixes(s string, prefixes ...string) (rest string, found bool) {
	for _, p := range prefixes {
		if rest, found = strings.CutPrefix(s, p); found {
			return rest, true
		}
	}
	return s, false
}

// dropSeparators leaves out what people put between digits.
func dropSeparators(r rune) rune {
	if strings.ContainsRune(" \u00a0\t-.()/\u2010\u2011\u2013", r) {
		return -1
	}
	return r
}
