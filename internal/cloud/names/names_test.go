package names_test

import (
	"strings"
	"testing"

	"tandem/internal/cloud/names"
)

// The name of another execution fits and begins with what people search for.
func TestAgain(t *testing.T) {
	long := "acme-contacts-1001-" + strings.Repeat("9", 61)
	for _, c := range []struct{ name, id, want string }{
		{"acme-contacts-1001-1-ab", "0123456789", "acme-contacts-1001-1-ab-later-01234567"},
		{"acme-contacts-1001-1-ab", "01", "acme-contacts-1001-1-ab-later-01"},
		{long, "0123456789", long[:65] + "-later-01234567"},
	} {
		if got := names.Again(c.name, "later", c.id); got != c.want || len(got) > 80 {
			t.Errorf("%s of %d characters, want %s", got, len(got), c.want)
		}
	}
}
