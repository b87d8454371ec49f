package cloud

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// queue is a queue with delays, read as Lambda reads one for a function.
type queue struct {
	mu   sync.Mutex
	sent int
	all  []message // the one that is due first comes first
}

type message struct {
	due  time.Time
	id   int
	body string
}

func (q *queue) add(m message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sent++
	m.id = q.sent
	i, _ := slices.BinarySearchFunc(q.all, m, func(a, b message) int {
		return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.id, b.id))
	})
	q.all = slices.Insert(q.all, i, m)
}

// batch is what is due, ten at most.
func (q *queue) batch() (e events.SQSEvent) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(e.Records) < 10 && len(q.all) > 0 && !q.all[0].due.After(time.Now()) {
		e.Records = append(e.Records, events.SQSMessage{MessageId: fmt.Sprintf("%08d", q.all[0].id), Body: q.all[0].body})
		q.all = q.all[1:]
	}
	return e
}

// read hands batches to the function later until ctx ends, within its timeout.
func (q *queue) read(ctx context.Context, t *testing.T, h *Host) {
	for ctx.Err() == nil {
		e := q.batch()
		if len(e.Records) == 0 {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		within, end := context.WithTimeout(ctx, 20*time.Second)
		answer, err := h.Later(within, e)
		if err != nil || len(answer.BatchItemFailures) > 0 || within.Err() != nil {
			t.Errorf("later: %v, %d failures, %v", err, len(answer.BatchItemFailures), within.Err())
		}
		end()
	}
}
