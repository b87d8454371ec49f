package embedded

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"tandem/internal/table"
)

// row is one stored row. It is never changed once made: an update replaces it.
// The attributes are kept encoded, which costs the garbage collector one pointer
// a row; the strings a reader gets are parts of that one string.
type row struct {
	sk    string
	rev   int64
	ttl   int64  // epoch seconds, 0 for a row that stays
	attrs string // name and value pairs in order of name, each with its length before it
}

// change is what an update makes of a row; a nil row removes it. erase: the log must not
// keep what the row held before.
type change struct {
	key   table.Key
	row   *row
	erase bool
}

type attr struct{ name, value string }

// revision is the row's revision, 0 for no row.
func (r *row) revision() int64 {
	if r == nil {
		return 0
	}
	return r.rev
}

// item is the row as a reader gets it, safe to keep and to change.
func (r *row) item(k table.Key) table.Item {
	it := table.Item{Key: k}
	if r == nil {
		return it
	}
	it.Rev, it.Expires = r.rev, table.FromSeconds(r.ttl)
	var buf [16]attr
	attrs := decodeAttrs(buf[:0], r.attrs)
	it.Attrs = make(map[string]string, len(attrs))
	for _, a := range attrs {
		it.Attrs[a.name] = a.value
	}
	return it
}

// changed is the row after u; r may be nil.
func (r *row) changed(u table.Update) *row {
	n := &row{sk: u.Key.SK, rev: r.revision() + 1, ttl: table.Seconds(u.Expires)}
	var buf [32]attr
	attrs := buf[:0]
	if r != nil {
		n.sk = r.sk
		if n.ttl == 0 {
			n.ttl = r.ttl
		}
		attrs = decodeAttrs(attrs, r.attrs)
		attrs = slices.DeleteFunc(attrs, func(a attr) bool {
			_, set := u.Set[a.name]
			return set || slices.Contains(u.Remove, a.name)
		})
	}
	for name, value := range u.Set {
		attrs = append(attrs, attr{name, value})
	}
	slices.SortFunc(attrs, func(a, b attr) int { return strings.Compare(a.name, b.name) })
	n.attrs = encodeAttrs(attrs)
	return n
}

// size is the row's weight as DynamoDB counts it, within a few bytes: names and
// values, and the columns pk, sk, rev and ttl.
func (r *row) size(k table.Key) int {
	return len(k.PK) + len(k.SK) + len(r.attrs) + 32
}

func encodeAttrs(attrs []attr) string {
	n := 0
	for _, a := range attrs {
		n += 2*binary.MaxVarintLen32 + len(a.name) + len(a.value)
	}
	var b strings.Builder
	b.Grow(n)
	for _, a := range attrs {
		writeText(&b, a.name)
		writeText(&b, a.value)
	}
	return b.String()
}

func writeText(b *strings.Builder, s string) {
	n := len(s)
	for ; n >= 0x80; n >>= 7 {
		b.WriteByte(byte(n) | 0x80)
	}
	b.WriteByte(byte(n))
	b.WriteString(s)
}

// decodeAttrs reads what encodeAttrs wrote; reading the log has checked it.
func decodeAttrs(attrs []attr, s string) []attr {
	for s != "" {
		var a attr
		a.name, s = readText(s)
		a.value, s = readText(s)
		attrs = append(attrs, a)
	}
	return attrs
}

func readText(s string) (text, rest string) {
	n, shift, i := 0, 0, 0
	for ; ; i++ {
		n |= int(s[i]&0x7f) << shift
		if s[i] < 0x80 {
			break
		}
		shift += 7
	}
	return s[i+1 : i+1+n], s[i+1+n:]
}

// rows holds the partitions. Partitions are small or grow at their end, so a
// sorted slice each is both the index and the order.
type rows struct {
	partitions map[string][]*row
	count      int
	sweepAt    int
	erased     bool // the log holds what was erased since
}

const sweepMin = 1024

func newRows() rows {
	return rows{partitions: map[string][]*row{}, sweepAt: sweepMin}
}

func search(p []*row, sk string) (int, bool) {
	if n := len(p); n > 0 && p[n-1].sk < sk {
		return n, false
	}
	return slices.BinarySearchFunc(p, sk, func(r *row, sk string) int { return strings.Compare(r.sk, sk) })
}

// live finds a row that exists and has not expired, or nil.
func (rs *rows) live(k table.Key, now time.Time) *row {
	p := rs.partitions[k.PK]
	i, found := search(p, k.SK)
	if !found || table.Expired(p[i].ttl, now) {
		return nil
	}
	return p[i]
}

func (rs *rows) apply(c change) {
	rs.erased = rs.erased || c.erase
	p := rs.partitions[c.key.PK]
	i, found := search(p, c.key.SK)
	switch {
	case c.row != nil && found:
		p[i] = c.row
	case c.row != nil:
		rs.partitions[c.key.PK] = slices.Insert(p, i, c.row)
		rs.count++
	case found:
		rs.put(c.key.PK, slices.Delete(p, i, i+1))
		rs.count--
	}
}

func (rs *rows) put(pk string, p []*row) {
	if len(p) == 0 {
		delete(rs.partitions, pk)
		return
	}
	rs.partitions[pk] = p
}

func (rs *rows) query(pk, after string, limit int, now time.Time) []table.Item {
	p := rs.partitions[pk]
	i, found := search(p, after)
	if found {
		i++
	}
	var items []table.Item
	for ; i < len(p) && len(items) < limit; i++ {
		if !table.Expired(p[i].ttl, now) {
			items = append(items, p[i].item(table.Key{PK: pk, SK: p[i].sk}))
		}
	}
	return items
}

// sweep drops expired rows and sets when to look again: after as many new rows
// as are left, so that its cost stays in proportion to the changes.
func (rs *rows) sweep(now time.Time) {
	for pk, p := range rs.partitions {
		before := len(p)
		p = slices.DeleteFunc(p, func(r *row) bool { return table.Expired(r.ttl, now) })
		rs.count -= before - len(p)
		rs.put(pk, p)
	}
	rs.sweepAt = max(sweepMin, 2*rs.count)
}
