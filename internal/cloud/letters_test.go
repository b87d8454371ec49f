package cloud

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/internal/beat"
	"tandem/internal/cloud/awsjson"
	"tandem/internal/flow"
	"tandem/internal/ledger"
	"tandem/internal/table"
	"tandem/internal/table/embedded"
	"tandem/spec"
)

// deadQueue is SQS with dead letters in it, and the Centre.
type deadQueue struct {
	mu     sync.Mutex
	bodies []string
	hidden map[int]bool
	deaf   bool          // the Centre does not answer
	sent   map[int]int64 // other times of sending than 1790000000000
	heard  []beat.Beat
	others int
}

func (q *deadQueue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	_, operation, aws := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch {
	case !aws && q.deaf:
		w.WriteHeader(http.StatusServiceUnavailable)
	case !aws:
		var b beat.Beat
		_ = json.Unmarshal(body, &b)
		q.heard = append(q.heard, b)
		w.WriteHeader(http.StatusNoContent)
	case operation == "GetQueueAttributes":
		fmt.Fprintf(w, `{"Attributes":{"ApproximateNumberOfMessages":"%d","ApproximateNumberOfMessagesNotVisible":"%d"}}`, len(q.bodies)-len(q.hidden), len(q.hidden))
	case operation == "ReceiveMessage":
		q.receive(w)
	case operation == "ChangeMessageVisibilityBatch":
		var in struct {
			Entries []struct{ ReceiptHandle string }
		}
		_ = json.Unmarshal(body, &in)
		for _, e := range in.Entries {
			var i int
			fmt.Sscan(e.ReceiptHandle, &i)
			delete(q.hidden, i)
		}
		fmt.Fprint(w, `{}`)
	default:
		q.others++
		w.WriteHeader(http.StatusBadRequest)
	}
}

func (q *deadQueue) receive(w io.Writer) {
	var messages []map[string]any
	for i, body := range q.bodies {
		if !q.hidden[i] && len(messages) < 10 {
			q.hidden[i] = true
			sent := cmp.Or(q.sent[i], 1790000000000)
			messages = append(messages, map[string]any{"ReceiptHandle": fmt.Sprint(i), "Body": body, "Attributes": map[string]string{"SentTimestamp": fmt.Sprint(sent)}})
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"Messages": messages})
}

// causes are the dead letters that the Centre has heard of, and how many wait.
func (q *deadQueue) causes() (all map[beat.Cause]int, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	all, waiting = map[beat.Cause]int{}, -1
	for _, b := range q.heard {
		for _, way := range b.Ways {
			for c, n := range way.Causes[beat.Dead] {
				all[c] += n
			}
		}
		if b.Waiting != nil {
			waiting = *b.Waiting
		}
	}
	return all, waiting
}

func dead(id, code, cause string) string {
	body, _ := json.Marshal(map[string]any{"execution": "acme-contacts-" + id, "machine": spec.ToDestination,
		"event": map[string]any{"direction": spec.ToDestination, "pair": "contacts", "id": id, "name": "acme-contacts-" + id},
		"error": map[string]string{"Error": code, "Cause": cause}})
	return string(body)
}

