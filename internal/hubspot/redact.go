package hubspot

import (
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"tandem/internal/record"
)

const (
	hidden     = "[…]"
	maxMessage = 300
)

// pattern is a regular expression that is compiled when it is first needed: a
// function that starts needs none, and may never see an error.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

var (
	email  = pattern(`[^\s"'<>\\,;:()\[\]]+@[^\s"'<>\\,;:()\[\]]+`)
	quoted = pattern("\\\\*\"[^\"\\\\]*\\\\*\"|'[^']*'|`[^`]*`")
	digits = pattern(`\+?\d[\d ().-]{4,}\d`)
	word   = pattern(`^[A-Za-z][A-Za-z_]*$`)
)

// redact makes HubSpot's message fit for a log. HubSpot quotes property values
// in its messages, so everything that may be one is hidden: each value that was
// sent, quoted text that is neither a property of the request nor an error
// code, e-mail addresses and long digit runs. What is left is the sentence.
func redact(message string, sent record.Fields) string {
	message = nested(message, sent)
	for _, v := range longestFirst(sent) {
		message = replaceFold(message, v)
	}
	message = email().ReplaceAllString(message, hidden)
	message = quoted().ReplaceAllStringFunc(message, func(q string) string { return keepName(q, sent) })
	message = digits().ReplaceAllString(message, hidden)
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	return message
}

func keepName(q string, sent record.Fields) string {
	inner := strings.Trim(q, "\\\"'`")
	_, ours := sent[inner]
	code := word().MatchString(inner) && strings.Contains(inner, "_") && inner == strings.ToUpper(inner)
	if ours || code {
		return q
	}
	return hidden
}

// nested shortens a message that holds a JSON list of validation results to
// their codes and property names; their texts quote values.
func nested(message string, sent record.Fields) string {
	start := strings.Index(message, "[{")
	if start < 0 {
		return message
	}
	var results []struct{ Error, Name string }
	_ = json.Unmarshal([]byte(message[start:]), &results) // What cannot be read is left out.
	out := message[:start]
	for _, r := range results {
		out += strings.TrimSpace(code(r.Error)+" "+strings.Join(known(texts{r.Name}, sent), "")) + " "
	}
	return strings.TrimSpace(out)
}

// longestFirst lists the values worth hiding; a value within another must not
// leave the rest of the other behind. Property names are no secret.
func longestFirst(sent record.Fields) []string {
	var values []string
	for _, v := range sent {
		if v = strings.TrimSpace(v); len(v) > 1 {
			values = append(values, v)
		}
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
	return values
}

func replaceFold(s, old string) string {
	if !strings.Contains(strings.ToLower(s), strings.ToLower(old)) {
		return s
	}
	return regexp.MustCompile(`(?i)`+regexp.QuoteMeta(old)).ReplaceAllLiteralString(s, hidden)
}

// withoutURL strips the request's URL from a transport error.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
