package erp

import (
	"encoding/json"
	"strconv"
	"strings"
)

// normalise is what the system makes of values before it keeps them.
func (c *Company) normalise(fields map[string]any) map[string]any {
	out := make(map[string]any, len(fields))
	for name, v := range fields {
		if s, ok := v.(string); ok {
			v = c.text(name, s)
		}
		if v == "" {
			v = nil
		}
		out[name] = v
	}
	return out
}

func (c *Company) text(name, s string) string {
	if c.habits.Trim {
		s = strings.TrimSpace(s)
	}
	if c.habits.Phones && name == "phone" {
		s = grouped(s)
	}
	if n := c.habits.Longest[name]; n > 0 && len([]rune(s)) > n {
		s = string([]rune(s)[:n])
	}
	return s
}

// grouped spells a phone number as the system's own form does: "+61 400 123 456".
func grouped(s string) string {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
	if len(digits) < 7 {
		return s
	}
	var b strings.Builder
	if strings.HasPrefix(strings.TrimSpace(s), "+") {
		b.WriteByte('+')
	}
	head := len(digits) % 3
	b.WriteString(digits[:head])
	for i := head; i < len(digits); i += 3 {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(digits[i : i+3])
	}
	return b.String()
}

// Show is a field's value as a person reads it.
func Show(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}
