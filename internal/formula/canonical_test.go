package formula

import (
	"testing"

	"tandem/internal/record"
)

// The short cut must agree with the long way on every text and type.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"", " ", "a", " a ", "a;b", "b;a", "-0", "0", "-0.5", "007", "1.50", "12.5", "1e3", "true", "yes",
		"2026-02-30", "2026-02-28", "2026-12-31", "0000-01-01", "2026-02-28T24:00:00.000Z", "2026-02-28T23:59:59.999Z",
		"1752559200000", "1234567890123456", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00", "e\u0301", "a\r\nb", "\x7f", "x y", ".", "-", "1.", "-.5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, typ := range record.Types {
			want, wantErr := record.Canonical(typ, s)
			got, err := Canonical(typ, s)
			if got != want || (err == nil) != (wantErr == nil) {
				t.Errorf("%s of %q: %q, %v; want %q, %v", typ, s, got, err, want, wantErr)
			}
			if again, err := Canonical(typ, want); again != want || wantErr == nil && err != nil {
				t.Errorf("%s: canonical %q becomes %q, %v", typ, want, again, err)
			}
		}
	})
}
