package awsjson

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func client(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	env := map[string]string{"AWS_DEFAULT_REGION": "ap-southeast-2", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "token", "AWS_ENDPOINT_URL": server.URL}
	c, err := FromEnv(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	out := New(c, time.Minute)
	out.Pause = time.Millisecond
	return out
}

// A refusal is told by its code, is not repeated, and quotes nothing.
func TestRefusal(t *testing.T) {
	asked := 0
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.Header.Get("X-Amz-Security-Token") != "token" {
			t.Error("the session token was not sent")
		}
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"a value"}`)
	})
	err := c.Call(t.Context(), SQS, "GetQueueUrl", struct{}{}, nil)
	if !Is(err, "QueueDoesNotExist") || asked != 1 || strings.Contains(err.Error(), "a value") {
		t.Errorf("%v after %d requests", err, asked)
	}
}

// A service that is out of order is asked a few times.
func TestOutOfOrder(t *testing.T) {
	asked := 0
	c := client(t, func(w http.ResponseWriter, _ *http.Request) {
		asked++
		http.Error(w, "<html>", http.StatusBadGateway)
	})
	var e *Error
	if err := c.Call(t.Context(), States, "ListStateMachines", struct{}{}, nil); !errors.As(err, &e) || e.Status != http.StatusBadGateway || asked != Attempts {
		t.Errorf("%v after %d requests", err, asked)
	}
}

// bucket answers as Systems Manager does: so many requests a second and no more.
type bucket struct {
	mu      sync.Mutex
	left    float64
	at      time.Time
	answers []time.Time
}

const perSecond = 40

func (b *bucket) RoundTrip(*http.Request) (*http.Response, error) {
	time.Sleep(10 * time.Millisecond)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.left, b.at = min(perSecond, b.left+perSecond*now.Sub(b.at).Seconds()), now
	b.answers = append(b.answers, now)
	answer := func(status int, body string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}}, nil
	}
	if b.left < 1 {
		return answer(http.StatusBadRequest, `{"__type":"ThrottlingException"}`)
	}
	b.left--
	return answer(http.StatusOK, `{}`)
}

// over is a client over an account's bucket.
func over(t *testing.T, b *bucket) *Client {
	t.Helper()
	c := client(t, func(http.ResponseWriter, *http.Request) {})
	c.HTTP, c.Pause = &http.Client{Transport: b}, New(c.Config, 0).Pause
	return c
}

// All of the functions that a burst starts get what they ask for before the shortest
// of their timeouts, and do not ask again all at once.
func TestThrottledBurst(t *testing.T) {
	b := &bucket{left: perSecond}
	c := over(t, b)
	synctest.Test(t, func(t *testing.T) {
		b.at = time.Now()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
				defer cancel()
				if err := c.Call(ctx, SSM, "GetParameters", struct{}{}, nil); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		most, same := 0, map[time.Time]int{}
		for _, at := range b.answers[100:] {
			same[at]++
			most = max(most, same[at])
		}
		if most > 20 {
			t.Errorf("%d requests were repeated in the same instant", most)
		}
	})
}

// A request that is throttled throughout is given up after so many attempts, and
// before the caller's time is over: it has to report.
func TestThrottledThroughout(t *testing.T) {
	for name, c := range map[string]struct {
		within time.Duration
		ended  bool
	}{"attempts": {time.Hour, false}, "time": {300 * time.Millisecond, true}} {
		t.Run(name, func(t *testing.T) {
			b := &bucket{}
			api := over(t, b)
			synctest.Test(t, func(t *testing.T) {
				b.at = time.Now().Add(24 * time.Hour)
				ctx, cancel := context.WithTimeout(t.Context(), c.within)
				defer cancel()
				err := api.Call(ctx, SSM, "GetParameters", struct{}{}, nil)
				if !Is(err, "ThrottlingException") || ctx.Err() != nil || len(b.answers) == Patience == c.ended {
					t.Errorf("%v after %d requests, the caller's time: %v", err, len(b.answers), ctx.Err())
				}
			})
		})
	}
}

// Invoke tells a function's failure from Lambda's.
func TestInvoke(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "/ap-southeast-2/lambda/aws4_request") {
			t.Errorf("signed as %q", r.Header.Get("Authorization"))
		}
		switch r.URL.Path {
		case "/2015-03-31/functions/well/invocations":
			fmt.Fprint(w, `{"n":1}`)
		case "/2015-03-31/functions/fails/invocations":
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			fmt.Fprint(w, `{"errorType":"StoreBusy","errorMessage":"the table"}`)
		default:
			w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException:http://internal.amazon.com/")
			w.WriteHeader(http.StatusNotFound)
		}
	})
	var out struct{ N int }
	if err := c.Invoke(t.Context(), "well", struct{}{}, &out); err != nil || out.N != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	var failed *FunctionError
	if err := c.Invoke(t.Context(), "fails", struct{}{}, &out); !errors.As(err, &failed) || failed.Type != "StoreBusy" {
		t.Errorf("a function's failure is %v", err)
	}
	if err := c.Invoke(t.Context(), "absent", struct{}{}, &out); !Is(err, "ResourceNotFoundException") {
		t.Errorf("an absent function is %v", err)
	}
}
