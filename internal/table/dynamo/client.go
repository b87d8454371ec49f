package dynamo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"tandem/internal/table"
)

// Client makes a client from the variables a Lambda function gets, and from the
// SDKs' endpoint variables: AWS_REGION (or AWS_DEFAULT_REGION),
// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
// AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL ("Service-specific endpoints", AWS
// SDKs and Tools Reference Guide). Profiles, roles and instance metadata are not
// looked at: the SDK's config module that does would double a function's start.
func Client(getenv func(string) string) (*dynamodb.Client, error) {
	region := firstOf(getenv, "AWS_REGION", "AWS_DEFAULT_REGION")
	if region == "" {
		return nil, errors.New("dynamodb: AWS_REGION is not set; set it to the table's region")
	}
	creds := aws.Credentials{
		AccessKeyID:     getenv("AWS_ACCESS_KEY_ID"),
		SecretAccessKey: getenv("AWS_SECRET_ACCESS_KEY"),
		SessionToken:    getenv("AWS_SESSION_TOKEN"),
		Source:          "environment",
	}
	if !creds.HasKeys() {
		return nil, errors.New("dynamodb: AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is not set;" +
			" set both (with a local endpoint any text will do)")
	}
	cfg := aws.Config{
		Region:      region,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return creds, nil }),
		HTTPClient:  httpClient(),
		Retryer:     func() aws.Retryer { return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = 4 }) },
	}
	if endpoint := firstOf(getenv, "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"); endpoint != "" {
		cfg.BaseEndpoint = aws.String(endpoint)
	}
	return dynamodb.NewFromConfig(cfg), nil
}

// attemptLimit ends one attempt of a request, which then is repeated: DynamoDB
// answers within milliseconds or is not going to answer.
const attemptLimit = 5 * time.Second

// httpClient keeps a connection open for each of many records in flight; the
// SDK's own keeps ten and opens the others anew each time.
func httpClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTimeout(attemptLimit).
		WithTransportOptions(func(t *http.Transport) { t.MaxIdleConnsPerHost = 64 })
}

func firstOf(getenv func(string) string, names ...string) string {
	for _, n := range names {
		if v := getenv(n); v != "" {
			return v
		}
	}
	return ""
}

// failure is a request that DynamoDB did not carry out, worded without the row.
func failure(op, name string, err error) error {
	op = fmt.Sprintf("dynamodb %s, table %s", op, name)
	if lost, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("%s: no answer from %s: %w; check AWS_REGION and the network", op, lost.URL, lost.Err)
	}
	if c, ok := errors.AsType[interface {
		error
		ErrorCode() string
		ErrorMessage() string
	}](err); ok {
		switch c.ErrorCode() {
		case "ValidationException":
			// The message may quote the request; the code is enough for a caller's mistake.
			return fmt.Errorf("%s: %w: %s", op, table.ErrInvalid, c.ErrorCode())
		case "ResourceNotFoundException":
			return fmt.Errorf("%s: it does not exist in this region or at this endpoint; deploy its stack first: %w", op, c)
		}
	}
	return fmt.Errorf("%s: %w", op, err)
}
