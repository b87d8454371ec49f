package beat

import "time"

// bounds are the upper edges of the latency buckets in milliseconds; one more
// bucket holds everything above. Steps of 1-2-5 keep a quantile within a factor
// of 2.5, enough to see a change, in 16 small numbers that can be added up.
var bounds = [...]int{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 60000}

// Sketch counts latencies by bucket. Its zero value is empty.
type Sketch [len(bounds) + 1]int

// Add counts one latency.
func (s *Sketch) Add(d time.Duration) {
	ms := int(d.Milliseconds())
	for i, b := range bounds {
		if ms < b {
			s[i]++
			return
		}
	}
	s[len(bounds)]++
}

// Merge adds what another sketch counted.
func (s *Sketch) Merge(o Sketch) {
	for i, n := range o {
		s[i] += n
	}
}

// Count is how many latencies were added.
func (s Sketch) Count() (n int) {
	for _, c := range s {
		n += c
	}
	return n
}

// Quantile estimates the latency below which the share q (0 to 1) lies,
// straight within its bucket; 0 when the sketch is empty. What is above the
// last edge counts as that edge.
func (s Sketch) Quantile(q float64) time.Duration {
	rank, lower := q*float64(s.Count()), 0
	for i, b := range bounds {
		n := float64(s[i])
		if n > 0 && rank <= n {
			ms := float64(lower) + float64(b-lower)*rank/n
			return time.Duration(ms * float64(time.Millisecond))
		}
		rank, lower = rank-n, b
	}
	if s[len(bounds)] == 0 {
		return 0
	}
	return time.Duration(lower) * time.Millisecond
}

// IsZero lets encoding/json leave an empty sketch out (omitzero).
func (s Sketch) IsZero() bool { return s == Sketch{} }

func (s Sketch) valid() bool {
	for _, n := range s {
		if n < 0 {
			return false
		}
	}
	return true
}
