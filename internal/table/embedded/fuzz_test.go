package embedded

import (
	"bytes"
	"testing"

	"tandem/internal/table"
)

// FuzzReplay reads any bytes as a log. It must end within the file, never panic,
// and give rows that can be read.
func FuzzReplay(f *testing.F) {
	whole := appendRecord([]byte(magic), []change{
		{key: table.Key{PK: "P", SK: "a"}, row: &row{sk: "a", rev: 3, ttl: 9, attrs: encodeAttrs([]attr{{"n", "v"}})}},
		{key: table.Key{PK: "P", SK: "b"}, erase: true},
	})
	f.Add(whole, []byte(nil))
	f.Add(whole[:len(whole)-1], []byte{1, 1, 'P', 1, 'a', 1, 0, 0})
	f.Add([]byte(magic), []byte{1, 1, 'P', 1, 'a', 1, 0, 2, 1, 'n'})
	f.Fuzz(func(t *testing.T, log, payload []byte) {
		if len(payload) > 0 { // a record whose checksums are right, whatever it holds
			record := append(make([]byte, headerSize), payload...)
			seal(record)
			log = append(bytes.Clone(log), record...)
		}
		into := newRows()
		end, err := replay(bytes.NewReader(log), logName, int64(len(log)), &into)
		if err != nil {
			return
		}
		if end > int64(len(log)) {
			t.Fatalf("the last record ends at %d of %d bytes", end, len(log))
		}
		for pk, p := range into.partitions {
			for _, r := range p {
				r.item(table.Key{PK: pk, SK: r.sk})
			}
		}
	})
}
