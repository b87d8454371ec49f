package destination_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tandem/internal/destination"
	"tandem/internal/flow"
	"tandem/internal/simulator/erp"
	"tandem/spec"
)

// drain reads changes to the end.
func drain(t *testing.T, c *destination.Client, object, cursor string) (refs []flow.ChangedRecord, next string) {
	t.Helper()
	for range 200 {
		page, after, more, err := c.Changed(t.Context(), object, cursor)
		if err != nil {
			t.Fatal(err)
		}
		if refs, cursor = append(refs, page...), after; !more {
			return refs, cursor
		}
	}
	t.Fatal("the sweep has no end")
	return nil, ""
}

// TestNothingMissed polls at random moments a system that commits late and gives
// many records the same instant: every version of every record that stays is
// listed, and a quiet system lists nothing again.
func TestNothingMissed(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		habits := erp.Usual()
		habits.CommitLag = 4 * time.Second // the overlap is 5 s
		company, remote, at := company(t, habits)
		seen, cursor := map[string]string{}, ""
		poll := func() {
			var refs []flow.ChangedRecord
			refs, cursor = drain(t, remote, "orders", cursor)
			for _, ref := range refs {
				seen[ref.ID] = ref.Version
			}
		}
		for range 60 {
			switch records := company.Records("orders"); {
			case len(records) < 3 || r.IntN(3) == 0:
				if _, err := company.Create("orders", map[string]any{"title": "x"}); err != nil {
					t.Fatal(err)
				}
			default:
				_, _ = company.Update("orders", records[r.IntN(len(records))].ID, map[string]any{"title": strconv.Itoa(r.Int())}, 0)
			}
			if r.IntN(2) == 0 {
				at.pass(time.Duration(r.IntN(3000)) * time.Millisecond)
			}
			if r.IntN(4) == 0 {
				poll()
			}
		}
		at.pass(10 * time.Second)
		poll()
		for _, rec := range company.Records("orders") {
			if seen[rec.ID] != strconv.FormatInt(rec.Version, 10) {
				t.Fatalf("seed %d: %s is at version %d, the last listed one is %q", seed, rec.ID, rec.Version, seen[rec.ID])
			}
		}
		if again, _ := drain(t, remote, "orders", cursor); len(again) != 0 {
			t.Fatalf("seed %d: a quiet system lists %d records again", seed, len(again))
		}
	}
}

// TestFutureRecord does not let one record from the future hide all others.
func TestFutureRecord(t *testing.T) {
	company, remote, at := company(t, erp.Usual())
	company.SetHabits(func(h *erp.Habits) { h.Skew = 24 * 365 * time.Hour })
	_, err := company.Create("orders", nil)
	company.SetHabits(func(h *erp.Habits) { h.Skew = 0 })
	_, cursor := drain(t, remote, "orders", "")
	at.pass(time.Minute)
	made, createErr := company.Create("orders", nil)
	if err != nil || createErr != nil {
		t.Fatal(err, createErr)
	}
	refs, _ := drain(t, remote, "orders", cursor)
	if !slices.ContainsFunc(refs, func(r flow.ChangedRecord) bool { return r.ID == made.ID }) {
		t.Errorf("listed %v, want %s", refs, made.ID)
	}
}

