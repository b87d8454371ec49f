package embedded

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"tandem/internal/table"
)

// A record is a header and a payload. The header is the payload's length, the
// payload's checksum, and a checksum of those eight bytes, which tells a damaged
// length from a record that was cut short. The payload is a list of rows as they
// are after the change, so that replaying needs no earlier record.
const (
	headerSize = 12
	// maxPayload bounds what a reader allocates: a full batch of the largest rows.
	maxPayload = table.MaxBatch * 2 * table.MaxItemBytes
)

const (
	opRemove = 0
	opPut    = 1
	opErase  = 2 // added to either
)

func (c change) op() byte {
	op := byte(opRemove)
	if c.row != nil {
		op = opPut
	}
	if c.erase {
		op |= opErase
	}
	return op
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

func appendRecord(b []byte, batch []change) []byte {
	at := len(b)
	b = append(b, make([]byte, headerSize)...)
	for _, c := range batch {
		b = appendChange(b, c)
	}
	seal(b[at:])
	return b
}

// seal writes the header of a record whose payload is in place.
func seal(record []byte) {
	header, payload := record[:headerSize], record[headerSize:]
	binary.LittleEndian.PutUint32(header, uint32(len(payload)))
	binary.LittleEndian.PutUint32(header[4:], checksum(payload))
	binary.LittleEndian.PutUint32(header[8:], checksum(header[:8]))
}

func appendChange(b []byte, c change) []byte {
	b = appendText(appendText(append(b, c.op()), c.key.PK), c.key.SK)
	if c.row == nil {
		return b
	}
	b = binary.AppendUvarint(b, uint64(c.row.rev))
	b = binary.AppendVarint(b, c.row.ttl)
	return appendText(b, c.row.attrs)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errMalformed = errors.New("its checksum is right but its content is not a change: written by another version?")

// parsePayload reads a payload whose checksum has been found right.
func parsePayload(payload string) (batch []change, err error) {
	for r := (reader{s: payload}); r.s != ""; {
		op := r.s[0]
		r.s = r.s[1:]
		c := change{key: table.Key{PK: r.text(), SK: r.text()}, erase: op&opErase != 0}
		switch op &^ opErase {
		case opRemove:
		case opPut:
			c.row = &row{sk: c.key.SK, rev: int64(r.uvarint()), ttl: r.varint(), attrs: r.text()}
		default:
			return nil, errMalformed
		}
		if r.bad || c.row != nil && !wellFormed(c.row.attrs) {
			return nil, errMalformed
		}
		batch = append(batch, c)
	}
	return batch, nil
}

// reader takes numbers and texts off the front of s; bad is set, and stays set,
// when s ends too early.
type reader struct {
	s   string
	bad bool
}

func (r *reader) uvarint() uint64 {
	head := r.s[:min(len(r.s), binary.MaxVarintLen64)]
	n, size := binary.Uvarint([]byte(head))
	if size <= 0 {
		r.bad, r.s = true, ""
		return 0
	}
	r.s = r.s[size:]
	return n
}

func (r *reader) varint() int64 {
	n := r.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

// text returns a copy: a row must not keep its whole record in memory.
func (r *reader) text() string { return strings.Clone(r.part()) }

func (r *reader) part() string {
	n := r.uvarint()
	if n > uint64(len(r.s)) {
		r.bad, r.s = true, ""
		return ""
	}
	part := r.s[:n]
	r.s = r.s[n:]
	return part
}

// wellFormed reports whether decodeAttrs can read attrs.
func wellFormed(attrs string) bool {
	r := reader{s: attrs}
	for r.s != "" {
		r.part()
		if r.s == "" {
			return false // a name without a value
		}
		r.part()
	}
	return !r.bad
}

// replay applies every whole record of a log file and returns where the last one
// ends. What follows it is a record that a crash left unfinished, of which
// nobody was told; anything else that does not check is an error.
func replay(f io.Reader, path string, size int64, into *rows) (end int64, err error) {
	r := bufio.NewReaderSize(f, int(min(size, 1<<20)))
	head := make([]byte, min(size, int64(len(magic))))
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, err
	}
	if string(head) != magic[:len(head)] {
		return 0, fmt.Errorf("%s is not a table log of this version; move it away or choose another data directory", path)
	}
	if len(head) < len(magic) {
		return 0, nil // cut short while the file was being made
	}
	for end = int64(len(magic)); end < size; {
		n, err := replayRecord(r, size-end, into)
		if errors.Is(err, errUnfinished) {
			return end, nil
		}
		if err != nil {
			return 0, fmt.Errorf("%s is damaged at byte %d of %d: %w; restore the file from a copy, or move it away to begin with an empty table",
				path, end, size, err)
		}
		end += n
	}
	return end, nil
}

var errUnfinished = errors.New("unfinished record")

// replayRecord reads one record of the left bytes that remain. A process killed
// while writing leaves a part of a record; a machine that lost power may leave
// zeros, or a last record whose pages were not all written.
func replayRecord(r *bufio.Reader, left int64, into *rows) (int64, error) {
	if left < headerSize {
		return 0, errUnfinished
	}
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, err
	}
	if checksum(header[:8]) != binary.LittleEndian.Uint32(header[8:]) {
		if onlyZeros(header[:], r) {
			return 0, errUnfinished
		}
		return 0, errors.New("the header of a record does not match its checksum")
	}
	n := int64(binary.LittleEndian.Uint32(header[:]))
	if n > left-headerSize {
		return 0, errUnfinished
	}
	if n == 0 || n > maxPayload {
		return 0, fmt.Errorf("a record of %d bytes", n)
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, err
	}
	if checksum(payload) != binary.LittleEndian.Uint32(header[4:]) {
		if onlyZeros(nil, r) {
			return 0, errUnfinished
		}
		return 0, errors.New("a record does not match its checksum")
	}
	batch, err := parsePayload(string(payload))
	for _, c := range batch {
		into.apply(c)
	}
	return headerSize + n, err
}

// onlyZeros reports whether b and everything up to the end of r is zero, or nothing.
func onlyZeros(b []byte, r *bufio.Reader) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	for {
		c, err := r.ReadByte()
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		if c != 0 {
			return false
		}
	}
}
