package destination_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/spec"
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

// TestSeconds reads dates and times that are told as seconds, milliseconds or text,
// and what was written as text and comes back as seconds is the same value.
func TestSeconds(t *testing.T) {
	for told, want := range map[string][2]string{ // as a date, as a datetime
		`1772668800`:             {"2026-03-05", "2026-03-05T00:00:00.000Z"},
		`"1772668800"`:           {"2026-03-05", "2026-03-05T00:00:00.000Z"},
		`" 1772668800 "`:         {"2026-03-05", "2026-03-05T00:00:00.000Z"},
		`981173106`:              {"2001-02-03", "2001-02-03T04:05:06.000Z"},
		`-94694400`:              {"1967-01-01", "1967-01-01T00:00:00.000Z"},
		`-631152000`:             {"1950-01-01", "1950-01-01T00:00:00.000Z"},
		`-2208988800`:            {"1900-01-01", "1900-01-01T00:00:00.000Z"},
		`1772668800000`:          {"2026-03-05", "2026-03-05T00:00:00.000Z"},
		`31536000000`:            {"1971-01-01", "1971-01-01T00:00:00.000Z"},
		`-631152000000`:          {"1950-01-01", "1950-01-01T00:00:00.000Z"},
		`20260305`:               {"20260305", "20260305"}, // the translation refuses it
		`1772668800.5`:           {"1772668800.5", "1772668800.5"},
		`"2026-03-05T00:00:00Z"`: {"2026-03-05", "2026-03-05T00:00:00.000Z"},
		`"2026-03-05"`:           {"2026-03-05", "2026-03-05T00:00:00.000Z"},
		`null`:                   {"", ""},
	} {
		c := server(t, func(s *spec.Spec) {
			s.Pairs[0].Fields = append(s.Pairs[0].Fields, spec.Field{Name: "met", Destination: spec.Prop{Property: "met", Type: record.DateTime}})
		}, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"id":"c_1","birthday":%s,"met":%[1]s,"name":%[1]s}`, told)
		})
		sent := record.Fields{"birthday": want[0], "met": want[1]}
		r, err := c.Update(t.Context(), "customers", "c_1", sent, "")
		if err != nil || r.Fields["birthday"] != want[0] || r.Fields["met"] != want[1] {
			t.Errorf("%s reads as %q (%v), want %q", told, r.Fields, err, want)
		}
		if name := r.Fields["name"]; told != "null" && name != strings.Trim(told, `"`) {
			t.Errorf("%s in a text reads as %q", told, name)
		}
	}
}

// TestSplitMember refuses a record of which a set has a member with a semicolon: read
// as two, it would be written so over the one. A deleted one still reads as deleted.
func TestSplitMember(t *testing.T) {
	for held, want := range map[string]flow.Code{
		`{"id":"c_1","tags":["a","b;c"]}`: flow.BadValue, `{"id":"c_1","tags":["a",["b","c"]]}`: flow.BadValue,
		`{"id":"c_1","tags":["a",null]}`: "", `{"id":"c_1","tags":"a;b"}`: "", `{"id":"c_1","name":["x;y"]}`: "", `{"id":"c_1","deleted":true,"tags":["b;c"]}`: "",
	} {
		for _, absent := range []string{"unknown", "blank"} {
			wrote := false
			c := server(t, func(s *spec.Spec) { alter(&s.Destination, func(o *spec.Object) { o.Absent = absent }) },
				func(w http.ResponseWriter, r *http.Request) {
					wrote = wrote || r.Method == http.MethodPatch
					fmt.Fprint(w, held)
				})
			_, err := c.Update(t.Context(), "customers", "c_1", record.Fields{"tags": "a"}, "")
			if flow.CodeOf(err) != want || wrote != (want == "") {
				t.Errorf("%s: update is %v, written: %v; want code %q", held, err, wrote, want)
			}
			r, err := c.Read(t.Context(), "customers", "c_1", []string{"name", "tags"})
			if text, told := r.Fields["tags"]; flow.CodeOf(err) != want || told && strings.Contains(held, "b;c") {
				t.Errorf("%s: read %q, %v; want code %q", held, text, err, want)
			}
			if err != nil && (!strings.Contains(err.Error(), "customers.tags") || strings.Contains(err.Error(), "b;c")) {
				t.Errorf("%s: the error is %v", held, err)
			}
		}
	}
}

// TestSplitMemberOfAnother: a search is not stopped by a record that it was not for.
func TestSplitMemberOfAnother(t *testing.T) {
	for mail, want := range map[string]flow.Code{"joann@x": "", "ann@x": flow.BadValue} {
		first := fmt.Sprintf(`{"id":"c_1","email":%q,"tags":["b;c"]}`, mail)
		c := server(t, nil, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/c_1") {
				fmt.Fprint(w, first)
				return
			}
			fmt.Fprintf(w, `{"items":[%s,{"id":"c_2","email":"ann@x","tags":["a"]}]}`, first)
		})
		found, _, err := c.Find(t.Context(), "customers", "email", "ann@x", []string{"email", "tags"})
		if flow.CodeOf(err) != want || want == "" && (len(found) != 1 || found[0].ID != "c_2") {
			t.Errorf("beside %s: found %+v, %v; want code %q", mail, found, err, want)
		}
	}
}
