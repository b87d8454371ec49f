package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"tandem/internal/simulator/portal"
	"tandem/spec"
)

func TestRecordsOfInputs(t *testing.T) {
	s, err := spec.Load("../../" + exampleSpec)
	if err != nil {
		t.Fatal(err)
	}
	input := `{"event":{"client":"acme","direction":"destination-to-hubspot","pair":"deals","id":"o_7","kind":"changed"}}`
	quoted, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ line, want string }{
		"an input":            {input, "destination/orders/o_7"},
		"a log event":         {`{"id":"1","type":"ExecutionStarted","details":{"input":` + string(quoted) + `,"roleArn":"arn:aws:iam::1:role/r"}}`, "destination/orders/o_7"},
		"another log event":   {`{"id":"2","type":"TaskStateEntered","details":{"input":"{}","name":"Verify"}}`, ""},
		"no JSON":             {"START RequestId", ""},
		"a pair there is not": {strings.Replace(input, "deals", "quotes", 1), ""},
		"no direction":        {strings.Replace(input, "destination-to-hubspot", "", 1), ""},
	} {
		ref, ok := refOf([]byte(c.line), s)
		if ok != (c.want != "") || ok && ref.String() != c.want {
			t.Errorf("%s: %v, %v", name, ref, ok)
		}
	}
}

// A change of spec is tried on what a running server has lately worked on, and
// on given inputs.
func TestSimulateCommand(t *testing.T) {
	w := newWorld(t)
	listen := freeAddress(t)
	p := w.start(t.TempDir(), listen)
	w.target = []string{"http://" + listen}
	var none bytes.Buffer
	if code := run(t.Context(), []string{"simulate", "--addr", listen, w.specFile}, nil, &none, &none); code != exitFailed || !strings.Contains(none.String(), "on no record lately") {
		t.Errorf("of no record it says, with %d: %s", code, none.String())
	}
	rec, err := w.portal.Create(portal.Person, "contacts", map[string]string{"email": "ada@example.com", "firstname": "Ada", "lastname": "Byron"})
	if err != nil {
		t.Fatal(err)
	}
	sending, hangUp := context.WithCancel(t.Context())
	var sends sync.WaitGroup
	sends.Go(func() { w.deliver(sending) })
	w.quiet(p)
	hangUp()
	sends.Wait()
	text, err := os.ReadFile(w.specFile)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	after, inputs := filepath.Join(dir, "after.json"), filepath.Join(dir, "inputs")
	text = bytes.Replace(text, []byte(`{"concat":["{firstname}"," ","{lastname}"]}`), []byte(`{"concat":["{lastname}"," ","{firstname}"]}`), 1)
	line := `{"event":{"direction":"hubspot-to-destination","pair":"contacts","id":"` + rec.ID + `"}}` + "\n"
	for name, body := range map[string][]byte{after: text, inputs: []byte(line + line)} {
		if err := os.WriteFile(name, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, args := range map[string][]string{"latest": {after}, "inputs": {"--inputs", inputs, after}} {
		var o, e bytes.Buffer
		code := run(t.Context(), append([]string{"simulate", "--addr", listen}, args...), nil, &o, &e)
		for _, want := range []string{`name "Ada Byron" -> "Byron Ada"`, "1 would fare otherwise", "0 into HubSpot, 1 into the destination"} {
			if code != exitOK || !strings.Contains(o.String(), want) {
				t.Errorf("%s ends with %d and does not say %q:\n%s%s", name, code, want, o.String(), e.String())
			}
		}
	}
	var o, e bytes.Buffer
	if code := run(t.Context(), []string{"simulate", "--json", "--addr", listen, w.specFile}, nil, &o, &e); code != exitOK || !strings.Contains(o.String(), rec.ID) {
		t.Errorf("as JSON it ends with %d: %s%s", code, o.String(), e.String())
	}
}
