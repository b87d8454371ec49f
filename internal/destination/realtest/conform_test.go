package realtest

import (
	"fmt"
	"testing"

	"tandem/internal/destination"
	"tandem/internal/destination/destinationtest"
)

// conform asks of a server of its own what the flow relies on, through the client
// that the spec makes.
func (s *system) conform(t *testing.T) {
	_, c := quicker(t, s)
	c.Destination.BaseURL = s.start(t, "http://127.0.0.1:9/") // what it delivers there is of no interest
	client, err := destination.New(c, destination.Options{Secrets: func(name string) (string, error) { return s.secrets[name], nil }})
	if err != nil {
		t.Fatal(err)
	}
	pair, _ := c.PairByName(s.pair)
	parts := 0
	destinationtest.Run(t, func(*testing.T) destinationtest.Fixture {
		parts++
		f := s.promises
		f.Remote, f.Object, f.Secret = client, pair.Destination.Object, s.secrets["destination-token"]
		if f.TellsDeletes {
			f.Changes = client
		}
		f.KeyValue = func(n int) string { return fmt.Sprintf("part%dn%d@example.com", parts, n) }
		return f
	})
}
