package cost

import (
	"cmp"
	"math"

	"tandem/internal/beat"
	"tandem/spec"
)

// DefaultRetention is how many days logs are kept where the spec does not say.
const DefaultRetention = 14

// Prices is what one event costs by how it ends, at the spec's trace level and
// with the usual assumptions: an update, an echo and a dead letter of the spec's
// first pair stand for all. The Notification Centre adds them up.
func Prices(s *spec.Spec) (beat.Prices, error) {
	events, err := Measure(s, Usual)
	if err != nil {
		return nil, err
	}
	nanos := map[string]int64{}
	for _, e := range events {
		bill := BillFor(e.Usage, cmp.Or(s.Trace.Level, All), cmp.Or(s.Trace.RetentionDays, DefaultRetention))
		nanos[e.Name] = int64(math.Round(bill.Total() * 1000)) // US$ a million are millionths each
	}
	return beat.Prices{
		spec.ToDestination: {Stamped: nanos[UpdateDestination], Dropped: nanos[EchoHubSpot], Dead: nanos[DeadLetter]},
		spec.ToHubSpot:     {Stamped: nanos[UpdateHubSpot], Dropped: nanos[EchoDestination], Dead: nanos[DeadLetter]},
	}, nil
}
