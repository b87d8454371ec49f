package destination

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"tandem/internal/flow"
	"tandem/spec"
)

// args are the values of a call's placeholders.
type args map[string]string

// placeholders are the names that paths and queries of a spec may hold.
var placeholders = []string{"id", "field", "value", "cursor", "since"}

// call is a spec.Call whose templates are parsed.
type call struct {
	spec.Call
	name  string
	path  template
	query []parameter
}

// parameter is one query parameter; its name may be a placeholder too.
type parameter struct{ key, value template }

// template is text and placeholders in turn: even entries are text, odd ones names.
type template []string

var placeholder = regexp.MustCompile(`\{([a-z]+)\}`)

// parseTemplate splits text at its placeholders. Braces around anything else,
// as in JSON, are text.
func parseTemplate(text string) (template, error) {
	var out template
	end := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		name := text[m[2]:m[3]]
		if !slices.Contains(placeholders, name) {
			return nil, fmt.Errorf("{%s} is not known; allowed are {%s}", name, strings.Join(placeholders, "}, {"))
		}
		out = append(out, text[end:m[0]], name)
		end = m[1]
	}
	return append(out, text[end:]), nil
}

// fill puts the arguments in, each through escape.
func (t template) fill(a args, escape func(string) string) string {
	if len(t) == 1 {
		return t[0]
	}
	var b strings.Builder
	for i, part := range t {
		if i%2 == 1 {
			part = escape(a[part])
		}
		b.WriteString(part)
	}
	return b.String()
}

// has reports whether the template holds the placeholder.
func (t template) has(name string) bool {
	for i := 1; i < len(t); i += 2 {
		if t[i] == name {
			return true
		}
	}
	return false
}

// compileCall parses a call's path, the query in it and the query beside it.
func compileCall(name, method string, c spec.Call) (*call, error) {
	c.Method = cmp.Or(strings.ToUpper(c.Method), method)
	out := &call{Call: c, name: name}
	path, query, _ := strings.Cut(c.Path, "?")
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("%s.path must begin with a slash", name)
	}
	var err error
	if out.path, err = parseTemplate(path); err != nil {
		return nil, fmt.Errorf("%s.path: %w", name, err)
	}
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if err := out.add(key, value); err != nil {
			return nil, fmt.Errorf("%s.path: %w", name, err)
		}
	}
	for key, value := range c.Query {
		if err := out.add(key, value); err != nil {
			return nil, fmt.Errorf("%s.query.%s: %w", name, key, err)
		}
	}
	return out, nil
}

// add appends a query parameter; an empty name adds nothing.
func (k *call) add(key, value string) error {
	if key == "" {
		return nil
	}
	name, err := parseTemplate(key)
	if err != nil {
		return err
	}
	text, err := parseTemplate(value)
	if err != nil {
		return err
	}
	k.query = append(k.query, parameter{name, text})
	return nil
}

// url makes the request's URL below base. A parameter that is nothing but an
// empty {cursor} is left out: it is the first page.
func (k *call) url(base *url.URL, a args) (string, error) {
	u := strings.TrimSuffix(base.String(), "/") + k.path.fill(a, segment)
	query := url.Values{}
	for _, p := range k.query {
		if len(p.value) == 3 && p.value.has("cursor") && a["cursor"] == "" {
			continue
		}
		if err := p.value.carries(a["value"]); err != nil {
			return "", err
		}
		query.Add(p.key.fill(a, verbatim), p.value.fill(a, verbatim))
	}
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	return u, nil
}

func verbatim(s string) string { return s }

// segment escapes one path segment; dots alone would climb the path.
func segment(s string) string {
	if s == "." || s == ".." {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return url.PathEscape(s)
}

var plain = regexp.MustCompile(`^[A-Za-z0-9@._+:-]*$`)

// carries refuses a value that would end the quotes around it in a filter
// expression such as (email='{value}'), where it could say anything. Query
// languages escape in different ways, so nothing is escaped here.
func (t template) carries(value string) error {
	if len(t) == 3 && t[0] == "" && t[2] == "" {
		return nil
	}
	for i := 1; i < len(t); i += 2 {
		if t[i] != "value" {
			continue
		}
		quote := t[i-1][max(len(t[i-1])-1, 0):]
		if quote != `"` && quote != "'" {
			if !plain.MatchString(value) {
				return flow.Errorf(flow.BadValue, "the value to find has characters that the query template cannot carry; put quotes around {value}")
			}
			continue
		}
		if strings.ContainsAny(value, quote+"\\\r\n\x00") {
			return flow.Errorf(flow.BadValue, "the value to find holds a quote or a backslash, which the query template cannot carry")
		}
	}
	return nil
}

// writes reports whether the call changes something.
func (k *call) writes() bool {
	return k.Method != http.MethodGet && k.name != "find" && k.name != "list"
}
