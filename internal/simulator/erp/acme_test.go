package erp_test

import (
	"fmt"
	"testing"
	"time"

	"tandem/internal/destination/destinationtest"
	"tandem/internal/simulator/erp"
	"tandem/spec"
)

// TestAcme holds the shipped example's description of the ERP to the suite that
// every destination passes, for each of its objects.
func TestAcme(t *testing.T) {
	s, err := spec.Load("../../../spec/acme/integration-spec.json")
	if err != nil {
		t.Fatal(err)
	}
	for object, fields := range map[string][3]string{
		"customers": {"email", "first_name", "last_name"}, "accounts": {"domain", "name", "industry"}, "orders": {"number", "title", "stage"},
	} {
		t.Run(object, func(t *testing.T) {
			destinationtest.Run(t, func(t *testing.T) destinationtest.Fixture {
				c, at := company(erp.Usual())
				remote, err := erp.Remote(c, s)
				if err != nil {
					t.Fatal(err)
				}
				f := destinationtest.Fixture{
					Remote: remote, Object: object, Key: fields[0], Fields: [2]string{fields[1], fields[2]}, KeyUnique: true,
					KeyValue: func(n int) string { return fmt.Sprintf("key-%d.example.com", n) }, ExternalID: "hubspot_id",
					Absent: "x_999", Settle: func() { *at = at.Add(time.Minute) }, Secret: "in-process", TellsDeletes: true,
				}
				if object == "orders" {
					f.Changes = remote
				}
				return f
			})
		})
	}
}
