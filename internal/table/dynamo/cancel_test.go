package dynamo

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"tandem/internal/table"
)

// canceller is DynamoDB answering transactions with the given reasons, one list
// a request, and then with success. It keeps the clients' tokens.
type canceller struct {
	*httptest.Server
	answers [][]string
	tokens  map[string]bool
}

func newCanceller(t *testing.T, answers ...[]string) *canceller {
	c := &canceller{answers: answers, tokens: map[string]bool{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ ClientRequestToken string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		c.tokens[in.ClientRequestToken] = true
		if len(c.answers) == 0 {
			fmt.Fprint(w, "{}")
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","CancellationReasons":[%s]}`, reasons(c.answers[0]))
		c.answers = c.answers[1:]
	}))
	t.Cleanup(c.Close)
	return c
}

// reasons writes cancellation reasons; a failed condition comes with a row at revision 5.
func reasons(codes []string) string {
	var list []string
	for _, code := range codes {
		item := ""
		if code == "ConditionalCheckFailed" {
			item = `,"Item":{"pk":{"S":"P"},"sk":{"S":"x"},"rev":{"N":"5"},"a":{"S":"held"}}`
		}
		list = append(list, fmt.Sprintf(`{"Code":%q%s}`, code, item))
	}
	return strings.Join(list, ",")
}

// Every reason DynamoDB documents for a cancelled transaction (API reference,
// TransactWriteItems) leads to the right thing: another try with a new token, the
// row that moved, the caller's mistake, or an error that names it.
func TestCancelledTransactions(t *testing.T) {
	a, b := table.Key{PK: "P", SK: "a"}, table.Key{PK: "P", SK: "b"}
	held := table.Item{Key: b, Rev: 5, Attrs: map[string]string{"a": "held"}}
	for _, c := range []struct {
		name    string
		answers [][]string
		moved   *table.Item
		invalid bool
		fails   string // part of any other error
		tries   int
	}{
		{name: "a conflict passes", answers: [][]string{{"None", "TransactionConflict"}}, tries: 2},
		{name: "two conflicts pass", answers: [][]string{{"TransactionConflict", "None"}, {"TransactionConflict", "TransactionConflict"}}, tries: 3},
		{name: "throttling passes", answers: [][]string{{"ThrottlingError", "ProvisionedThroughputExceeded"}}, tries: 2},
		{name: "a failed condition is the caller's", answers: [][]string{{"None", "ConditionalCheckFailed"}}, moved: &held, tries: 1},
		{name: "and outranks a conflict", answers: [][]string{{"TransactionConflict", "ConditionalCheckFailed"}}, moved: &held, tries: 1},
		{name: "a request that is not valid", answers: [][]string{{"ValidationError", "None"}}, invalid: true, tries: 1},
		{name: "a reason nobody knows", answers: [][]string{{"None", "SomethingNew"}}, fails: "update 1: SomethingNew", tries: 1},
		{name: "no reason at all", answers: [][]string{{"None", "None"}}, fails: "without a reason", tries: 1},
		{name: "conflicts without end", answers: repeat(maxTries, []string{"TransactionConflict", "None"}), fails: "try later", tries: maxTries},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := newCanceller(t, c.answers...)
			revs, err := New(client(t, server.URL), "rows", nil, nil).Update(t.Context(),
				table.Update{Key: a, If: table.AtRev(1)}, table.Update{Key: b, If: table.AtRev(4)})
			moved, isMoved := table.Moved(err)
			switch {
			case c.moved != nil:
				if !isMoved || !reflect.DeepEqual(moved, *c.moved) {
					t.Errorf("got %v, %+v; want the row %+v", err, moved, *c.moved)
				}
			case c.invalid:
				if !errors.Is(err, table.ErrInvalid) {
					t.Errorf("got %v, want ErrInvalid", err)
				}
			case c.fails != "":
				if err == nil || !strings.Contains(err.Error(), c.fails) || isMoved {
					t.Errorf("got %v, want %q", err, c.fails)
				}
			case err != nil || !reflect.DeepEqual(revs, []int64{2, 5}):
				t.Errorf("got %v, %v", revs, err)
			}
			if len(server.tokens) != c.tries {
				t.Errorf("%d different tokens, want %d", len(server.tokens), c.tries)
			}
		})
	}
}

func repeat(n int, answer []string) (answers [][]string) {
	for range n {
		answers = append(answers, answer)
	}
	return answers
}
