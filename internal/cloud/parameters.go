package cloud

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Parameters reads parameters by their full names; those that do not exist are
// missing from the answer.
type Parameters interface {
	GetParameters(ctx context.Context, names []string) (map[string]string, error)
}

// store is Systems Manager's GetParameters and nothing else. The SDK's client
// for the service would put its 150 operations into every function: a page
// rendered by html/template keeps the linker from leaving unused methods out.
type store struct {
	config aws.Config
	http   *http.Client
	signer *v4.Signer
	pause  time.Duration // before the second attempt; doubled after it
}

func newStore(c aws.Config) *store {
	return &store{config: c, http: &http.Client{Timeout: 3 * time.Second}, signer: v4.NewSigner(), pause: 100 * time.Millisecond}
}

// attempts is how often a request is sent that was throttled or lost.
const attempts = 3

// GetParameters implements Parameters. No error holds a value.
func (s *store) GetParameters(ctx context.Context, names []string) (map[string]string, error) {
	body, err := json.Marshal(map[string]any{"Names": names, "WithDecryption": true})
	if err != nil {
		return nil, err
	}
	pause := s.pause
	for n := 1; ; n++ {
		values, again, err := s.once(ctx, body)
		if err == nil || !again || n == attempts {
			return values, err
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return nil, err
		}
	}
}

// once sends the request once; again tells whether another attempt may help.
func (s *store) once(ctx context.Context, body []byte) (values map[string]string, again bool, err error) {
	req, err := s.request(ctx, body)
	if err != nil {
		return nil, false, err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, true, fmt.Errorf("Systems Manager does not answer: %w", err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, true, fmt.Errorf("Systems Manager's answer broke off: %w", err)
	}
	var answer struct {
		Type       string `json:"__type"`
		Parameters []struct{ Name, Value string }
	}
	if err := json.Unmarshal(raw, &answer); err != nil || resp.StatusCode != http.StatusOK {
		kind := answer.Type[strings.LastIndex(answer.Type, "#")+1:]
		throttled := strings.Contains(kind, "Throttling") || strings.Contains(kind, "TooManyUpdates")
		return nil, throttled || resp.StatusCode >= 500, fmt.Errorf("Systems Manager answered %d %s", resp.StatusCode, kind)
	}
	values = map[string]string{}
	for _, p := range answer.Parameters {
		values[p.Name] = p.Value
	}
	return values, false, nil
}

// request is a signed call (AWS JSON 1.1 protocol, Signature Version 4).
func (s *store) request(ctx context.Context, body []byte) (*http.Request, error) {
	endpoint := "https://ssm." + s.config.Region + ".amazonaws.com/"
	if s.config.BaseEndpoint != nil {
		endpoint = *s.config.BaseEndpoint
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AmazonSSM.GetParameters")
	credentials, err := s.config.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	return req, s.signer.SignHTTP(ctx, credentials, req, hex.EncodeToString(sum[:]), "ssm", s.config.Region, time.Now())
}
