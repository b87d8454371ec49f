// Package runtimehost runs a function's bootstrap as Lambda does: it is the
// other side of the Runtime API (AWS Lambda developer guide, "Using the Lambda
// runtime API for custom runtimes"), with one event at a time and a process that
// stays warm. Tests use it to run the very bytes that are deployed, also those
// for another processor, under an emulator. It limits neither memory nor time;
// Lambda does.
package runtimehost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"time"
)

// Host is one running copy of a function.
type Host struct {
	cmd     *exec.Cmd
	server  *http.Server
	events  chan []byte
	answers chan answer
	ready   chan time.Time
	exited  chan struct{}
	id      int
}

type answer struct {
	body   []byte
	failed bool
}

// Error is what a function answers instead of a result; Type is the error's name
// as Step Functions' Retry and Catch see it.
type Error struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

// Error implements error.
func (e *Error) Error() string { return e.Type + ": " + e.Message }

// Start starts the bootstrap that cmd names, such as one behind qemu-aarch64.
// The address of the Runtime API is added to cmd.Env, which must not be nil:
// nothing else is inherited. Close ends it.
func Start(cmd *exec.Cmd) (*Host, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &Host{cmd: cmd, events: make(chan []byte), answers: make(chan answer), ready: make(chan time.Time, 1), exited: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", h.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", h.answer(false))
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", h.answer(true))
	h.server = &http.Server{Handler: mux}
	go h.server.Serve(listener)
	cmd.Env = append(cmd.Env, "AWS_LAMBDA_RUNTIME_API="+listener.Addr().String())
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, h.server.Close())
	}
	go func() {
		_ = cmd.Wait() // Invoke says that it has ended
		close(h.exited)
	}()
	return h, nil
}

// within is how long a function may take, which its deadline header tells.
const within = time.Minute

// next hands the function its next event.
func (h *Host) next(w http.ResponseWriter, r *http.Request) {
	select {
	case h.ready <- time.Now():
	default:
	}
	select {
	case event := <-h.events:
		h.id++
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", strconv.Itoa(h.id))
		w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(within).UnixMilli(), 10))
		_, _ = w.Write(event) // a function that has gone is seen by its exit
	case <-r.Context().Done():
	}
}

// answer takes a result or an error.
func (h *Host) answer(failed bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.WriteHeader(http.StatusAccepted)
		select {
		case h.answers <- answer{body, failed}:
		case <-h.exited:
		}
	}
}

// Ready returns when the function first asked for an event: its start is over.
func (h *Host) Ready(ctx context.Context) (time.Time, error) {
	select {
	case at := <-h.ready:
		return at, nil
	case <-h.exited:
		return time.Time{}, fmt.Errorf("%s ended before it asked for an event", h.cmd.Path)
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
}

// Invoke hands the function an event and decodes its result into out. A
// function's own failure is an *Error.
func (h *Host) Invoke(ctx context.Context, event, out any) error {
	body, err := json.Marshal(event)
	if err != nil {
		return err
	}
	select {
	case h.events <- body:
	case <-h.exited:
		return fmt.Errorf("%s has ended", h.cmd.Path)
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case a := <-h.answers:
		if !a.failed {
			return json.Unmarshal(a.body, out)
		}
		var e Error
		if err := json.Unmarshal(a.body, &e); err != nil {
			return fmt.Errorf("the error is not the JSON it should be: %w", err)
		}
		return &e
	case <-h.exited:
		return fmt.Errorf("%s ended without an answer", h.cmd.Path)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the function.
func (h *Host) Close() error {
	_ = h.cmd.Process.Kill() // it may have ended by itself
	<-h.exited
	return h.server.Close()
}
