package awsjson

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
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
