package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// server is a running tandem run as its API's caller sees it.
type server struct{ address string }

// addressOf is where the server is: the flag, TANDEM_ADDR, or the default.
func addressOf(e *env, flag string) server {
	address := cmp.Or(flag, e.getenv("TANDEM_ADDR"), defaultListen)
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	return server{strings.TrimSuffix(address, "/")}
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 20

// call asks the API and decodes its answer.
func (s server) call(ctx context.Context, method, path string, out any) error {
	return s.send(ctx, method, path, nil, out)
}

// send asks the API with a JSON body, nil for none, and decodes its answer.
func (s server) send(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var payload io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.address+path, payload)
	if err != nil {
		return misused("--addr is not an address: %v", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("no server answers at %s (%w); start it with tandem run, or name it with --addr", s.address, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s%s: %w", s.address, path, err)
	}
	if resp.StatusCode > 299 {
		var refused struct{ Error, Do string }
		if json.Unmarshal(body, &refused) != nil || refused.Error == "" {
			return fmt.Errorf("%s%s answered %s; is it a tandem run?", s.address, path, resp.Status)
		}
		err := fmt.Errorf("%s; %s", refused.Error, refused.Do)
		if resp.StatusCode < 500 { // what was asked for is wrong
			err = usage{err}
		}
		return err
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(body, out)
}
