package cloud

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"tandem/internal/cloud/awsjson"
)

// Parameters reads parameters by their full names; those that do not exist are
// missing from the answer.
type Parameters interface {
	GetParameters(ctx context.Context, names []string) (map[string]string, error)
}

// store is Systems Manager's GetParameters.
type store struct{ api *awsjson.Client }

// storeWithin bounds one attempt to read the parameters.
const storeWithin = 3 * time.Second

func newStore(c aws.Config) *store { return &store{api: awsjson.New(c, storeWithin)} }

// GetParameters implements Parameters. No error holds a value.
func (s *store) GetParameters(ctx context.Context, names []string) (map[string]string, error) {
	in := struct {
		Names          []string
		WithDecryption bool
	}{names, true}
	var out struct {
		Parameters []struct{ Name, Value string }
	}
	if err := s.api.Call(ctx, awsjson.SSM, "GetParameters", in, &out); err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, p := range out.Parameters {
		values[p.Name] = p.Value
	}
	return values, nil
}