// selfCheckHost is a process of the self-check over a table that outlives it.
func selfCheckHost(t *testing.T, q *httptest.Server, rows table.Table) *Host {
	env := map[string]string{"AWS_REGION": "ap-southeast-2", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL": q.URL}
	config, err := awsjson.FromEnv(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	s := &spec.Spec{Client: "acme", Pairs: []spec.Pair{{Name: "contacts", HubSpot: spec.Side{Object: "contacts"}, Destination: spec.Side{Object: "customers"}}}}
	beats, err := beat.New(beat.Options{Client: "acme", Handler: "selfcheck", URL: q.URL, Secret: "0123456789abcdef", Every: time.Hour, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return &Host{Spec: s, reporting: reporting{opened: beats}, Metrics: NewMetrics(io.Discard, "acme", time.Now), Log: slog.New(slog.DiscardHandler), queues: awsjson.New(config, time.Minute), deadLetters: "queue", untold: map[table.Key]ledger.Letter{},
		Flow: &flow.Flow{Options: flow.Options{Spec: s, Ledger: &ledger.Ledger{Table: rows, Client: "acme", Now: func() time.Time { return time.UnixMilli(1790000000000) }}}}}
}

// Each dead letter is counted once by its cause, by whichever process, and nothing
// is taken out of the queue; the Centre's absence loses no count.
func TestDeadLettersAreCountedOnce(t *testing.T) {
	rows, err := embedded.Open("", func() time.Time { return time.UnixMilli(1790000000000) })
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	q := &deadQueue{hidden: map[int]bool{}}
	server := httptest.NewServer(q)
	defer server.Close()
	for i := range 23 {
		q.bodies = append(q.bodies, dead(fmt.Sprint(i), "UnknownEnum", `{"errorMessage":"UnknownEnum: pair contacts, field status","errorType":"UnknownEnum"}`))
	}
	q.bodies = append(q.bodies, dead("t", "States.Timeout", ""), dead("n", "", ""), "{}", "not JSON")
	check := func(h *Host) { h.ownTable(t.Context()); h.tell(t.Context()) }

	first := selfCheckHost(t, server, rows)
	q.deaf = true
	check(first)
	check(first)
	if all, _ := q.causes(); len(all) > 0 {
		t.Fatalf("a Centre that does not answer has heard %v", all)
	}
	second := selfCheckHost(t, server, rows) // the first process is gone, and its counts with it
	check(second)
	q.mu.Lock()
	q.deaf = false
	q.mu.Unlock()
	for range 3 {
		check(second)
		check(selfCheckHost(t, server, rows))
	}
	all, waiting := q.causes()
	if all["UnknownEnum"] != 23 || all["States.Timeout"] != 1 || all[beat.NotStarted] != 1 || len(all) != 3 || waiting != 27 {
		t.Errorf("the Centre heard %v, %d waiting", all, waiting)
	}
	if len(q.hidden) > 0 || q.others > 0 {
		t.Errorf("%d letters are hidden from whoever redrives, %d other requests", len(q.hidden), q.others)
	}
	letters, err := second.Flow.Ledger.Letters(t.Context(), spec.ToDestination, 100)
	if err != nil || len(letters) != 25 {
		t.Fatalf("%d letters are listed, %v", len(letters), err)
	}
	for _, l := range letters {
		if l.Code == "UnknownEnum" && (l.Detail != "pair contacts, field status" || l.Ref.Object != "contacts") {
			t.Errorf("listed as %+v", l)
		}
	}
}

// The age of the oldest letter is told for as long as one is there, also of a message
// that is none of ours, and also where no Centre can be told of it.
func TestAgeOfTheOldestLetter(t *testing.T) {
	q, now := &deadQueue{hidden: map[int]bool{}}, time.UnixMilli(1790000000000)
	h, _ := unreadable(t, q, func() time.Time { return now })
	var metrics bytes.Buffer
	h.Metrics = NewMetrics(&metrics, "acme", func() time.Time { return now.Add(time.Hour) })
	h.ownTable(t.Context())
	if metrics.Len() > 0 {
		t.Errorf("an empty queue has the age %s", &metrics)
	}
	for i := range 23 {
		q.bodies = append(q.bodies, dead(fmt.Sprint(i), "UnknownEnum", ""))
	}
	q.bodies = append(q.bodies, "not JSON")
	q.sent = map[int]int64{17: now.Add(-23 * time.Hour).UnixMilli(), 23: now.Add(-11 * 24 * time.Hour).UnixMilli()}
	h.ownTable(t.Context())
	want := `{"Client":"acme","OldestDeadLetter":265,`
	if !strings.HasPrefix(metrics.String(), want) || strings.Count(metrics.String(), "\n") != 1 {
		t.Errorf("got %s, want %s", &metrics, want)
	}
}
