package hubspot

import (
	"fmt"
	"slices"
	"testing"
)

// TestRelatedGoesThroughThePages: ids come as numbers or as text, and the pages end.
func TestRelatedGoesThroughThePages(t *testing.T) {
	const page = `{"results":[{"toObjectId":%d,"associationTypes":[]},{"toObjectId":"%d"}],"paging":{"next":{"after":"%d"}}}`
	c, s := scriptedClient(t,
		scripted{status: 200, body: fmt.Sprintf(page, 508369434343, 2, 2)},
		scripted{status: 200, body: `{"results":[{"toObjectId":3}]}`})
	ids, more, err := c.Related(t.Context(), "companies", "9", "deals")
	if want := []string{"508369434343", "2", "3"}; !slices.Equal(ids, want) || more || err != nil {
		t.Errorf("%v, %v, %v; want %v", ids, more, err, want)
	}
	if got := s.seen[1].URL.Query().Get("after"); got != "2" || s.seen[0].URL.Path != "/crm/objects/"+Version+"/companies/9/associations/deals" {
		t.Errorf("asked for %s, then after %q", s.seen[0].URL, got)
	}
	var pages []scripted
	for n := range relatedPages {
		pages = append(pages, scripted{status: 200, body: fmt.Sprintf(page, n, n, n)})
	}
	c, _ = scriptedClient(t, pages...)
	if ids, more, err = c.Related(t.Context(), "companies", "9", "deals"); len(ids) != 2*relatedPages || !more || err != nil {
		t.Errorf("%d ids, more %v, %v", len(ids), more, err)
	}
}

// TestAssociationsWithASpace: HubSpot's answers say "line items", its paths line_items.
func TestAssociationsWithASpace(t *testing.T) {
	c, _ := scriptedClient(t, scripted{status: 200, body: `{"id":"9","properties":{},"associations":{"line items":{"results":[{"id":"5","type":"deal_to_line_item"}]}}}`})
	rec, err := c.Read(t.Context(), "deals", "9", []string{"@line_items"})
	if err != nil || rec.Fields["@line_items"] != "5" {
		t.Errorf("%v, %v", rec.Fields, err)
	}
}
