package cloud

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"tandem/internal/cloud/names"
	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/internal/table/embedded"
	"tandem/spec"
)

// TestReplacedTokens: a token that was replaced in the store of parameters is used
// as soon as the old one is refused, of either system.
func TestReplacedTokens(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer new" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"id":"1","properties":{}}`)
	}))
	defer srv.Close()
	rows, err := embedded.Open("", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for _, sys := range []record.System{record.HubSpot, record.Destination} {
		s := &spec.Spec{Client: "acme", HubSpot: spec.HubSpot{PortalID: "1", BaseURL: srv.URL}, Destination: spec.Destination{
			BaseURL: srv.URL, Objects: map[string]spec.Object{"customers": {ID: "id", Read: spec.Call{Path: "/customers/{id}"}}},
		}}
		now, token := time.Now(), names.TokenSecret(s, sys)
		p := &parameters{values: map[string]string{"/acme/" + token: "old"}}
		h := &Host{Spec: s, Table: rows, Secrets: NewSecrets(p, "/acme/", func() time.Time { return now }, token)}
		if err := h.open(); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Secrets.Get(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		p.values["/acme/"+token], now = "new", now.Add(time.Minute)
		remote, object := h.Flow.Remotes[sys], map[record.System]string{record.HubSpot: "contacts", record.Destination: "customers"}[sys]
		if _, err := remote.Read(t.Context(), object, "1", nil); err != nil {
			t.Errorf("%s: %v", sys, err)
		}
	}
}

// TestMissingToken: a destination's token that nobody has stored asks a person, a
// store that does not answer only time.
func TestMissingToken(t *testing.T) {
	s := &spec.Spec{Client: "acme", HubSpot: spec.HubSpot{PortalID: "1"}, Destination: spec.Destination{
		BaseURL: "https://erp.test", Objects: map[string]spec.Object{"customers": {ID: "id", Read: spec.Call{Path: "/customers/{id}"}}},
	}}
	rows, err := embedded.Open("", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for want, p := range map[flow.Code]*parameters{flow.Unauthorized: {}, flow.RemoteBusy: {err: errors.New("down")}} {
		h := &Host{Spec: s, Table: rows, Secrets: NewSecrets(p, "/acme/", time.Now, names.TokenSecret(s, record.Destination))}
		if err := h.open(); err != nil {
			t.Fatal(err)
		}
		if _, err := h.destination.Read(t.Context(), "customers", "1", nil); flow.CodeOf(err) != want {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
}
