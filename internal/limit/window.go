package limit

import (
	"cmp"
	"errors"
	"strconv"
	"strings"
	"time"

	"tandem/spec"
)

const (
	// slots is how finely a window remembers when requests were let through. A
	// slot counts until its end has left the window, so one slot's width, 1/40,
	// is the price in throughput.
	slots = 40
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

// use is how many permits were given in each slot, oldest first.
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

// slotOf is the slot of an instant, but never before the newest one in use, so
// that only intervals that end with it need to be looked at. A slot more than a
// window ahead is from a broken clock.
func (w window) slotOf(u use, t time.Time) int64 {
	slot := w.slotAt(t)
	if len(u) > 0 {
		if newest := u[len(u)-1].slot; newest > slot && newest < slot+slots {
			return newest
		}
	}
	return slot
}

// expires is when a slot leaves an interval of the given length.
func (w window) expires(slot int64, length time.Duration) time.Time {
	return time.Unix(0, (slot+1)*int64(w.slot)).Add(length + w.guard)
}

// count adds up what was given within the interval that ends at t.
func (w window) count(u use, t time.Time, length time.Duration) int {
	n, newest := 0, w.slotAt(t)+slots
	for _, g := range u {
		if w.expires(g.slot, length).After(t) && g.slot < newest {
			n += g.count
		}
	}
	return n
}

// grant says how many of size permits may be given, at least one, and at what time,
// not before now, where so many others are to be counted apart.
func (w window) grant(u use, now time.Time, apart, size int, c class) (int, time.Time) {
	limit := w.requests
	if c == backfill {
		limit = w.backfill
	}
	at := now
	if start := time.Unix(0, w.slotOf(u, now)*int64(w.slot)); start.After(at) {
		at = start
	}
	at = w.room(u, at, limit-apart, w.per)
	at = w.room(u, at, w.burst-apart, w.burstPer)
	free := min(limit-w.count(u, at, w.per), w.burst-w.count(u, at, w.burstPer)) - apart
	return max(1, min(size, free)), at
}

// room is from when on fewer than limit permits are counted.
func (w window) room(u use, from time.Time, limit int, length time.Duration) time.Time {
	total := w.count(u, from, length)
	for _, g := range u {
		if total < max(limit, 1) {
			break
		}
		if end := w.expires(g.slot, length); end.After(from) {
			total -= g.count
			from = end
		}
	}
	return from
}

// busy reports whether more than half of the budget is in use.
func (w window) busy(u use, t time.Time) bool { return 2*w.count(u, t, w.per) > w.requests }

// validity is how long a batch may be used after it was given: long while there
// is room, since a late request then does no harm, and shortly when there is not.
func (w window) validity(busy bool) time.Duration {
	if busy {
		return min(max(w.per/20, 50*time.Millisecond), 500*time.Millisecond)
	}
	return min(max(w.per/5, 100*time.Millisecond), 2*time.Second)
}

// add records n permits, if any, at an instant and forgets what has left the window.
func (w window) add(u use, now, at time.Time, n int) use {
	slot := w.slotOf(u, at)
	var out use
	for _, g := range u {
		if w.expires(g.slot, w.per).After(now) && g.slot <= slot {
			out = append(out, g)
		}
	}
	if n == 0 {
		return out
	}
	return out.change(slot, n)
}
