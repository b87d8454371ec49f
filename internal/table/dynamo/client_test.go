package dynamo

import (
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
