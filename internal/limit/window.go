package limit

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/spec"
)

const (
	// slots is how finely a window remembers when requests were let through. A
	// slot counts until its end has left the window, so one slot's width, 1/60,
	// is the price in throughput. All of them fit into a kilobyte, by which the
	// table's writes are billed.
	slots = 60
	// guard widens the window by 1/100 for the different ways to the remote that
	// requests take.
	guard = 100
	// maxBatch bounds what one worker may hold back from others.
	maxBatch = 16
)

// window is the arithmetic of one budget. It has no state.
type window struct {
	requests, burst  int
	per, slot, guard time.Duration
	burstPer         time.Duration // burst is the limit of any interval of this length
	backfill         int           // of requests, what backfill may use
	batch            int
}

// newWindow checks a budget.
func newWindow(b spec.RateLimit) (window, error) {
	per := cmp.Or(b.Per.Duration, time.Second)
	switch {
	case b.Requests < 1:
		return window{}, errors.New("requests must be at least 1")
	case per < 100*time.Millisecond:
		return window{}, errors.New("per must be at least 100ms")
	case b.LiveShare < 0 || b.LiveShare > 99:
		return window{}, errors.New("liveShare must be 0 to 99 percent")
	case b.Burst < 0:
		return window{}, errors.New("burst must not be negative")
	}
	w := window{
		requests: b.Requests, burst: min(cmp.Or(b.Burst, b.Requests), b.Requests), per: per,
		slot: per / slots, guard: per / guard, backfill: max(1, b.Requests*(100-b.LiveShare)/100),
		batch: min(max(b.Requests/20, 1), maxBatch),
	}
	w.burstPer = per * time.Duration(w.burst) / time.Duration(w.requests)
	return w, nil
}

// use is how many permits are counted in each slot, oldest first.
type use []given

type given struct {
	slot  int64
	count int
}

// String writes "slot:count,slot:count".
func (u use) String() string {
	var b strings.Builder
	for i, g := range u {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(g.slot, 10) + ":" + strconv.Itoa(g.count))
	}
	return b.String()
}

// parseUse reads what String wrote; anything else counts as nothing, since a
// budget that cannot be read must not stop the work for ever.
func parseUse(s string) use {
	var u use
	for part := range strings.SplitSeq(s, ",") {
		slot, count, _ := strings.Cut(part, ":")
		n, err := strconv.ParseInt(slot, 10, 64)
		c, countErr := strconv.Atoi(count)
		if err == nil && countErr == nil {
			u = append(u, given{n, c})
		}
	}
	return u
}

// slotAt is the slot of an instant.
func (w window) slotAt(t time.Time) int64 { return t.UnixNano() / int64(w.slot) }

// start is when a slot begins.
func (w window) start(slot int64) time.Time { return time.Unix(0, slot*int64(w.slot)) }

// expires is when a slot leaves an interval of the given length.
func (w window) expires(slot int64, length time.Duration) time.Time {
	return w.start(slot + 1).Add(length + w.guard)
}

// current is what of a use is of the window that ends now, or of up to ahead from now.
// What is further ahead is from a broken clock.
func (w window) current(u use, now time.Time, ahead time.Duration) use {
	latest := now.Add(ahead)
	return slices.DeleteFunc(u, func(g given) bool { return !w.expires(g.slot, w.per).After(now) || w.start(g.slot).After(latest) })
}

// peak is the most that is counted in any interval of the given length with an instant
// between from and until in it. What is counted in a slot may have been used up to the
// longest validity before.
func (w window) peak(u use, from, until time.Time, length time.Duration) (most int) {
	n, gone := 0, 0
	for i, g := range u {
		end := later(from, w.start(g.slot).Add(-w.validity(false)))
		if end.After(until.Add(length + w.guard)) {
			break
		}
		n += g.count
		for ; gone <= i && !w.expires(u[gone].slot, length).After(end); gone++ {
			n -= u[gone].count
		}
		most = max(most, n)
	}
	return most
}

// grant is permits that may be given: how many, and from when until when they are good.
type grant struct {
	count       int
	from, until time.Time
	scarce      bool // more than half of the budget was in use
}

// grant finds the first instant, not before now, at which at least one of size permits
// may be given where so many others are to be counted apart.
func (w window) grant(u use, now time.Time, apart, size int, c class) grant {
	limit := w.requests
	if c == backfill {
		limit = w.backfill
	}
	limit, burst := max(limit-apart, 1), max(w.burst-apart, 1)
	starts := []time.Time{now}
	for _, g := range u {
		starts = append(starts, w.expires(g.slot, w.per), w.expires(g.slot, w.burstPer))
	}
	slices.SortFunc(starts, time.Time.Compare)
	for _, at := range starts {
		if at.Before(now) {
			continue
		}
		scarce := 2*w.peak(u, at, at, w.per) > w.requests
		until := w.start(w.slotAt(at.Add(w.validity(scarce))) + 1).Add(-1)
		free := min(limit-w.peak(u, at, until, w.per), burst-w.peak(u, at, until, w.burstPer))
		if free > 0 {
			return grant{min(size, free), at, until, scarce}
		}
	}
	return grant{}
}

// validity is for how long a batch may be used at least: long while there is room,
// and shortly when there is not, since what is not used then is missing elsewhere.
func (w window) validity(busy bool) time.Duration {
	if busy {
		return min(max(w.per/20, 100*time.Millisecond), 500*time.Millisecond)
	}
	return min(max(w.per/5, 200*time.Millisecond), 2*time.Second)
}
