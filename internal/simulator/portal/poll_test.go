package portal

import (
	"fmt"
	"testing"
	"time"

	"tandem/internal/record"
)

// TestPollSeesEveryChange: several pages, more records in one millisecond than
// a page holds, changes between pages, and the index's lag.
func TestPollSeesEveryChange(t *testing.T) {
	r := newRig(t, Options{SearchLag: 5 * time.Second})
	seen := map[string]string{}
	cursor := ""
	round := func(between func()) int {
		t.Helper()
		for pages := 1; ; pages++ {
			refs, next, more, err := r.client.Changed(r.ctx, "companies", cursor)
			if err != nil {
				t.Fatal(err)
			}
			for _, ref := range refs {
				seen[ref.ID] = ref.Version
			}
			if cursor = next; !more {
				return pages
			}
			between()
		}
	}
	var ids []string
	for i := range 450 { // All in one millisecond.
		ids = append(ids, r.create("companies", record.Fields{"name": fmt.Sprint(i)}).ID)
	}
	r.pass(time.Minute)
	if pages := round(func() {
		r.pass(20 * time.Second)
		if _, err := r.client.Update(r.ctx, "companies", ids[7], record.Fields{"name": fmt.Sprint("changed at ", r.now)}, ""); err != nil {
			t.Fatal(err)
		}
	}); pages < 3 {
		t.Errorf("450 records came in %d pages", pages)
	}
	r.pass(time.Minute)
	round(func() {})
	if len(seen) != len(ids) {
		t.Errorf("saw %d of %d records", len(seen), len(ids))
	}
	if now := r.read("companies", ids[7]); seen[ids[7]] != now.Version {
		t.Errorf("saw version %s of a record at %s", seen[ids[7]], now.Version)
	}
	if _, _, _, err := r.client.Changed(r.ctx, "companies", "nonsense"); err == nil {
		t.Error("a cursor of another kind was accepted")
	}
}

// TestPollStepsBackAfterFullPages: what reaches the index late is not missed where many
// records have changed: the next round repeats the last ones, however many pages the
// first one had, and the one after that none.
func TestPollStepsBackAfterFullPages(t *testing.T) {
	for _, n := range []int{10, 200, 450} {
		r := newRig(t, Options{SearchLag: 5 * time.Second})
		listed, cursor := []int{}, ""
		for i := range n {
			r.create("companies", record.Fields{"name": fmt.Sprint(i)})
			r.pass(10 * time.Millisecond)
		}
		r.pass(6 * time.Second)
		for range 3 {
			all := 0
			for more := true; more; {
				refs, next, m, err := r.client.Changed(r.ctx, "companies", cursor)
				if err != nil {
					t.Fatal(err)
				}
				all, cursor, more = all+len(refs), next, m
			}
			listed = append(listed, all)
			r.pass(4 * time.Minute)
		}
		if listed[0] < n || listed[1] < n || listed[2] != 0 {
			t.Errorf("of %d records, the rounds list %v", n, listed)
		}
	}
}
