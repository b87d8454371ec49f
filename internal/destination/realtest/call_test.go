package realtest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// call makes one JSON request; any status but 2xx is an error.
func call(method, address string, header http.Header, body, out any) error {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, address, payload)
	if err != nil {
		return err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", cmp.Or(req.Header.Get("Content-Type"), "application/json"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode > 299 {
		return statusError{resp.StatusCode, method + " " + req.URL.Path, string(answer)}
	}
	if out == nil || len(answer) == 0 {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// statusError is an answer that is no success. The records are the tests' own,
// so the body may be shown.
type statusError struct {
	status int
	what   string
	body   string
}

// Error implements error.
func (e statusError) Error() string { return fmt.Sprintf("%s: %d %s", e.what, e.status, e.body) }

func isStatus(err error, status int) bool {
	var e statusError
	return errors.As(err, &e) && e.status == status
}
