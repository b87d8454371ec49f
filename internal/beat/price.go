package beat

import (
	"encoding/json"
	"fmt"

	"tandem/spec"
)

// Price is the AWS list price of one event by how it ends, in billionths of a US
// dollar: a dropped one costs less than a millionth. Package cost finds it.
type Price struct {
	Stamped int64 `json:"stamped"`
	Dropped int64 `json:"dropped"` // parked ones, too
	Dead    int64 `json:"dead"`
}

// Prices are an integration's, by direction. Without any, no cost is reported.
type Prices map[spec.Direction]Price

// String is what ParsePrices reads: the value of an environment variable.
func (p Prices) String() string {
	b, _ := json.Marshal(p) // text and numbers always marshal
	return string(b)
}

// ParsePrices reads the text of String; blank text is no prices.
func ParsePrices(text string) (p Prices, err error) {
	if text == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return nil, fmt.Errorf("prices of events: %w; deploy again", err)
	}
	return p, nil
}

func (p Price) of(k Kind) int64 {
	switch k {
	case Stamped:
		return p.Stamped
	case Dead:
		return p.Dead
	}
	return p.Dropped
}
