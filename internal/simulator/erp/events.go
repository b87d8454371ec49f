package erp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

const (
	// batch is how many events one delivery carries at most.
	batch = 20
	// attempts is how often a delivery is tried before it is given up.
	attempts = 10
)

// Event tells of one change. Object is the kind's word, singular.
type Event struct {
	ID     string    `json:"id"`
	Object string    `json:"object"`
	Record string    `json:"record_id"`
	Action string    `json:"action"` // created, updated or deleted
	At     time.Time `json:"at"`
}

// Delivery is one webhook request on its way.
type Delivery struct {
	Number  int     `json:"number"`
	Events  []Event `json:"events"`
	Attempt int     `json:"attempt"`
	// Due is when it may be sent, zero while it is under way.
	Due time.Time `json:"due"`
}

// queue is what still has to be delivered.
type queue struct {
	Fresh      []Event    `json:"fresh"` // not yet in a delivery
	Deliveries []Delivery `json:"deliveries"`
	Numbers    int        `json:"numbers"`
	Events     int        `json:"events"`
}

// tell queues an event; the caller holds the lock.
func (c *Company) tell(e Event) {
	c.queue.Events++
	e.ID = "e_" + strconv.Itoa(c.queue.Events)
	c.queue.Fresh = append(c.queue.Fresh, e)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Wake receives after events were queued, for a shell that waits for work.
func (c *Company) Wake() <-chan struct{} { return c.wake }

// Due packs fresh events into deliveries and hands out those that are to be sent
// now. Each must be reported back with Done.
func (c *Company) Due() []Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	q, now := &c.queue, c.now()
	for chunk := range slices.Chunk(q.Fresh, batch) {
		chunk = slices.Clone(chunk)
		if c.chance(c.habits.Shuffles) {
			c.rand.Shuffle(len(chunk), func(i, j int) { chunk[i], chunk[j] = chunk[j], chunk[i] })
		}
		c.enqueue(chunk, now)
		if c.chance(c.habits.Duplicates) {
			c.enqueue(chunk, now.Add(time.Duration(c.rand.IntN(3000))*time.Millisecond))
		}
	}
	q.Fresh = nil
	var out []Delivery
	for i := range q.Deliveries {
		if d := &q.Deliveries[i]; !d.Due.IsZero() && !d.Due.After(now) {
			d.Attempt++
			out = append(out, *d)
			d.Due = time.Time{}
		}
	}
	if c.chance(c.habits.Shuffles) {
		c.rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	}
	return out
}

func (c *Company) enqueue(events []Event, due time.Time) {
	c.queue.Numbers++
	c.queue.Deliveries = append(c.queue.Deliveries, Delivery{Number: c.queue.Numbers, Events: events, Due: due})
}

// chance is true with probability p and draws nothing when p is 0.
func (c *Company) chance(p float64) bool { return p > 0 && c.rand.Float64() < p }

// Done reports how a delivery that Due handed out was answered: anything but 2xx
// has it sent again, later and later, ten times in all.
func (c *Company) Done(number, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.queue.Deliveries, func(d Delivery) bool { return d.Number == number })
	if i < 0 {
		return
	}
	d := &c.queue.Deliveries[i]
	if status >= 200 && status <= 299 || d.Attempt >= attempts {
		c.queue.Deliveries = slices.Delete(c.queue.Deliveries, i, i+1)
		return
	}
	d.Due = c.now().Add(time.Second << min(d.Attempt-1, 6))
}

// NextDue is when the next delivery may be sent; false when nothing waits.
func (c *Company) NextDue() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue.Fresh) > 0 {
		return c.now(), true
	}
	var next time.Time
	for _, d := range c.queue.Deliveries {
		if !d.Due.IsZero() && (next.IsZero() || d.Due.Before(next)) {
			next = d.Due
		}
	}
	return next, !next.IsZero()
}

// Pending counts events that were not delivered yet.
func (c *Company) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.queue.Fresh)
	for _, d := range c.queue.Deliveries {
		n += len(d.Events)
	}
	return n
}

// Body is a delivery's request body.
func (d Delivery) Body() []byte {
	b, _ := json.Marshal(map[string]any{"events": d.Events}) // plain data always encodes
	return b
}

// Sign makes a delivery's headers: X-Erp-Timestamp in seconds and in
// X-Erp-Signature "sha256=" and the hex HMAC-SHA256 of timestamp, ".", body.
func Sign(secret string, body []byte, at time.Time) map[string]string {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return map[string]string{
		"x-erp-timestamp": timestamp,
		"x-erp-signature": "sha256=" + hex.EncodeToString(mac.Sum(nil)),
		"content-type":    "application/json",
	}
}
