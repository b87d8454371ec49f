package destination_test

import (
	"fmt"
	"net/http"
	"path"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/spec"
)

// TestLooseSearch keeps of what a search answers only what has the value.
func TestLooseSearch(t *testing.T) {
	c := server(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if id := path.Base(r.URL.Path); id == "c_3" || id == "c_5" {
			fmt.Fprintf(w, `{"id":%q,"email":"ANN@example.com","name":"whole"}`, id)
			return
		}
		fmt.Fprint(w, `{"items":[{"id":"c_1","email":"joann@example.com"},{"id":"c_2","email":null},{"id":"c_3"},{"id":"c_4","email":"ann@example.com","deleted":true},{"id":"c_5","email":"ann@example.com"}]}`)
	})
	found, consistent, err := c.Find(t.Context(), "customers", "email", "ann@example.com", []string{"name"})
	if err != nil || !consistent || len(found) != 2 || found[0].ID != "c_3" || found[0].Fields["name"] != "whole" || found[1].ID != "c_5" || found[1].Fields["name"] != "whole" {
		t.Errorf("found %+v (%v), want c_3 and c_5 only, read whole", found, err)
	}
}

// TestSearchPages reads a loose search page by page, as the spec says that the list's
// follow one another, until two have the value; 20 pages without are too many.
func TestSearchPages(t *testing.T) {
	const other, ann, moved, again = `{"id":1,"email":"joann@x"}`, `{"id":2,"email":"ann@x"}`, `{"id":3,"email":"ann@x"}`, `{"id":4,"email":"Ann@x"}`
	full := other + "," + other
	for name, c := range map[string]struct {
		find, paging string
		lag          time.Duration
		pages        []string // what they hold; the last one again and again
		found, asked int
		first, last  string // the queries
		want         flow.Code
	}{
		"no place for a cursor": {"", "page", 0, []string{full, ann}, 0, 1, "email=ann%40x", "email=ann%40x", ""},
		"numbers":               {"&p={cursor}", "page", 0, []string{full, other + "," + ann, other}, 1, 3, "email=ann%40x&p=1", "email=ann%40x&p=3", ""},
		"offsets":               {"&p={cursor}", "offset", 0, []string{full, ann}, 1, 2, "email=ann%40x&p=0", "email=ann%40x&p=2", ""},
		"cursors":               {"&p={cursor}", "cursor", 0, []string{full, other, "", ann}, 1, 4, "email=ann%40x", "email=ann%40x&p=n3", ""},
		"links":                 {"", "link", 0, []string{full, ann}, 1, 2, "email=ann%40x", "to=2", ""},
		"one that is not full":  {"&p={cursor}", "page", 0, []string{ann, again}, 1, 1, "email=ann%40x&p=1", "email=ann%40x&p=1", ""},
		"nobody":                {"&p={cursor}", "page", 0, []string{full, ""}, 0, 2, "email=ann%40x&p=1", "email=ann%40x&p=2", ""},
		"several":               {"&p={cursor}", "page", 0, []string{ann + "," + again, full}, 2, 1, "email=ann%40x&p=1", "email=ann%40x&p=1", ""},
		"several in an index":   {"&p={cursor}", "page", time.Second, []string{ann + "," + again, full, moved}, 3, 3, "email=ann%40x&p=1", "email=ann%40x&p=3", ""},
		"one that moved on":     {"&p={cursor}", "page", 0, []string{other + "," + ann, ann + "," + other, other}, 1, 3, "email=ann%40x&p=1", "email=ann%40x&p=3", ""},
		"too many":              {"&p={cursor}", "page", 0, []string{other + "," + ann, full}, 0, 20, "email=ann%40x&p=1", "email=ann%40x&p=20", flow.RemoteRefused},
		"too many, several":     {"&p={cursor}", "page", time.Second, []string{ann + "," + again, full}, 2, 20, "email=ann%40x&p=1", "email=ann%40x&p=20", ""},
	} {
		var asked []string
		remote := server(t, func(s *spec.Spec) {
			s.Destination.SearchLag.Duration = c.lag
			alter(&s.Destination, func(o *spec.Object) {
				o.Find = &spec.Call{Path: o.Find.Path + c.find, Result: "items"}
				o.List.Paging, o.List.Size = c.paging, 2
			})
		}, func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.URL.RawQuery)
			n := len(asked)
			next := ""
			if n < len(c.pages) {
				next = fmt.Sprint("n", n)
				w.Header().Set("Link", fmt.Sprintf(`</api/customers?to=%d>; rel="next"`, n+1))
			}
			fmt.Fprintf(w, `{"items":[%s],"next":%q}`, c.pages[min(n, len(c.pages))-1], next)
		})
		found, consistent, err := remote.Find(t.Context(), "customers", "email", "ann@x", []string{"email"})
		if flow.CodeOf(err) != c.want || len(found) != c.found || err == nil && consistent != (c.lag == 0) {
			t.Errorf("%s: found %+v, %v, %v; want %d, code %q", name, found, consistent, err, c.found, c.want)
		}
		if len(asked) != c.asked || asked[0] != c.first || asked[len(asked)-1] != c.last {
			t.Errorf("%s: asked %q", name, asked)
		}
		if err != nil && !strings.Contains(err.Error(), "destination.objects.customers.find") {
			t.Errorf("%s: %v does not say what to change", name, err)
		}
	}
}
