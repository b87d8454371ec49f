package destination_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"tandem/spec"
)

// TestCreated keeps of what changed what was created in the span, over all
// pages, reads what a list leaves out, and names a record once.
func TestCreated(t *testing.T) {
	var since string
	asked := 0
	c := server(t, func(s *spec.Spec) {
		alter(&s.Destination, func(o *spec.Object) { o.CreatedAt, o.List.Paging, o.List.Size = "made", "page", 2 })
	}, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/5") {
			asked++
			fmt.Fprint(w, `{"id":5,"email":"whole@example.com"}`)
			return
		}
		since = r.FormValue("updated_since")
		fmt.Fprint(w, map[string]string{
			"1": `{"items":[{"id":1,"made":"2026-11-23T09:59:59Z","email":"a"},{"id":2,"made":"2026-11-23T10:00:00Z","email":"b"}]}`,
			"2": `{"items":[{"id":3,"made":"2026-11-23T10:05:01Z","email":"c"},{"id":2,"made":"2026-11-23T10:00:00Z","email":"b"}]}`,
			"3": `{"items":[{"id":5,"made":"2026-11-23T10:05:00Z"}]}`,
		}[r.FormValue("cursor")])
	})
	from := time.Date(2026, 11, 23, 10, 0, 0, 400e6, time.UTC) // systems round down
	made, err := c.Created(t.Context(), "customers", from, time.Date(2026, 11, 23, 10, 5, 0, 0, time.UTC), []string{"email"})
	if err != nil || !c.Abilities("customers").Recent {
		t.Fatal(err)
	}
	if len(made) != 2 || made[0].ID != "2" || made[1].ID != "5" || made[1].Fields["email"] != "whole@example.com" || asked != 1 {
		t.Errorf("listed %+v", made)
	}
	if since != "2026-11-23T10:00:00.400Z" {
		t.Errorf("asked since %s", since)
	}
}
