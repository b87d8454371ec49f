package hubspot

import (
	"fmt"
	"strings"
	"testing"

	"tandem/internal/flow"
)

// many are more property names than a URL takes, and one association.
func many() (names []string) {
	for i := range 200 {
		names = append(names, fmt.Sprintf("a_property_with_a_long_name_%03d", i))
	}
	return append(names, "@companies")
}

const (
	withoutValues = `{"id":"9","updatedAt":"2026-09-10T08:00:00Z","associations":{"companies":{"results":[{"id":"77","type":"deal_to_company"}]}}}`
	withValues    = `{"status":"COMPLETE","results":[{"id":"9","updatedAt":"%s","properties":{"a_property_with_a_long_name_007":"seven"}}]}`
)

func TestManyPropertiesAreReadByPOST(t *testing.T) {
	c, s := scriptedClient(t, scripted{status: 200, body: withoutValues}, scripted{status: 200, body: fmt.Sprintf(withValues, "2026-09-10T08:00:00Z")})
	rec, err := c.Read(t.Context(), "deals", "1", many())
	if err != nil {
		t.Fatal(err)
	}
	if rec.ID != "9" || rec.Fields["a_property_with_a_long_name_007"] != "seven" || rec.Fields["@companies"] != "77" {
		t.Errorf("read %+v", rec)
	}
	if _, known := rec.Fields["a_property_with_a_long_name_199"]; !known {
		t.Error("a property without a value is not blank but unknown")
	}
	for _, r := range s.seen {
		if n := len(r.URL.RequestURI()); n > longestList {
			t.Errorf("%s with a URL of %d characters", r.Method, n)
		}
	}
	if !strings.Contains(s.bodies[1], `"inputs":[{"id":"9"}]`) {
		t.Errorf("the values were asked for by %s, not by the id that answered", s.bodies[1])
	}
}

func TestHalvesOfARecordAreOfOneInstant(t *testing.T) {
	c, _ := scriptedClient(t, scripted{status: 200, body: withoutValues}, scripted{status: 200, body: fmt.Sprintf(withValues, "2026-09-10T08:00:01Z")})
	if _, err := c.Read(t.Context(), "deals", "9", many()); flow.CodeOf(err) != flow.RemoteBusy {
		t.Errorf("%v; want RemoteBusy, which is tried again", err)
	}
}

func TestSearchesStayShort(t *testing.T) {
	c, s := scriptedClient(t,
		scripted{status: 200, body: `{"results":[{"id":"9","updatedAt":"2026-09-10T08:00:00Z"}]}`},
		scripted{status: 200, body: withoutValues}, scripted{status: 200, body: fmt.Sprintf(withValues, "2026-09-10T08:00:00Z")})
	found, _, err := c.Find(t.Context(), "deals", "order_number", "N-1", many())
	if err != nil || len(found) != 1 || found[0].Fields["a_property_with_a_long_name_007"] != "seven" {
		t.Errorf("found %+v, %v", found, err)
	}
	if len(s.bodies[0]) > 3000 {
		t.Errorf("a search of %d characters; HubSpot takes 3,000", len(s.bodies[0]))
	}
}
