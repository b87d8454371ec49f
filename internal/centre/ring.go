package centre

import (
	"errors"
	"strconv"
)

// Minute is one bucket of a ring: the minute since 1970, events, errors, and the
// highest p95 in milliseconds that any beat reported in it.
type Minute [4]int64

// Ring is a handler's last hour, oldest minute first. It is stored as text of
// base 36 numbers, each minute relative to the one before: a page reads some
// thousands of rings, and JSON arrays took three quarters of its time.
type Ring []Minute

// MarshalText implements encoding.TextMarshaler.
func (r Ring) MarshalText() ([]byte, error) {
	var b []byte
	var before int64
	for _, m := range r {
		b = strconv.AppendInt(b, m[0]-before, 36)
		for _, n := range m[1:] {
			b = strconv.AppendInt(append(b, ','), n, 36)
		}
		b = append(b, ';')
		before = m[0]
	}
	return b, nil
}

// UnmarshalText implements encoding.TextUnmarshaler. It refuses text that
// MarshalText would not write.
func (r *Ring) UnmarshalText(text []byte) error {
	ring := make(Ring, 0, ringMinutes+1)
	var m Minute
	var n, before int64
	field, digits := 0, 0
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9' && digits < 12:
			n, digits = n*36+int64(c-'0'), digits+1
		case c >= 'a' && c <= 'z' && digits < 12:
			n, digits = n*36+int64(c-'a')+10, digits+1
		case c == ',' && field < 3 && digits > 0:
			m[field], n, digits = n, 0, 0
			field++
		case c == ';' && field == 3 && digits > 0:
			m[3], n, digits, field = n, 0, 0, 0
			m[0] += before
			before = m[0]
			ring = append(ring, m)
		default:
			return errors.New("ring: want base 36 numbers, four a minute")
		}
	}
	if field != 0 || digits != 0 {
		return errors.New("ring: the last minute is not complete")
	}
	*r = ring
	return nil
}

// add counts into a minute and drops minutes that are too old. A minute before
// the newest, from a clock that was put back, counts into the newest.
func (r *Ring) add(m Minute) {
	ring := *r
	for len(ring) > 0 && ring[0][0] <= m[0]-ringMinutes {
		ring = ring[1:]
	}
	if last := len(ring) - 1; last >= 0 && ring[last][0] >= m[0] {
		ring[last][1] += m[1]
		ring[last][2] += m[2]
		ring[last][3] = max(ring[last][3], m[3])
	} else {
		ring = append(ring, m)
	}
	*r = ring
}
