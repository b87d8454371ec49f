package burst

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

// calls notes when each call arrived and whether it was refused.
type calls struct {
	mu    sync.Mutex
	all   []arrival
	kinds map[string]int
	lag   time.Duration // the latest that this process woke
}

const wink = 10 * time.Millisecond

// keepTime measures how late a sleeper wakes, until ctx ends.
func (c *calls) keepTime(ctx context.Context) {
	go func() {
		for ctx.Err() == nil {
			began := time.Now()
			time.Sleep(wink)
			c.mu.Lock()
			c.lag = max(c.lag, time.Since(began)-wink)
			c.mu.Unlock()
		}
	}()
}

func (c *calls) late() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lag
}

type arrival struct {
	at      time.Time
	refused bool
}

var digits = regexp.MustCompile(`[0-9]{6,}`)

// watch serves h and notes every call but searches.
func (c *calls) watch(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/search") {
			h.ServeHTTP(w, r) // has a limit of its own
			return
		}
		c.mu.Lock()
		if c.kinds == nil {
			c.kinds = map[string]int{}
		}
		c.kinds[r.Method+" "+digits.ReplaceAllString(r.URL.Path, "{id}")]++
		i := len(c.all)
		c.all = append(c.all, arrival{at: time.Now()})
		c.mu.Unlock()
		h.ServeHTTP(&noting{w, func() {
			c.mu.Lock()
			c.all[i].refused = true
			c.mu.Unlock()
		}}, r)
	})
}

// noting hears of a 429.
type noting struct {
	http.ResponseWriter
	refused func()
}

// WriteHeader implements http.ResponseWriter.
func (n *noting) WriteHeader(status int) {
	if status == http.StatusTooManyRequests {
		n.refused()
	}
	n.ResponseWriter.WriteHeader(status)
}

type summary struct {
	calls, peak   int
	windows       []int    // what was accepted in each, from the first call on
	when          []string // calls were refused
	took          time.Duration
	refused, used float64
}

// summary counts. The allowed number of calls within a stretch of time is a full
// window at once and the limit per window after it.
func (c *calls) summary() (s summary) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var accepted []time.Time
	for _, a := range c.all {
		since := a.at.Sub(c.all[0].at)
		if a.refused {
			s.when = append(s.when, fmt.Sprintf("%.2f", since.Seconds()))
			continue
		}
		accepted = append(accepted, a.at)
		for len(s.windows) <= int(since/window) {
			s.windows = append(s.windows, 0)
		}
		s.windows[since/window]++
	}
	s.calls, s.took = len(c.all), c.all[len(c.all)-1].at.Sub(c.all[0].at)
	s.refused = 1 - float64(len(accepted))/float64(len(c.all))
	s.used = float64(len(accepted)) / (allowed * (1 + float64(s.took)/float64(window)))
	first := 0
	for i, at := range accepted {
		for at.Sub(accepted[first]) >= window {
			first++
		}
		s.peak = max(s.peak, i-first+1)
	}
	return s
}

// The plot's size in pixels and its margins.
const (
	width, height       = 760, 320
	left, top           = 60, 40
	inner, tall         = width - left - 20, height - top - 50
	ceiling             = allowed * 5 / 4
	points        int64 = 400
)

// plot draws how many calls were accepted in the window before each instant, and
// the limit, as SVG.
func (c *calls) plot(changes int) []byte {
	s := c.summary()
	c.mu.Lock()
	defer c.mu.Unlock()
	x := func(at time.Duration) float64 { return left + float64(at)/float64(s.took)*inner }
	y := func(n int) float64 { return top + tall*(1-float64(n)/ceiling) }
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	fmt.Fprintf(&b, `<text x="%d" y="20">%d changes, %d processes, one budget of %d calls in %v: %.2f %% answered 429, %.1f %% of the allowed rate used</text>`+"\n",
		left, changes, processes, allowed, window, 100*s.refused, 100*s.used)
	for n := 0; n <= allowed; n += 50 {
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end" fill="#555">%d</text>`+"\n", left, y(n), left+inner, left-6, y(n)+4, n)
	}
	fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#b00" stroke-dasharray="6 4"/><text x="%d" y="%.1f" fill="#b00">limit %d</text>`+"\n", left, y(allowed), left+inner, left+4, y(allowed)-6, allowed)
	fmt.Fprintf(&b, `<path fill="none" stroke="#06c" stroke-width="1.5" d="`)
	for i := range points + 1 {
		at := time.Duration(int64(s.took) * i / points)
		fmt.Fprintf(&b, "%c%.1f %.1f", "ML"[min(i, 1)], x(at), y(c.within(at)))
	}
	fmt.Fprintf(&b, "\"/>\n")
	for i := range 6 {
		at := s.took * time.Duration(i) / 5
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle" fill="#555">%.0f s</text>`+"\n", x(at), height-30, at.Seconds())
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" fill="#555">calls accepted in the last %v, over time</text>`+"\n</svg>\n", left, height-10, window)
	return b.Bytes()
}

// within counts what was accepted in the window that ends at.
func (c *calls) within(at time.Duration) (n int) {
	for _, a := range c.all {
		if since := a.at.Sub(c.all[0].at); !a.refused && since <= at && since > at-window {
			n++
		}
	}
	return n
}
