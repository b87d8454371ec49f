// Package awsjson calls the AWS services that speak the AWS JSON protocol
// (Smithy 2.0, "AWS JSON 1.0 protocol" and "AWS JSON 1.1 protocol"): one signed
// POST per operation. Where a program needs two operations of a service, the
// SDK's client would bring 150: a page rendered by html/template keeps the
// linker from leaving unused methods out, and endpoint tables of a whole SDK are
// built at every start. StartExecution is the one call on a record's way; the
// table's are package dynamo's.
package awsjson

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Service is how one service is addressed.
type Service struct {
	// Name is its name in endpoints and signatures, Target the prefix of its
	// operations in X-Amz-Target, Version that of the protocol, "1.0" or "1.1".
	Name, Target, Version string
}

// The services that are called this way.
var (
	SSM      = Service{"ssm", "AmazonSSM", "1.1"}
	SQS      = Service{"sqs", "AmazonSQS", "1.0"}
	States   = Service{"states", "AWSStepFunctions", "1.0"}
	DynamoDB = Service{"dynamodb", "DynamoDB_20120810", "1.0"}
)

// Client signs and sends. It is safe for concurrent use.
type Client struct {
	Config aws.Config
	HTTP   *http.Client
	// Pause bounds the wait before the second attempt; the bound is doubled after it.
	Pause  time.Duration
	signer *v4.Signer
}

// New makes a client that waits up to timeout for each answer.
func New(c aws.Config, timeout time.Duration) *Client {
	return &Client{Config: c, HTTP: &http.Client{Timeout: timeout, Transport: transport()}, Pause: 100 * time.Millisecond, signer: v4.NewSigner()}
}

// idle is how many connections to one service are kept: a webhook of 100 events
// starts 16 executions at once.
const idle = 64

// transport is shared, so that a second client finds the first one's connections.
var transport = sync.OnceValue(func() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = idle
	return t
})

// FromEnv makes the configuration from the variables that Lambda sets and that
// `aws configure export-credentials --format env` prints. The SDK's config
// module would look for profiles and instance metadata, which a function does
// not have, at a cost of 1.5 ms and 1.8 MB.
func FromEnv(getenv func(string) string) (aws.Config, error) {
	credentials := aws.Credentials{
		AccessKeyID: getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: getenv("AWS_SECRET_ACCESS_KEY"),
		SessionToken: getenv("AWS_SESSION_TOKEN"), Source: "environment",
	}
	region := cmp.Or(getenv("AWS_REGION"), getenv("AWS_DEFAULT_REGION"))
	if region == "" || !credentials.HasKeys() {
		return aws.Config{}, errors.New("AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not all set; Lambda sets them, " +
			"and on a machine of your own: eval $(aws configure export-credentials --format env)")
	}
	c := aws.Config{
		Region:      region,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return credentials, nil }),
	}
	if endpoint := getenv("AWS_ENDPOINT_URL"); endpoint != "" {
		c.BaseEndpoint = aws.String(endpoint)
	}
	return c, nil
}

// Error is a refusal by a service.
type Error struct {
	Service, Operation string
	Status             int
	// Code is the exception's name, such as ParameterNotFound.
	Code string
}

// Error names the refusal; a service's message may quote what was sent, so it is
// left out.
func (e *Error) Error() string {
	return fmt.Sprintf("%s %s answered %d %s", e.Service, e.Operation, e.Status, e.Code)
}

// Is reports whether err is a service's refusal with this code.
func Is(err error, code string) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

const (
	// Attempts is how often a request is sent that was lost, Patience how often one
	// that was throttled: when a delivery starts a hundred functions at once, all of them
	// have their secrets two to four seconds later, at the 40 answers a second that
	// Systems Manager gives an account.
	Attempts, Patience = 3, 10
	// longest bounds the wait before any attempt. One with less than spare left for its
	// answer is not made: the caller has to report, too.
	longest, spare = 2 * time.Second, 200 * time.Millisecond
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 4 << 20

// Call sends in as the operation's input and decodes its output into out, which
// may be nil. No error holds a value.
func (c *Client) Call(ctx context.Context, s Service, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	lost := 0
	for n := 1; ; n++ {
		again, err := c.once(ctx, s, operation, body, out)
		if !throttled(err) {
			lost++
		}
		if err == nil || !again || lost == Attempts || n == Patience || !c.rest(ctx, n) {
			return err
		}
	}
}

// rest waits after the nth attempt, false if ctx ends before: a random part of the
// bound, since what was throttled together would come back together ("full jitter",
// AWS Architecture Blog, "Exponential Backoff And Jitter").
func (c *Client) rest(ctx context.Context, n int) bool {
	pause := rand.N(min(c.Pause<<(n-1), longest) + 1)
	if end, ok := ctx.Deadline(); ok && time.Until(end) < pause+spare {
		return false
	}
	select {
	case <-time.After(pause):
		return true
	case <-ctx.Done():
		return false
	}
}

// throttled reports whether err is a refusal for the number of requests alone.
func throttled(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Status == http.StatusTooManyRequests || strings.Contains(e.Code, "Throttl") || strings.Contains(e.Code, "TooManyUpdates"))
}

// once sends the request once; again tells whether another attempt may help.
func (c *Client) once(ctx context.Context, s Service, operation string, body []byte, out any) (again bool, err error) {
	req, err := c.request(ctx, s, operation, body)
	if err != nil {
		return false, err
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return true, fmt.Errorf("%s %s: no answer: %w", s.Name, operation, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return true, fmt.Errorf("%s %s: the answer broke off: %w", s.Name, operation, err)
	}
	if resp.StatusCode != http.StatusOK {
		e := refusal(s, operation, resp.StatusCode, raw)
		return throttled(e) || e.Status >= 500, e
	}
	if out == nil || len(raw) == 0 {
		return false, nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return false, fmt.Errorf("%s %s: the answer is not the JSON it should be", s.Name, operation)
	}
	return false, nil
}

// refusal reads the exception's name, which comes as "namespace#Name".
func refusal(s Service, operation string, status int, raw []byte) *Error {
	var answer struct {
		Type string `json:"__type"`
	}
	_ = json.Unmarshal(raw, &answer) // a proxy's page has no name
	return &Error{Service: s.Name, Operation: operation, Status: status, Code: answer.Type[strings.LastIndex(answer.Type, "#")+1:]}
}

// request is a signed call (Signature Version 4).
func (c *Client) request(ctx context.Context, s Service, operation string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint(s.Name), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-"+s.Version)
	req.Header.Set("X-Amz-Target", s.Target+"."+operation)
	return req, c.sign(ctx, req, s.Name, body)
}

// endpoint is where a service is, with a slash at its end.
func (c *Client) endpoint(service string) string {
	if c.Config.BaseEndpoint != nil {
		return strings.TrimSuffix(*c.Config.BaseEndpoint, "/") + "/"
	}
	return "https://" + service + "." + c.Config.Region + ".amazonaws.com/"
}

func (c *Client) sign(ctx context.Context, req *http.Request, service string, body []byte) error {
	credentials, err := c.Config.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	return c.signer.SignHTTP(ctx, credentials, req, hex.EncodeToString(sum[:]), service, c.Config.Region, time.Now())
}
