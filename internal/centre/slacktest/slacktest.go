// Package slacktest checks a request to an incoming webhook as Slack would: the
// limits of "Reference: Blocks" and the escaping of "Formatting text for app
// surfaces" (Slack's developer pages). It is for tests' fake Slack endpoints.
package slacktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

type text struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type block struct {
	Type     string `json:"type"`
	Text     *text  `json:"text"`
	Elements []text `json:"elements"`
}

type message struct {
	Text   string  `json:"text"`
	Blocks []block `json:"blocks"`
}

// Check reads a request's body and returns it, with an error that says which
// rule it breaks.
func Check(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return body, errors.New("the content type is not JSON")
	}
	var m message
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return body, err
	}
	if m.Text == "" || len(m.Blocks) == 0 || len(m.Blocks) > 50 {
		return body, fmt.Errorf("%d blocks, text of %d", len(m.Blocks), len(m.Text))
	}
	for i, b := range m.Blocks {
		if err := checkBlock(b); err != nil {
			return body, fmt.Errorf("block %d: %w", i, err)
		}
	}
	return body, nil
}

func checkBlock(b block) error {
	switch b.Type {
	case "header":
		if b.Text == nil || b.Text.Type != "plain_text" {
			return errors.New("a header has plain_text")
		}
		return checkText(b.Text.Text, 150, false)
	case "section":
		if b.Text == nil || b.Text.Type != "mrkdwn" {
			return errors.New("a section has mrkdwn")
		}
		return checkText(b.Text.Text, 3000, true)
	case "context":
		if len(b.Elements) == 0 || len(b.Elements) > 10 {
			return errors.New("a context has 1 to 10 elements")
		}
		return checkText(b.Elements[0].Text, 3000, true)
	}
	return errors.New("unknown type")
}

// checkText refuses what is too long, mentions (<!channel>, <@U1>), broken links
// and bare ampersands.
func checkText(s string, limit int, markup bool) error {
	if n := len([]rune(s)); n == 0 || n > limit {
		return fmt.Errorf("%d characters, want 1 to %d", n, limit)
	}
	for i, part := range strings.Split(s, "<") {
		if i > 0 && markup && (!strings.HasPrefix(part, "https://") && !strings.HasPrefix(part, "http://127.0.0.1:") || !strings.Contains(part, ">")) {
			return errors.New("a < that begins no link")
		}
	}
	for _, part := range strings.Split(s, "&")[1:] {
		if markup && !strings.HasPrefix(part, "amp;") && !strings.HasPrefix(part, "lt;") && !strings.HasPrefix(part, "gt;") {
			return errors.New("a bare &")
		}
	}
	return nil
}
