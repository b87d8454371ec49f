package embedded

import (
	"strconv"
	"testing"

	"tandem/internal/table"
)

// mapping is about what one mapping row holds.
func mapping() map[string]string {
	return map[string]string{
		"partner": "MAP#destination#customers#c-1001", "hash": "9f86d081884c7d65", "stampedAt": "2026-11-23T10:11:12.345Z",
		"base": `{"email":"a@example.com","firstname":"A","lastname":"B"}`, "owner": "contact-12345678-1731200000000-0a1b2c3d",
	}
}

func benchmarkUpdate(b *testing.B, dir string) {
	t, err := Open(dir, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer t.Close()
	keys := make([]table.Key, 10_000)
	for i := range keys {
		keys[i] = table.Key{PK: "MAP#hubspot#contacts#" + strconv.Itoa(i), SK: "PAIR"}
	}
	set := mapping()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if _, err := t.Update(b.Context(), table.Update{Key: keys[n%len(keys)], If: table.AtRev(int64(n / len(keys))), Set: set}); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

func BenchmarkUpdateMemory(b *testing.B) { benchmarkUpdate(b, "") }

func BenchmarkUpdateFile(b *testing.B) { benchmarkUpdate(b, b.TempDir()) }

func BenchmarkGet(b *testing.B) {
	t, err := Open("", nil)
	if err != nil {
		b.Fatal(err)
	}
	k := table.Key{PK: "MAP#hubspot#contacts#1", SK: "PAIR"}
	if _, err := t.Update(b.Context(), table.Update{Key: k, Set: mapping()}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := t.Get(b.Context(), k); err != nil {
			b.Fatal(err)
		}
	}
}
