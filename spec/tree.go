package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// maxDepth is how deep a spec may be nested; the schema needs less than a dozen levels.
const maxDepth = 32

// node is one JSON value with where it stands, so that errors can say so.
type node struct {
	line    int
	raw     []byte // the value's bytes
	value   any    // nil, bool, string or json.Number; unset for arrays and objects
	kind    string // the schema's word for the type
	items   []*node
	members []member
}

// member is one name and value of an object, in the file's order.
type member struct {
	name  string
	value *node
}

// get finds a member by name.
func (n *node) get(name string) *node {
	for _, m := range n.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// treeReader builds nodes from tokens; encoding/json alone would keep the last
// of two equal names in silence and forget the lines.
type treeReader struct {
	data     []byte
	dec      *json.Decoder
	problems *Problems
	// lines is how many lines end before the offset counted.
	lines, counted int
}

// line is the line of the last token.
func (r *treeReader) line() int {
	offset := int(r.dec.InputOffset())
	r.lines += bytes.Count(r.data[r.counted:offset], []byte("\n"))
	r.counted = offset
	return r.lines + 1
}

// readTree parses data; problems collects names written twice. The error is a
// file that is no JSON at all.
func readTree(data []byte, problems *Problems) (*node, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		return nil, syntaxError(data, err)
	}
	r := &treeReader{data: data, dec: json.NewDecoder(bytes.NewReader(data)), problems: problems}
	r.dec.UseNumber()
	return r.value("", 0)
}

// syntaxError says where JSON ends to be JSON.
func syntaxError(data []byte, err error) error {
	var s *json.SyntaxError
	if errors.As(err, &s) {
		at := min(int(s.Offset), len(data))
		column := at - bytes.LastIndexByte(data[:at], '\n')
		line := 1 + bytes.Count(data[:at], []byte("\n"))
		return Problem{Line: line, Message: fmt.Sprintf("not JSON at column %d: %v", column, err)}
	}
	return Problem{Message: "not JSON: " + err.Error()}
}

func (r *treeReader) value(path string, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, Problem{Path: path, Message: fmt.Sprintf("nested deeper than %d levels", maxDepth)}
	}
	before := int(r.dec.InputOffset())
	token, err := r.dec.Token()
	if err != nil {
		return nil, syntaxError(r.data, err)
	}
	n := &node{line: r.line(), kind: kindOf(token)}
	switch n.kind {
	case "object":
		err = r.object(n, path, depth)
	case "array":
		err = r.array(n, path, depth)
	default:
		n.value = token
	}
	n.raw = bytes.TrimLeft(r.data[before:r.dec.InputOffset()], " \t\r\n,:")
	return n, err
}

func (r *treeReader) object(n *node, path string, depth int) error {
	seen := map[string]bool{}
	for r.dec.More() {
		token, err := r.dec.Token()
		if err != nil {
			return syntaxError(r.data, err)
		}
		name := token.(string)
		if seen[name] {
			r.problems.add(at(path, name), r.line(), "the name stands twice in this object; keep one")
		}
		seen[name] = true
		v, err := r.value(at(path, name), depth+1)
		if err != nil {
			return err
		}
		n.members = append(n.members, member{name, v})
	}
	_, err := r.dec.Token()
	return err
}

func (r *treeReader) array(n *node, path string, depth int) error {
	for r.dec.More() {
		v, err := r.value(index(path, len(n.items)), depth+1)
		if err != nil {
			return err
		}
		n.items = append(n.items, v)
	}
	_, err := r.dec.Token()
	return err
}

// kindOf is the schema's word for the type of a token's value.
func kindOf(token json.Token) string {
	switch t := token.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case json.Number:
		if _, err := strconv.Atoi(t.String()); err == nil {
			return "integer"
		}
		return "number"
	case json.Delim:
		if t == '[' {
			return "array"
		}
	}
	return "object"
}

// at is the path of a member, index the path of an array's element.
func at(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
