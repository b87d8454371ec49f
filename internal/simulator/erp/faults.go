package erp

import (
	"fmt"
	"slices"
	"time"
)

// The kinds of fault. The first three answer instead of working, Late and Lost
// after the work was done, Slow works after Delay.
const (
	Throttle = "429"  // with Retry-After
	Busy     = "503"  //
	Expired  = "401"  // the token is refused
	Late     = "504"  // the write has happened
	Lost     = "lost" // the write has happened and the connection breaks
	Slow     = "slow"
)

// Fault is something that goes wrong for the next Times matching requests.
type Fault struct {
	Kind string `json:"kind"`
	// Object and Method restrict it; empty matches all.
	Object string `json:"object,omitempty"`
	Method string `json:"method,omitempty"`
	// Times is how often it strikes, 1 when zero.
	Times int `json:"times,omitempty"`
	// RetryAfter is in seconds, for 429 and 503; DelayMS in milliseconds, for slow.
	RetryAfter int `json:"retryAfter,omitempty"`
	DelayMS    int `json:"delayMs,omitempty"`
}

// Inject arms a fault.
func (c *Company) Inject(f Fault) error {
	if !slices.Contains([]string{Throttle, Busy, Expired, Late, Lost, Slow}, f.Kind) {
		return fmt.Errorf("fault kind %q; allowed are 429, 503, 401, 504, lost and slow", f.Kind)
	}
	f.Times = max(f.Times, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, f)
	return nil
}

// window counts the requests of one second.
type window struct {
	second int64
	used   int
}

// admit counts a request and returns the fault that meets it, Kind "" for none.
func (c *Company) admit(method, object string) Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Requests++
	if method != "GET" {
		c.counts.Writes++
	}
	if c.habits.Rate > 0 {
		if second := c.now().Unix(); second != c.window.second {
			c.window = window{second: second}
		}
		if c.window.used++; c.window.used > c.habits.Rate {
			c.counts.Throttled++
			return Fault{Kind: Throttle, RetryAfter: 1}
		}
	}
	for i, f := range c.faults {
		if f.Object != "" && f.Object != object || f.Method != "" && f.Method != method {
			continue
		}
		if c.faults[i].Times--; c.faults[i].Times == 0 {
			c.faults = slices.Delete(c.faults, i, i+1)
		}
		if f.Kind == Throttle {
			c.counts.Throttled++
		}
		return f
	}
	return Fault{}
}

// delay is how long a slow answer takes.
func (f Fault) delay() time.Duration { return time.Duration(f.DelayMS) * time.Millisecond }
