package dynamo

import (
	"maps"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

func client(t *testing.T, endpoint string) *dynamodb.Client {
	t.Helper()
	c, err := Client(environment{
		"AWS_REGION": "ap-southeast-2", "AWS_ACCESS_KEY_ID": "000000000001", "AWS_SECRET_ACCESS_KEY": "none", "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
	}.get)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type environment map[string]string

func (e environment) get(name string) string { return e[name] }

// A missing variable is named; the endpoint variables are honoured, the specific one first.
func TestClientEnvironment(t *testing.T) {
	full := environment{"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token",
		"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:2"}
	c, err := Client(full.get)
	if err != nil {
		t.Fatal(err)
	}
	creds, err := c.Options().Credentials.Retrieve(t.Context())
	if err != nil || creds.SessionToken != "token" || c.Options().Region != "eu-west-1" || *c.Options().BaseEndpoint != "http://127.0.0.1:2" {
		t.Errorf("region %s, endpoint %s, %v", c.Options().Region, *c.Options().BaseEndpoint, err)
	}
	for _, name := range []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		without := maps.Clone(full)
		delete(without, name)
		if _, err := Client(without.get); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "secret") {
			t.Errorf("without %s: %v", name, err)
		}
	}
}
