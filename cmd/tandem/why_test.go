package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strings"
	"testing"

	"tandem/internal/engines"
	"tandem/internal/local/why"
	"tandem/internal/simulator/portal"
	"tandem/internal/table/dynamo"
)

// parameterStore answers SSM's GetParameter with the world's secrets.
func parameterStore(t *testing.T, secrets string) *httptest.Server {
	var known map[string]any
	raw, err := os.ReadFile(secrets)
	if err == nil {
		err = json.Unmarshal(raw, &known)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Name string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || path.Dir(in.Name) != "/acme" {
			t.Errorf("asked for %q: %v", in.Name, err)
		}
		value := known[path.Base(in.Name)]
		if list, several := value.([]any); several {
			value = list[0]
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"Parameter": map[string]any{"Value": value}})
	}))
	t.Cleanup(s.Close)
	return s
}

// why --aws reads the client's table and its secrets where the stack keeps them.
func TestWhyOnAWS(t *testing.T) {
	w := newWorld(t)
	table := engines.DynamoDBLocal(t)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": parameterStore(t, w.secrets).URL, "AWS_ENDPOINT_URL_DYNAMODB": table, "AWS_REGION": "ap-southeast-2",
		"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_SESSION_TOKEN": "",
		"TANDEM_HUBSPOT_URL": w.hub.URL, "TANDEM_DESTINATION_URL": w.dest.URL, "TANDEM_TABLE": "",
	} {
		t.Setenv(name, value)
	}
	api, err := dynamo.Client(os.Getenv)
	if err == nil {
		err = dynamo.Ensure(context.Background(), api, "acme")
	}
	if err != nil {
		t.Fatal(err)
	}
	rec, err := w.portal.Create(portal.Person, "contacts", map[string]string{"email": "ada@example.com", "firstname": "Ada"})
	if err != nil {
		t.Fatal(err)
	}
	var out, says bytes.Buffer
	if code := run(t.Context(), []string{"why", "acme", "contacts", rec.ID, "--aws", "--json", "--spec", w.specFile}, nil, &out, &says); code != exitOK {
		t.Fatalf("exit code %d: %s", code, says.String())
	}
	var report why.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	if report.State != "unknown" || report.Next.Act != "write" || len(report.Problems) > 0 {
		t.Errorf("a new contact would be created in the destination, yet %s, next %+v, problems %v", report.State, report.Next, report.Problems)
	}
	out.Reset()
	if code := run(t.Context(), []string{"why", "--aws", "--spec", w.specFile, "acme", "contacts", rec.ID}, nil, &out, &says); code != exitOK || !strings.Contains(out.String(), "an event from hubspot would be written; create in destination") {
		t.Errorf("as text: %s%s", out.String(), says.String())
	}
}