// TestPaging reads 25 records in pages of 10 in every way of paging.
func TestPaging(t *testing.T) {
	item := func(i int) string {
		return fmt.Sprintf(`{"id":%d,"updated_at":"2026-11-23T10:00:%02d.000Z"}`, i, i)
	}
	page := func(from int) string {
		var items []string
		for i := from; i < min(from+10, 25); i++ {
			items = append(items, item(i))
		}
		return strings.Join(items, ",")
	}
	for paging, h := range map[string]func(w http.ResponseWriter, r *http.Request) string{
		"page": func(_ http.ResponseWriter, r *http.Request) string {
			n, _ := strconv.Atoi(r.FormValue("cursor"))
			return `{"items":[` + page((n-1)*10) + `]}`
		},
		"offset": func(_ http.ResponseWriter, r *http.Request) string {
			n, _ := strconv.Atoi(r.FormValue("cursor"))
			return `{"items":[` + page(n) + `]}`
		},
		"cursor": func(_ http.ResponseWriter, r *http.Request) string {
			n, _ := strconv.Atoi(strings.TrimPrefix(r.FormValue("cursor"), "after-"))
			next := "null"
			if n+10 < 25 {
				next = fmt.Sprintf(`"after-%d"`, n+10)
			}
			return `{"items":[` + page(n) + `],"next":` + next + `}`
		},
		"link": func(w http.ResponseWriter, r *http.Request) string {
			n, _ := strconv.Atoi(r.FormValue("from"))
			if n+10 < 25 {
				w.Header().Set("Link", fmt.Sprintf(`</first>; rel="first", <%s?from=%d>; rel="next"`, r.URL.Path, n+10))
			}
			return `{"items":[` + page(n) + `]}`
		},
	} {
		t.Run(paging, func(t *testing.T) {
			var since []string
			c := server(t, func(s *spec.Spec) {
				alter(&s.Destination, func(o *spec.Object) {
					o.List.Paging, o.List.Size, o.List.Since = paging, 10, "changed"
					delete(o.List.Query, "updated_since")
					o.List.Query = map[string]string{"cursor": "{cursor}"}
				})
			}, func(w http.ResponseWriter, r *http.Request) {
				since = append(since, r.FormValue("changed"))
				fmt.Fprint(w, h(w, r))
			})
			refs, cursor := drain(t, c, "customers", "")
			if len(refs) != 25 || refs[24].ID != "24" || len(since) != 3 {
				t.Errorf("%d records in %d pages, want 25 in 3", len(refs), len(since))
			}
			drain(t, c, "customers", cursor)
			if since[3] != "2026-11-23T10:00:19.000Z" {
				t.Errorf("the next sweep asks since %s, want the latest change less the overlap of 5 s", since[3])
			}
		})
	}
}

// TestPagesOfAnySize reads pages to an empty one where the spec does not tell how
// long they are, and refuses to read the same page without end.
func TestPagesOfAnySize(t *testing.T) {
	ids := func(from, to int) string {
		var items []string
		for i := from; i < min(to, 5); i++ {
			items = append(items, fmt.Sprintf(`{"id":%d,"email":"%d@x"}`, i, i))
		}
		return strings.Join(items, ",")
	}
	page := func(n int) string { return ids(n*2-2, n*2) }
	repeating := func(n int) string { return page(min(n, 3)) }
	for name, c := range map[string]struct {
		paging, query string
		size          int
		serve         func(cursor int) string
		records       int
		asked         []string
		want          flow.Code
	}{
		"numbers":                {"page", "{cursor}", 0, page, 5, []string{"1", "2", "3", "4"}, ""},
		"offsets":                {"offset", "{cursor}", 0, func(n int) string { return ids(n, n+2) }, 5, []string{"0", "2", "4", "5"}, ""},
		"nothing":                {"page", "{cursor}", 0, func(int) string { return "" }, 0, []string{"1"}, ""},
		"a size":                 {"page", "{cursor}", 2, page, 5, []string{"1", "2", "3"}, ""},
		"a size, last repeated":  {"page", "{cursor}", 2, repeating, 5, []string{"1", "2", "3"}, ""},
		"last page repeated":     {"page", "{cursor}", 0, repeating, 5, []string{"1", "2", "3", "4"}, flow.RemoteRefused},
		"number not understood":  {"page", "{cursor}", 0, func(int) string { return page(1) }, 2, []string{"1", "2"}, flow.RemoteRefused},
		"no place for a number":  {"page", "", 0, func(int) string { return page(1) }, 2, []string{""}, ""},
		"no place for an offset": {"offset", "", 0, func(int) string { return page(1) }, 2, []string{""}, ""},
	} {
		var asked []string
		remote := server(t, func(s *spec.Spec) {
			alter(&s.Destination, func(o *spec.Object) {
				o.Find = &spec.Call{Path: "/api/customers", Query: map[string]string{"email": "{value}", "p": c.query}, Result: "items"}
				o.List.Paging, o.List.Size, o.List.Query = c.paging, c.size, map[string]string{"p": c.query}
			})
		}, func(w http.ResponseWriter, r *http.Request) {
			n, _ := strconv.Atoi(r.FormValue("p"))
			asked = append(asked, r.FormValue("p"))
			fmt.Fprintf(w, `{"items":[%s]}`, c.serve(n))
		})
		records, cursor, more := 0, "", true
		var err error
		for more && err == nil {
			var refs []flow.ChangedRecord
			refs, cursor, more, err = remote.Changed(t.Context(), "customers", cursor)
			records += len(refs)
		}
		if flow.CodeOf(err) != c.want || records != c.records || !slices.Equal(asked, c.asked) {
			t.Errorf("%s: %d records, asked for %q, %v", name, records, asked, err)
		}
		if err != nil && !strings.Contains(err.Error(), "destination.objects.customers.list.size") {
			t.Errorf("%s: %v does not say what to change", name, err)
		}
		asked = nil
		if _, _, err = remote.Find(t.Context(), "customers", "email", "nobody@x", nil); flow.CodeOf(err) != c.want || !slices.Equal(asked, c.asked) {
			t.Errorf("%s: a search asked for %q, %v", name, asked, err)
		}
	}
}

