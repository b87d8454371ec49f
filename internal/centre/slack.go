package centre

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits of Slack's Block Kit (docs.slack.dev, reference "Blocks": 50 blocks a
// message; "Section block" and "Text object": 3000 characters; "Header block": 150).
const (
	maxBlocks = 50
	maxText   = 3000
	maxHeader = 150
)

// Message is one Slack message: Text is what a notification shows, Blocks what
// the channel shows.
type Message struct {
	Text   string  `json:"text"`
	Blocks []Block `json:"blocks"`
}

// Block is a header, section or context block.
type Block struct {
	Type     string `json:"type"`
	Text     *Text  `json:"text,omitempty"`
	Elements []Text `json:"elements,omitempty"`
}

// Text is a text object; mrkdwn text is escaped by its maker (escape).
type Text struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

func header(s string) Block {
	return Block{Type: "header", Text: &Text{"plain_text", cut(s, maxHeader)}}
}
func section(s string) Block { return Block{Type: "section", Text: &Text{"mrkdwn", cut(s, maxText)}} }
func contextBlock(s string) Block {
	return Block{Type: "context", Elements: []Text{{"mrkdwn", cut(s, maxText)}}}
}

// escape is all the escaping mrkdwn has: &, < and > (docs.slack.dev, "Formatting
// message text"). Without < nobody can be mentioned and no link forged.
var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace

// cut shortens s to at most n characters.
func cut(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// SlackError is a delivery Slack refused. It never holds the webhook's URL,
// which is a secret.
type SlackError struct {
	Status     int
	RetryAfter time.Duration
}

// Error implements error.
func (e *SlackError) Error() string {
	if e.Status == http.StatusTooManyRequests {
		return fmt.Sprintf("Slack answered 429: try again in %v", e.RetryAfter)
	}
	return fmt.Sprintf("Slack answered %d: 4xx other than 429 means that the webhook in %s or the message is not valid", e.Status, SlackSecret)
}

// Slack posts to an incoming webhook.
type Slack struct {
	// URL reads the webhook's address, a secret.
	URL  func(ctx context.Context) (string, error)
	HTTP *http.Client
	// Sleep waits between attempts; the real one when nil.
	Sleep func(ctx context.Context, d time.Duration) error
}

const (
	slackAttempts = 3
	// slackPatience is the longest Retry-After waited for within one call; a
	// longer one is left to the next watch.
	slackPatience = 10 * time.Second
)

// Send implements Messenger. 429 and 5xx are tried again, after Retry-After
// where Slack gives one.
func (s *Slack) Send(ctx context.Context, m Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	for attempt := 1; ; attempt++ {
		err := s.post(ctx, body)
		refused, ok := errors.AsType[*SlackError](err)
		if !ok || attempt == slackAttempts || refused.RetryAfter > slackPatience || refused.Status/100 == 4 && refused.Status != http.StatusTooManyRequests {
			return err
		}
		if s.sleep(ctx, max(refused.RetryAfter, time.Second)) != nil {
			return err
		}
	}
}

func (s *Slack) post(ctx context.Context, body []byte) error {
	address, err := s.URL(ctx)
	if err != nil {
		return fmt.Errorf("read %s: %w", SlackSecret, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s does not hold a URL", SlackSecret)
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	res, err := s.HTTP.Do(req)
	if e, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("post to Slack: %w", e.Err) // url.Error repeats the address
	}
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 4<<10))
	if res.StatusCode == http.StatusOK {
		return nil
	}
	seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
	return &SlackError{res.StatusCode, time.Duration(max(0, seconds)) * time.Second}
}

func (s *Slack) sleep(ctx context.Context, d time.Duration) error {
	if s.Sleep != nil {
		return s.Sleep(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
