package erp_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"tandem/internal/simulator/erp"
)

// TestFind compares the index with looking at every record, through random
// edits, deletions and restores.
func TestFind(t *testing.T) {
	c, _ := company(erp.Habits{})
	r := rand.New(rand.NewPCG(3, 4))
	values := []any{"a", "A", "b", nil, "", true}
	for range 3000 {
		id := fmt.Sprintf("c_%d", 1+r.IntN(20))
		switch v := values[r.IntN(len(values))]; r.IntN(6) {
		case 0:
			_ = c.Delete("customers", id, 0)
		case 1:
			_, _ = c.Restore("customers", id)
		case 2:
			must[erp.Record](t)(c.Create("customers", map[string]any{"name": v}))
		default:
			_, _ = c.Update("customers", id, map[string]any{"name": v}, 0)
		}
		for _, value := range []string{"a", "B", "true", ""} {
			want := []string{}
			for _, rec := range c.Records("customers") {
				if !rec.Deleted && value != "" && strings.EqualFold(erp.Show(rec.Fields["name"]), value) {
					want = append(want, rec.ID)
				}
			}
			got := []string{}
			for _, rec := range must[[]erp.Record](t)(c.Find("customers", "name", value)) {
				got = append(got, rec.ID)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("value %q: found %v, want %v", value, got, want)
			}
		}
		if r.IntN(500) == 0 {
			c, _ = company(erp.Habits{})
		}
	}
}
