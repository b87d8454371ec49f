package dynamo

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"tandem/internal/table"
	"tandem/internal/table/tabletest"
)

// lossy stands between the client and DynamoDB Local and can lose the next
// answer, after the request has been carried out.
type lossy struct {
	*httptest.Server
	lose atomic.Int64
	lost atomic.Int64
}

func newLossy(t *testing.T, endpoint string) *lossy {
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	l := &lossy{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(*http.Response) error {
		if l.lose.Add(-1) >= 0 {
			l.lost.Add(1)
			panic(http.ErrAbortHandler)
		}
		return nil
	}
	l.Server = httptest.NewServer(proxy)
	t.Cleanup(l.Close)
	return l
}

// lostAnswer: a change whose answer is lost is repeated by the SDK, and is told apart from a
// race lost to somebody else.
func lostAnswer(t *testing.T, endpoint string) {
	proxy := newLossy(t, endpoint)
	var ops []string
	clock := tabletest.NewClock()
	tb := New(client(t, proxy.URL), created(t, endpoint), clock.Now, func(op string) { ops = append(ops, op) })
	one, two := table.Key{PK: "P", SK: "1"}, table.Key{PK: "P", SK: "2"}
	a := map[string]string{"a": "1"}
	for _, c := range []struct {
		name    string
		updates []table.Update
		revs    []int64
		ops     []string
	}{
		{"create", []table.Update{{Key: one, If: table.Absent, Set: a}}, []int64{1}, []string{"PutItem"}},
		{"update", []table.Update{{Key: one, If: table.AtRev(1), Set: a}}, []int64{2}, []string{"UpdateItem"}},
		{"transaction", []table.Update{{Key: one, If: table.AtRev(2), Set: a}, {Key: two, If: table.Absent, Set: a}}, []int64{3, 1}, []string{"TransactWriteItems"}},
	} {
		ops = nil
		proxy.lost.Store(0)
		proxy.lose.Store(1)
		revs, err := tb.Update(t.Context(), c.updates...)
		if err != nil || !slices.Equal(revs, c.revs) {
			t.Errorf("%s: revisions %v, %v; want %v", c.name, revs, err, c.revs)
		}
		if proxy.lost.Load() != 1 || !slices.Equal(ops, c.ops) {
			t.Errorf("%s: %d answers lost, requests %v; want 1 and %v", c.name, proxy.lost.Load(), ops, c.ops)
		}
	}
	if _, err := tb.Update(t.Context(), table.Update{Key: one, If: table.Absent, Set: a}); err == nil {
		t.Error("a race that was lost to another writer was taken for a win")
	}
}

// requests: each call costs one request; only an Always that meets an expired row costs more.
func requests(t *testing.T, endpoint string) {
	var ops []string
	tb := New(client(t, endpoint), created(t, endpoint), tabletest.NewClock().Now, func(op string) { ops = append(ops, op) })
	one, two := table.Key{PK: "P", SK: "1"}, table.Key{PK: "P", SK: "2"}
	update := func(u ...table.Update) {
		if _, err := tb.Update(t.Context(), u...); err != nil {
			t.Fatal(err)
		}
	}
	update(table.Update{Key: one})
	update(table.Update{Key: one, If: table.AtRev(1)}, table.Update{Key: two, If: table.Always})
	update(table.Update{Key: one, If: table.Always, Delete: true})
	if _, err := tb.Get(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if _, err := tb.Get(t.Context(), one, two); err != nil {
		t.Fatal(err)
	}
	if _, err := tb.Query(t.Context(), "P", "", 10); err != nil {
		t.Fatal(err)
	}
	want := []string{"PutItem", "TransactWriteItems", "DeleteItem", "GetItem", "BatchGetItem", "Query"}
	if !slices.Equal(ops, want) {
		t.Errorf("requests %v, want %v", ops, want)
	}
}

// Rows that BatchGetItem leaves unprocessed are asked for again.
func TestUnprocessedKeys(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		type request struct {
			RequestItems map[string]struct {
				Keys []map[string]map[string]string
			}
		}
		var in request
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		keys := in.RequestItems["rows"].Keys
		asked += len(keys)
		first := keys[0]
		first["rev"] = map[string]string{"N": "7"}
		rest := map[string]any{}
		if len(keys) > 1 {
			rest["rows"] = map[string]any{"Keys": keys[1:]}
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		json.NewEncoder(w).Encode(map[string]any{"Responses": map[string]any{"rows": []any{first}}, "UnprocessedKeys": rest})
	}))
	defer server.Close()
	items, err := New(client(t, server.URL), "rows", nil, nil).Get(t.Context(),
		table.Key{PK: "P", SK: "1"}, table.Key{PK: "P", SK: "2"}, table.Key{PK: "P", SK: "3"})
	if err != nil || len(items) != 3 {
		t.Fatalf("%d items, %v", len(items), err)
	}
	for i, it := range items {
		if it.Rev != 7 || it.SK != string(rune('1'+i)) {
			t.Errorf("item %d is %+v", i, it)
		}
	}
	if asked != 3+2+1 {
		t.Errorf("%d keys asked for, want 6", asked)
	}
}

// Failures say what and what next, and never what a row holds.
func TestFailures(t *testing.T) {
	const private = "someone@example.com"
	for _, c := range []struct{ code, message, want string }{
		{"ResourceNotFoundException", "Requested resource not found", "table rows: it does not exist"},
		{"ValidationException", "value " + private + " is bad", "invalid table request"},
		{"AccessDeniedException", "User: u is not authorized", "AccessDeniedException"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(400)
			io.WriteString(w, `{"__type":"com.amazonaws.dynamodb.v20120810#`+c.code+`","message":"`+c.message+`"}`)
		}))
		_, err := New(client(t, server.URL), "rows", nil, nil).Update(t.Context(),
			table.Update{Key: table.Key{PK: "P", SK: "1"}, Set: map[string]string{"email": private}})
		server.Close()
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), private) {
			t.Errorf("%s: %v", c.code, err)
		}
	}
	once := client(t, "http://127.0.0.1:1").Options()
	once.Retryer = aws.NopRetryer{}
	_, err := New(dynamodb.New(once), "rows", nil, nil).Get(t.Context(), table.Key{PK: "P", SK: "1"})
	if want := "table rows: no answer from http://127.0.0.1:1/: "; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("nobody answers: %v, want %q", err, want)
	}
}