// TestLinkElsewhere does not take the credentials to another host.
func TestLinkElsewhere(t *testing.T) {
	c := server(t, func(s *spec.Spec) {
		alter(&s.Destination, func(o *spec.Object) { o.List.Paging = "link" })
	}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", `<https://evil.test/x>; rel=next`)
		fmt.Fprint(w, `{"items":[{"id":"1"}]}`)
	})
	_, cursor, more, err := c.Changed(t.Context(), "customers", "")
	if err != nil || !more {
		t.Fatal(more, err)
	}
	if _, _, _, err := c.Changed(t.Context(), "customers", cursor); flow.CodeOf(err) != flow.RemoteRefused {
		t.Errorf("error is %v, want RemoteRefused", err)
	}
}

// TestManyAtOnce lists an import of one instant once, not at every poll.
func TestManyAtOnce(t *testing.T) {
	company, remote, at := company(t, erp.Usual())
	for range 150 {
		if _, err := company.Create("orders", nil); err != nil {
			t.Fatal(err)
		}
	}
	at.pass(time.Minute)
	first, cursor := drain(t, remote, "orders", "")
	again, _ := drain(t, remote, "orders", cursor)
	if len(first) != 150 || len(again) != 0 {
		t.Errorf("listed %d, then %d again; want 150 and 0", len(first), len(again))
	}
}

// TestForeignCursor refuses a cursor that is not one of the adapter's.
func TestForeignCursor(t *testing.T) {
	_, remote, _ := company(t, erp.Usual())
	if _, _, _, err := remote.Changed(t.Context(), "orders", "tomorrow"); flow.CodeOf(err) != flow.BadEnvelope {
		t.Errorf("error is %v, want BadEnvelope", err)
	}
}

// TestWholeSeconds lists a record again that changes a second time within the
// second that a sweep has seen, and lists nothing again once that second is over.
func TestWholeSeconds(t *testing.T) {
	at := newClock()
	date := func() string { return at.now().Format(http.TimeFormat) }
	c := server(t, func(s *spec.Spec) {
		alter(&s.Destination, func(o *spec.Object) {
			o.Version, o.List.Paging, o.List.Size, o.TimeFormat = "", "page", 2, "2006-01-02.15:04:05"
		})
	}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", date())
		fmt.Fprint(w, `{"items":[{"id":"1","updated_at":"2026-11-23.10:00:00"}]}`)
	})
	var listed []int
	cursor := ""
	for _, pause := range []time.Duration{0, 900 * time.Millisecond, time.Second, 2 * time.Second, time.Minute} {
		at.pass(pause)
		var refs []flow.ChangedRecord
		refs, cursor = drain(t, c, "customers", cursor)
		listed = append(listed, len(refs))
		if len(refs) > 0 && !refs[0].At.Equal(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)) {
			t.Errorf("changed at %v", refs[0].At)
		}
	}
	if want := []int{1, 1, 1, 1, 0}; !slices.Equal(listed, want) {
		t.Errorf("the sweeps listed %v records, want %v", listed, want)
	}
}

// TestUnreadableTimes refuses a time that it cannot read, by its path and without
// its value; no time at all is none.
func TestUnreadableTimes(t *testing.T) {
	for text, want := range map[string]flow.Code{
		`"23. November"`: flow.RemoteRefused, `"2026-11-23.10:00:00"`: flow.RemoteRefused, `true`: flow.RemoteRefused,
		`null`: "", `""`: "", `0`: "", `1795428000`: "", `"2026-11-23 10:00:00"`: "", `"2026-11-23T10:00:00+10:00"`: "",
	} {
		c := server(t, nil, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"id":"1","updated_at":%s}`, text)
		})
		_, err := c.Read(t.Context(), "customers", "1", nil)
		if flow.CodeOf(err) != want || err != nil && (strings.Contains(err.Error(), "23") || !strings.Contains(err.Error(), "timeFormat")) {
			t.Errorf("%s: error is %v, want code %q", text, err, want)
		}
	}
}
