package spec

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Schema is the published JSON Schema (2020-12) of a spec file. Editors read it
// for completion; Parse reads the same bytes, so there is one truth about names,
// types and allowed values.
//
//go:embed schema.json
var Schema []byte

// schema is the part of JSON Schema that schema.json uses. A test refuses any
// other keyword, and holds this reading of it against an independent one.
type schema struct {
	Ref                  string             `json:"$ref"`
	Type                 string             `json:"type"`
	Description          string             `json:"description"`
	Enum                 []string           `json:"enum"`
	Pattern              *regexp.Regexp     `json:"pattern"`
	MinLength            int                `json:"minLength"`
	MaxLength            int                `json:"maxLength"`
	Minimum              *int               `json:"minimum"`
	Maximum              *int               `json:"maximum"`
	Items                *schema            `json:"items"`
	MinItems             int                `json:"minItems"`
	Properties           map[string]*schema `json:"properties"`
	AdditionalProperties *additional        `json:"additionalProperties"`
	Required             []string           `json:"required"`
	MinProperties        int                `json:"minProperties"`
	MaxProperties        int                `json:"maxProperties"`
	OneOf                []*schema          `json:"oneOf"`
	Defs                 map[string]*schema `json:"$defs"`
}

// additional is additionalProperties: false, or the schema of any further member.
type additional struct{ schema *schema }

// UnmarshalJSON reads false or a schema.
func (a *additional) UnmarshalJSON(b []byte) error {
	if string(b) == "false" {
		return nil
	}
	return json.Unmarshal(b, &a.schema)
}

// root parses the embedded schema once. It is a constant of the program, so
// that it parses at all is a matter for tests.
var root = sync.OnceValue(func() *schema {
	s := new(schema)
	if err := json.Unmarshal(Schema, s); err != nil {
		panic("spec: schema.json: " + err.Error())
	}
	return s
})

// readers check what a pattern cannot: the named definitions are read by their
// Go types as well.
var readers = map[string]func() json.Unmarshaler{
	"duration": func() json.Unmarshaler { return new(Duration) },
	"formula":  func() json.Unmarshaler { return new(Formula) },
}

// validate adds to problems what in n is not as s demands.
func (s *schema) validate(n *node, path string, problems *Problems) {
	if s.Ref != "" {
		s.follow(n, path, problems)
		return
	}
	if len(s.OneOf) > 0 {
		s.choose(n, path, problems)
		return
	}
	if s.Type != "" && s.Type != n.kind {
		problems.add(path, n.line, fmt.Sprintf("must be %s, not %s%s", article(s.Type), article(n.kind), s.hint()))
		return
	}
	switch n.kind {
	case "string":
		s.text(n, path, problems)
	case "integer":
		s.whole(n, path, problems)
	case "array":
		s.array(n, path, problems)
	case "object":
		s.object(n, path, problems)
	}
}

// follow goes to a definition; where its shape is right, its Go type reads it.
func (s *schema) follow(n *node, path string, problems *Problems) {
	name := strings.TrimPrefix(s.Ref, "#/$defs/")
	before := len(problems.List)
	root().Defs[name].validate(n, path, problems)
	if reader, ok := readers[name]; ok && len(problems.List) == before && n.kind != "null" {
		if err := reader().UnmarshalJSON(n.raw); err != nil {
			problems.add(path, n.line, err.Error())
		}
	}
}

// choose picks the alternative by the value's type, which schema.json's
// alternatives never share.
func (s *schema) choose(n *node, path string, problems *Problems) {
	for _, alternative := range s.OneOf {
		if alternative.Type == n.kind {
			alternative.validate(n, path, problems)
			return
		}
	}
	problems.add(path, n.line, "must not be "+article(n.kind)+s.hint())
}

func (s *schema) text(n *node, path string, problems *Problems) {
	text := n.value.(string)
	switch length := utf8.RuneCountInString(text); {
	case len(s.Enum) > 0 && !slices.Contains(s.Enum, text):
		problems.add(path, n.line, fmt.Sprintf("%q is not allowed; allowed are %s%s", text, strings.Join(s.Enum, ", "), s.hint()))
	case length < s.MinLength:
		problems.add(path, n.line, "must not be empty"+s.hint())
	case s.MaxLength > 0 && length > s.MaxLength:
		problems.add(path, n.line, fmt.Sprintf("must have at most %d characters%s", s.MaxLength, s.hint()))
	case s.Pattern != nil && !s.Pattern.MatchString(text):
		// The text is not repeated: a secret may have been pasted here.
		problems.add(path, n.line, "must match "+s.Pattern.String()+s.hint())
	}
}

func (s *schema) whole(n *node, path string, problems *Problems) {
	v, _ := strconv.Atoi(n.value.(json.Number).String())
	if s.Minimum != nil && v < *s.Minimum || s.Maximum != nil && v > *s.Maximum {
		problems.add(path, n.line, fmt.Sprintf("must lie between %d and %d%s", *s.Minimum, *s.Maximum, s.hint()))
	}
}

func (s *schema) array(n *node, path string, problems *Problems) {
	if len(n.items) < s.MinItems {
		problems.add(path, n.line, fmt.Sprintf("must have at least %d entries%s", s.MinItems, s.hint()))
	}
	for i, item := range n.items {
		s.Items.validate(item, index(path, i), problems)
	}
}

func (s *schema) object(n *node, path string, problems *Problems) {
	for _, m := range n.members {
		switch p, known := s.Properties[m.name]; {
		case known:
			p.validate(m.value, at(path, m.name), problems)
		case s.AdditionalProperties.schema != nil:
			s.AdditionalProperties.schema.validate(m.value, at(path, m.name), problems)
		default:
			problems.add(at(path, m.name), m.value.line, "is unknown; allowed are "+strings.Join(slices.Sorted(maps.Keys(s.Properties)), ", "))
		}
	}
	for _, name := range s.Required {
		if n.get(name) == nil {
			problems.add(at(path, name), n.line, "is missing"+s.Properties[name].hint())
		}
	}
	if len(n.members) < s.MinProperties || s.MaxProperties > 0 && len(n.members) > s.MaxProperties {
		problems.add(path, n.line, s.count()+s.hint())
	}
}

// count says how many members an object may have.
func (s *schema) count() string {
	if s.MaxProperties == 1 {
		return "must have exactly one of " + strings.Join(slices.Sorted(maps.Keys(s.Properties)), ", ")
	}
	return fmt.Sprintf("must have at least %d entry", s.MinProperties)
}

// hint is what the schema says of the place.
func (s *schema) hint() string {
	if s.Description == "" && s.Ref != "" {
		s = root().Defs[strings.TrimPrefix(s.Ref, "#/$defs/")]
	}
	if s.Description == "" {
		return ""
	}
	return ": " + strings.TrimSuffix(s.Description, ".")
}

// article names a JSON type in words.
func article(kind string) string {
	switch kind {
	case "string":
		return "a text"
	case "integer":
		return "a whole number"
	case "boolean":
		return "true or false"
	case "array", "object":
		return "an " + kind
	case "null":
		return "null"
	}
	return "a " + kind
}
