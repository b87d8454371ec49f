package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"tandem/internal/cloud/names"
	"tandem/internal/simulator/erp"
	"tandem/internal/simulator/portal"
	"tandem/spec"
)

// A record that no delivery told of is brought over when somebody asks for it.
func TestResync(t *testing.T) {
	w := newWorld(t)
	p := w.start(t.TempDir(), freeAddress(t))
	settled(t, p)
	id := w.person("asked@example.com", "Ann")
	if said := tell(t, p, "resync", "acme", "contacts", id); !strings.Contains(said, "started") {
		t.Errorf("it says %q", said)
	}
	settled(t, p)
	w.invariants(p, map[string]string{"asked@example.com": "Ann"})
	if said := tell(t, p, "redrive", "--code", "RemoteBusy"); said != "there are no such dead letters\n" {
		t.Errorf("of no dead letter it says %q", said)
	}
	if said := tell(t, p, "redrive", "--json"); said != "[]\n" {
		t.Errorf("as JSON it says %q", said)
	}
	for want, asked := range map[string][]string{
		"RecordMissing":          {"resync", "acme", "contacts", "999999"},
		"not other":              {"resync", "other", "contacts", id},
		"client acme, not":       {"parked", "other"},
		`no object "cars"`:       {"resync", "acme", "cars", "1"},
		`client acme has no`:     {"why", "acme", "cars", "1"},
		"tandem redrive or":      {"redrive", "99"},
		"no pair zz of either":   {"backfill", "--pair", "zz"},
		"it has contacts of hub": {"backfill", "--pair", "zz"},
	} {
		var out, errs bytes.Buffer
		args := append([]string{asked[0], "--addr", strings.TrimSuffix(p.api, "/api")}, asked[1:]...)
		if code := run(t.Context(), args, nil, &out, &errs); code != exitMisused || !strings.Contains(errs.String(), want) {
			t.Errorf("%v says, with %d: %s", asked, code, errs.String())
		}
	}
}

// Deletions that the mass-change guard has stopped follow, each when somebody asks for it.
func TestResyncFollowsADeletion(t *testing.T) {
	w := newWorld(t)
	s, err := spec.Load(w.specFile)
	if err != nil {
		t.Fatal(err)
	}
	s.Guards.Deletes = 1
	body, _ := json.Marshal(s)
	if err := os.WriteFile(w.specFile, body, 0o600); err != nil {
		t.Fatal(err)
	}
	listen := freeAddress(t)
	w.target = []string{"http://" + listen}
	p := w.start(t.TempDir(), listen)
	sending, hangUp := context.WithCancel(t.Context())
	var sends sync.WaitGroup
	defer func() { hangUp(); sends.Wait() }()
	sends.Go(func() { w.deliver(sending) })
	ids := map[string]string{"Ann": "", "Bob": "", "Cleo": ""}
	for name := range ids {
		ids[name] = w.person(strings.ToLower(name)+"@example.com", name)
	}
	w.quiet(p)
	for _, id := range ids {
		if err := w.portal.Archive(portal.Person, "contacts", id); err != nil {
			t.Fatal(err)
		}
	}
	w.quiet(p)
	for want := 2; want > 0; want-- {
		names := w.customers()
		if len(names) != want {
			t.Fatalf("%v are left, want %d", names, want)
		}
		if said := tell(t, p, "why", "acme", "contacts", ids[names[0]]); !strings.Contains(said, "tandem resync of the deleted record") {
			t.Errorf("why says %s", said)
		}
		if listed := tell(t, p, "parked", "acme"); strings.Count(listed, "\n") != want || !strings.Contains(listed, "hubspot/contacts/"+ids[names[0]]+": the record: deleted in hubspot") {
			t.Errorf("with %d left, parked lists %s", want, listed)
		}
		tell(t, p, "resync", "acme", "contacts", ids[names[0]])
		w.quiet(p)
	}
	w.invariants(p, nil)
}

// customers lists the first names of those that are there.
func (w *world) customers() (names []string) {
	for _, c := range w.company.Records("customers") {
		if !c.Deleted {
			names = append(names, erp.Show(c.Fields["first_name"]))
		}
	}
	return names
}

// On AWS the function is asked that polls or compares the object, and says which fields
// were parked.
func TestResyncOnAWS(t *testing.T) {
	var asked []string
	lambda := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var tick names.Tick
		if err := json.NewDecoder(r.Body).Decode(&tick); err != nil {
			t.Error(err)
		}
		asked = append(asked, strings.Split(r.URL.Path, "/")[3]+" "+tick.Pair+" "+tick.Record)
		switch tick.Record {
		case "undeployed":
			w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException:")
			w.WriteHeader(http.StatusNotFound)
			return
		case "missing":
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			_, _ = w.Write([]byte(`{"errorType":"RecordMissing","errorMessage":"404"}`))
			return
		}
		_ = json.NewEncoder(w).Encode(names.Swept{Started: 1, Freed: []string{"lastName"}})
	}))
	defer lambda.Close()
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": lambda.URL, "AWS_REGION": "ap-southeast-2", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"} {
		t.Setenv(name, value)
	}
	const both = "travel again: lastName\nstarted; tandem why --aws tells"
	for _, c := range []struct {
		object, id, want string
		code             int
		says             string
	}{
		{"contacts", "7", "acme-hubspot-to-destination-reconcile contacts 7", exitOK, both},
		{"orders", "o_1", "acme-destination-to-hubspot-poll deals o_1", exitOK, both},
		{"orders", "undeployed", "acme-destination-to-hubspot-poll deals undeployed", exitFailed,
			"lambda Invoke acme-destination-to-hubspot-poll answered 404 ResourceNotFoundException; is the client deployed"},
		{"orders", "missing", "acme-destination-to-hubspot-poll deals missing", exitMisused, "RecordMissing"},
	} {
		var out, errs bytes.Buffer
		args := []string{"resync", "--aws", "acme", c.object, c.id, "--spec", "../../spec/acme/integration-spec.json"}
		if code := run(t.Context(), args, nil, &out, &errs); code != c.code || !strings.Contains(out.String()+errs.String(), c.says) {
			t.Errorf("%s: it says, with %d: %s%s", c.object, code, out.String(), errs.String())
		}
		if got := asked[len(asked)-1]; got != c.want {
			t.Errorf("asked %q, want %q", got, c.want)
		}
	}
}
