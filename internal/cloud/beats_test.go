package cloud

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"tandem/internal/beat"
	"tandem/internal/cloud/names"
	"tandem/internal/table/embedded"
)

// unreadable is a self-check over q whose process has started while its secret
// could not be read.
func unreadable(t *testing.T, q *deadQueue, now func() time.Time) (*Host, *parameters) {
	t.Helper()
	rows, err := embedded.Open("", func() time.Time { return time.UnixMilli(1790000000000) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rows.Close() })
	server := httptest.NewServer(q)
	t.Cleanup(server.Close)
	h, p := selfCheckHost(t, server, rows), &parameters{err: errors.New("down")}
	h.Name, h.Secrets = "selfcheck", NewSecrets(p, "/acme/", now, names.CentreSecret)
	env := map[string]string{names.CentreURL: server.URL}
	h.reporting = reporting{now: now, log: h.Log, open: func(ctx context.Context) (*beat.Reporter, error) {
		return h.reporter(ctx, func(name string) string { return env[name] })
	}}
	h.beats()
	return h, p
}

// A function whose secret was unreadable when it started beats as soon as it can be
// read, asks for it once a minute meanwhile, and takes no dead letter for heard that
// nobody was told of.
func TestReporterIsOpenedLater(t *testing.T) {
	now, q := time.Unix(1, 0), &deadQueue{hidden: map[int]bool{}}
	h, p := unreadable(t, q, func() time.Time { return now })
	q.bodies = append(q.bodies, dead("1", "UnknownEnum", ""))
	check := func() { h.ownTable(t.Context()); h.tell(t.Context()) }
	check()
	if len(p.asked) != 1 {
		t.Errorf("asked %d times within a minute", len(p.asked))
	}
	p.err, p.values = nil, map[string]string{"/acme/" + names.CentreSecret: "0123456789abcdef"}
	check()
	if all, _ := q.causes(); len(all) > 0 {
		t.Fatalf("the Centre heard %v from nobody", all)
	}
	now = now.Add(beatRest)
	check()
	check()
	if all, waiting := q.causes(); all["UnknownEnum"] != 1 || len(all) != 1 || waiting != 1 {
		t.Errorf("the Centre heard %v, %d waiting", all, waiting)
	}
}

// A beat that was sealed before the letters were counted and is answered at last is
// not taken for theirs.
func TestPendingBeatDoesNotSpeakForNewLetters(t *testing.T) {
	q := &deadQueue{hidden: map[int]bool{}, deaf: true}
	now := time.Unix(1, 0)
	h, p := unreadable(t, q, func() time.Time { return now })
	p.err, p.values = nil, map[string]string{"/acme/" + names.CentreSecret: "0123456789abcdef"}
	now = now.Add(beatRest)
	if h.beats().Flush(t.Context()) == nil {
		t.Fatal("a Centre that does not answer has answered")
	}
	q.mu.Lock()
	q.deaf = false
	q.bodies = append(q.bodies, dead("1", "UnknownEnum", ""))
	q.mu.Unlock()
	h.ownTable(t.Context())
	h.tell(t.Context()) // and the process ends
	if all, _ := q.causes(); all["UnknownEnum"] != 1 {
		t.Errorf("the Centre heard %v", all)
	}
}
