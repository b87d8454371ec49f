package portal

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tandem/internal/record"
)

// history runs random operations from a seed and returns what came of them.
func history(t *testing.T, seed uint64) string {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	r := newRig(t, Options{Rand: rng, SearchLag: 2 * time.Second, Duplicates: 0.2, Clashes: 0.2, MergeDeletes: true})
	var out []any
	pick := func() string { return fmt.Sprint(firstID + rng.IntN(12)) }
	for range 200 {
		r.pass(time.Duration(rng.IntN(900)) * time.Millisecond)
		var rec record.Record
		var err error
		fields := record.Fields{"email": fmt.Sprintf("p%d@example.com", rng.IntN(8)), "erp_id": fmt.Sprint(rng.IntN(8)), "firstname": fmt.Sprint(rng.IntN(3))}
		switch rng.IntN(8) {
		case 0, 1:
			rec, err = r.client.Create(r.ctx, "contacts", fields, "", "k")
		case 2:
			rec, err = r.client.Create(r.ctx, "contacts", fields, "erp_id", "k")
		case 3, 4:
			rec, err = r.client.Update(r.ctx, "contacts", pick(), fields, "")
		case 5:
			err = r.client.Archive(r.ctx, "contacts", pick(), "")
		case 6:
			_, err = r.p.Merge(Person, "contacts", pick(), pick())
		case 7:
			err = r.p.Restore(Person, "contacts", pick())
		}
		found, _, findErr := r.client.Find(r.ctx, "contacts", "firstname", "1", []string{"email"})
		out = append(out, rec, fmt.Sprint(err), found, fmt.Sprint(findErr), r.p.Events())
	}
	page, err := r.p.List("contacts", 1000, "", false, []string{"email", "erp_id", "firstname", "hs_additional_emails"}, nil)
	text, jsonErr := json.Marshal(append(out, page))
	if err != nil || jsonErr != nil {
		t.Fatal(err, jsonErr)
	}
	unique(t, seed, page.Results)
	return string(text)
}

// unique holds that no two live records share a unique value.
func unique(t *testing.T, seed uint64, records []Record) {
	t.Helper()
	for _, property := range []string{"email", "erp_id"} {
		seen := map[string]string{}
		for _, rec := range records {
			v := rec.Text(property)
			if other := seen[v]; v != "" && other != "" {
				t.Errorf("seed %d: %s and %s share %s", seed, rec.ID, other, property)
			}
			seen[v] = rec.ID
		}
	}
}

// TestSameSeedSameHistory: nothing depends on the order of a map.
func TestSameSeedSameHistory(t *testing.T) {
	for seed := range uint64(20) {
		if a, b := history(t, seed), history(t, seed); a != b {
			t.Fatalf("seed %d gave two histories", seed)
		}
	}
}
