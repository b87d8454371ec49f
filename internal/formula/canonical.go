package formula

import (
	"strings"
	"unicode/utf8"

	"tandem/internal/record"
)

// Canonical is record.Canonical, but text that is plainly canonical already is
// returned as it came: nearly every value is, since adapters canonicalise what
// they read, and parsing a number or a time again would cost more than the
// whole rest of a translation.
func Canonical(t record.Type, text string) (string, error) {
	if plain(t, text) {
		return text, nil
	}
	if t == "" {
		t = record.String
	}
	return record.Canonical(t, text)
}

// plain reports that text is surely canonical; false means only "not sure".
func plain(t record.Type, text string) bool {
	if text == "" {
		return true
	}
	switch t {
	case "", record.String:
		return plainText(text)
	case record.Enum, record.Reference:
		return plainText(text) && text[len(text)-1] != ' '
	case record.Number:
		return plainNumber(text)
	case record.Bool:
		return text == "true" || text == "false"
	case record.Date:
		return len(text) == 10 && plainDate(text)
	case record.DateTime:
		return len(text) == 24 && plainDate(text[:10]) && plainClock(text[10:])
	case record.Set:
		return plainText(text) && !strings.ContainsAny(text, "; ")
	}
	return false
}

// plainText: printable ASCII that begins with no space, so is not blank, is its
// own NFC and has no line end.
func plainText(s string) bool {
	if s[0] == ' ' {
		return false
	}
	for i := range len(s) {
		if s[i]-' ' >= utf8.RuneSelf-' ' { // below a space wraps round
			return false
		}
	}
	return true
}

// plainNumber: at most 15 digits without a needless zero, perhaps a fraction.
func plainNumber(s string) bool {
	if len(s) > 15 {
		return false
	}
	whole, fraction, point := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	if !digits(whole) || whole[0] == '0' && (len(whole) > 1 || s[0] == '-') {
		return false
	}
	return !point || digits(fraction) && fraction[len(fraction)-1] != '0'
}

// plainDate: YYYY-MM-DD with a day that every month has.
func plainDate(s string) bool {
	return digits(s[:4]) && s[4] == '-' && digits(s[5:7]) && s[7] == '-' && digits(s[8:10]) &&
		s[:4] != "0000" && within(s[5:7], 1, 12) && within(s[8:10], 1, 28)
}

// plainClock: Thh:mm:ss.mmmZ.
func plainClock(s string) bool {
	return s[0] == 'T' && s[3] == ':' && s[6] == ':' && s[9] == '.' && s[13] == 'Z' &&
		digits(s[1:3]) && digits(s[4:6]) && digits(s[7:9]) && digits(s[10:13]) &&
		within(s[1:3], 0, 23) && within(s[4:6], 0, 59) && within(s[7:9], 0, 59)
}

// within compares two digits.
func within(s string, low, high byte) bool {
	n := (s[0]-'0')*10 + s[1] - '0'
	return low <= n && n <= high
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
