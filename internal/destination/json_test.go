package destination_test

import (
	"fmt"
	"net/http"
	"testing"

	"tandem/internal/flow"
)

// TestMarks: no spelling of "no" in a deletion mark reads as deleted.
func TestMarks(t *testing.T) {
	marks := map[string]bool{
		`null`: false, `""`: false, `" "`: false, `false`: false, `0`: false, `0.0`: false, `-0`: false, `0e0`: false, `[]`: false,
		`"N"`: false, `"no"`: false, `"False"`: false, `"f"`: false, `" OFF "`: false, `"0"`: false, `"0.0"`: false, `"00"`: false, `"null"`: false, `"None"`: false,
		`"0000-00-00"`: false, `"0000-00-00 00:00:00"`: false, `"0001-01-01T00:00:00Z"`: false, `"1970-01-01T00:00:00Z"`: false,
		`true`: true, `1`: true, `0.5`: true, `"Y"`: true, `"yes"`: true, `"T"`: true, `"deleted"`: true, `"nobody"`: true,
		`"2026-03-05"`: true, `"2001-01-01T00:00:00Z"`: true, `1772668800`: true,
	}
	for mark, want := range marks {
		c := server(t, nil, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"id":"c_1","deleted":%s}`, mark) })
		if r, err := c.Read(t.Context(), "customers", "c_1", nil); err != nil || r.Archived != want {
			t.Errorf("%s reads as deleted: %v (%v), want %v", mark, r.Archived, err, want)
		}
	}
}

// TestNoTime: a word for no is not taken for a time, as it is for a mark.
func TestNoTime(t *testing.T) {
	for told, want := range map[string]flow.Code{`null`: "", `0`: "", `"no"`: flow.RemoteRefused, `"0000-00-00"`: flow.RemoteRefused} {
		c := server(t, nil, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"id":"c_1","updated_at":%s}`, told) })
		if _, err := c.Read(t.Context(), "customers", "c_1", nil); flow.CodeOf(err) != want {
			t.Errorf("%s: %v, want code %q", told, err, want)
		}
	}
}
