package awsjson

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Invoke calls a Lambda function, which speaks another protocol than the other
// services, and decodes its answer into out. A function that ends in an error is
// a *FunctionError.
func (c *Client) Invoke(ctx context.Context, function string, event, out any) error {
	body, err := json.Marshal(event)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint("lambda")+"2015-03-31/functions/"+function+"/invocations", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if err := c.sign(ctx, req, "lambda", body); err != nil {
		return err
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("lambda Invoke %s: no answer: %w", function, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("lambda Invoke %s: the answer broke off: %w", function, err)
	}
	if resp.StatusCode != http.StatusOK {
		kind, _, _ := bytes.Cut([]byte(resp.Header.Get("X-Amzn-Errortype")), []byte(":"))
		return &Error{Service: "lambda", Operation: "Invoke " + function, Status: resp.StatusCode, Code: string(kind)}
	}
	if resp.Header.Get("X-Amz-Function-Error") != "" {
		failed := &FunctionError{Function: function}
		_ = json.Unmarshal(raw, failed) // without its words it still has failed
		return failed
	}
	return json.Unmarshal(raw, out)
}

// FunctionError is a function that ended in an error; Type is the error's name.
type FunctionError struct {
	Function string `json:"-"`
	Type     string `json:"errorType"`
	Message  string `json:"errorMessage"`
}

// Error says what the function said.
func (e *FunctionError) Error() string { return e.Function + ": " + e.Type + ": " + e.Message }
