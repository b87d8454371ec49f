package centre

import (
	"sync"
	"time"
)

// limiter is a token bucket per name, kept in this process. Names are those of
// clients whose signature was right, so their number is bounded.
type limiter struct {
	rate, burst float64 // tokens per second, and at most

	mu      sync.Mutex
	buckets map[string]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newLimiter(rate, burst float64) *limiter {
	return &limiter{rate: rate, burst: burst, buckets: map[string]bucket{}}
}

// take uses one token of name's bucket, if there is one.
func (l *limiter) take(name string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, known := l.buckets[name]
	if !known {
		b = bucket{tokens: l.burst, at: now}
	}
	b.tokens = min(l.burst, b.tokens+max(0, now.Sub(b.at).Seconds())*l.rate)
	b.at = now
	ok := b.tokens >= 1
	if ok {
		b.tokens--
	}
	l.buckets[name] = b
	return ok
}
