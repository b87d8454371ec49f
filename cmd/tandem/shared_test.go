package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"tandem/internal/engines"
)

// TestTwoProcessesShareATable lets two processes serve one integration over one
// DynamoDB table, each getting every other delivery, one of them killed half way.
func TestTwoProcessesShareATable(t *testing.T) {
	env := []string{
		"AWS_ENDPOINT_URL_DYNAMODB=" + engines.DynamoDBLocal(t), "AWS_REGION=ap-southeast-2",
		"AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "TANDEM_TABLE=shared",
	}
	w := newWorld(t)
	data, listen := [2]string{t.TempDir(), t.TempDir()}, [2]string{freeAddress(t), freeAddress(t)}
	w.target = []string{"http://" + listen[0], "http://" + listen[1]}
	var p [2]*process
	for i := range p {
		p[i] = w.start(data[i], listen[i], env...)
	}
	editing, stop := context.WithCancel(t.Context())
	sending, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	var edits, sends sync.WaitGroup
	tr := w.traffic(7)
	edits.Go(func() { tr.run(editing) })
	sends.Go(func() { w.deliver(sending) })
	time.Sleep(1500 * time.Millisecond)
	p[1].kill()
	p[1] = w.start(data[1], listen[1], env...)
	time.Sleep(1500 * time.Millisecond)
	stop()
	edits.Wait()
	w.quiet(p[0], p[1])
	for _, q := range p {
		w.redriveAll(q)
	}
	w.quiet(p[0], p[1])
	hangUp()
	sends.Wait()
	w.invariants(p[0], tr.want)
	if t.Failed() {
		t.Logf("logs:\n%s\n%s", p[0].err, p[1].err)
	}
}
