package local_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestAPIRefusesWithReasons(t *testing.T) {
	r := newRig(t)
	for path, want := range map[string]int{
		"/api/outcomes?since=x": 400, "/api/outcomes?limit=0": 400, "/api/executions?status=FOO": 400, "/api/executions/none": 404, "/api/why/nothing/1": 404, "/api/nonsense": 404,
	} {
		var refused map[string]string
		if status := r.get(path, &refused); status != want || refused["error"] == "" || refused["where"] == "" || refused["do"] == "" {
			t.Errorf("GET %s: %d %v, want %d with error, where and do", path, status, refused, want)
		}
	}
}

func TestBackfillRefusesAForeignCursor(t *testing.T) {
	r := newRig(t)
	for _, system := range []string{"hubspot", "destination"} {
		resp, err := http.Post(r.server.URL()+"/api/backfill/contacts/"+system+"?cursor=x", "", nil)
		if err != nil || resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %v %v, want 400", system, resp, err)
		}
	}
}

func TestRecordPageCallsTheDestinationByItsName(t *testing.T) {
	r := newRig(t)
	resp, err := http.Get(r.server.URL() + "/records/contacts/1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, _ := io.ReadAll(resp.Body)
	for _, want := range []string{`<th scope="col">` + r.spec.Destination.Name, `data-side="` + r.spec.Destination.Name} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page of a record lacks %s", want)
		}
	}
}
