package asl

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// This file walks JSON text that json.Valid has accepted, without decoding it:
// a state's data is mostly carried, seldom looked at. The rules are: positions
// are only ever moved over valid text, so no function here can fail; a text is
// checked once, where it enters (Parse, the execution's input, a task's answer).

// member is one name and value of an object.
type member struct {
	name  string
	value json.RawMessage
}

// skipSpace returns the first position at or after i that holds no white space.
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the position after the string that begins at i.
func skipString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skipValue returns the position after the value that begins at i.
func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		return skipNested(b, i)
	}
	for i < len(b) && !endsScalar(b[i]) {
		i++
	}
	return i
}

// endsScalar tells what may stand after a number, true, false or null.
func endsScalar(c byte) bool {
	return c == ',' || c == ']' || c == '}' || c == ' ' || c == '\n' || c == '\t' || c == '\r'
}

// skipNested returns the position after the object or array that begins at i.
func skipNested(b []byte, i int) int {
	depth := 0
	for {
		switch b[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case '"':
			i = skipString(b, i) - 1
		}
		i++
	}
}

// kindOf returns the first byte of a JSON text: it tells its type.
func kindOf(raw json.RawMessage) byte { return raw[skipSpace(raw, 0)] }

// each calls f for the elements of an array, or the members of an object, until
// it returns false. Names are empty for an array.
func each(raw json.RawMessage, f func(m member) bool) {
	i := skipSpace(raw, 0)
	object := raw[i] == '{'
	for i = skipSpace(raw, i+1); raw[i] != '}' && raw[i] != ']'; {
		var m member
		if object {
			end := skipString(raw, i)
			m.name = unquote(raw[i:end])
			i = skipSpace(raw, skipSpace(raw, end)+1)
		}
		end := skipValue(raw, i)
		m.value = raw[i:end:end]
		if !f(m) {
			return
		}
		if i = skipSpace(raw, end); raw[i] == ',' {
			i = skipSpace(raw, i+1)
		}
	}
}

// Members calls f for each member of a JSON object that is known to be valid, in
// their order, until f returns false; for any other text never.
func Members(raw json.RawMessage, f func(name string, value json.RawMessage) bool) {
	if len(raw) > 0 && kindOf(raw) == '{' {
		each(raw, func(m member) bool { return f(m.name, m.value) })
	}
}

// unquote returns the text of a JSON string.
func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		if s := string(raw[1 : len(raw)-1]); utf8.ValidString(s) {
			return s
		}
	}
	var s string
	// The text is valid JSON and a string: this cannot fail.
	_ = json.Unmarshal(raw, &s)
	return s
}

// quote returns a JSON string.
func quote(s string) json.RawMessage {
	// A string always marshals.
	b, _ := json.Marshal(s)
	return b
}

// compact returns the text without white space between its tokens.
func compact(raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}
