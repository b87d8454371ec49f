package dynamo

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"tandem/internal/engines"
	"tandem/internal/table"
	"tandem/internal/table/tabletest"
)

var tables atomic.Int64

// opener makes tables at an endpoint that speaks DynamoDB's protocol.
func opener(endpoint string) tabletest.Open {
	return func(t *testing.T, now func() time.Time) table.Table {
		return New(client(t, endpoint), created(t, endpoint), now, nil)
	}
}

func created(t *testing.T, endpoint string) (name string) {
	t.Helper()
	name = fmt.Sprintf("table-%d", tables.Add(1))
	if err := Ensure(t.Context(), client(t, endpoint), name); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestDynamoDBLocal(t *testing.T) {
	endpoint := engines.DynamoDBLocal(t)
	t.Run("suite", func(t *testing.T) { tabletest.Run(t, opener(endpoint), 1500) })
	t.Run("lost answer", func(t *testing.T) { lostAnswer(t, endpoint) })
	t.Run("requests", func(t *testing.T) { requests(t, endpoint) })
}
