package simulation

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"tandem/internal/record"
)

// outage is a time in which one system does not work, beside the faults of single
// requests: the machines put its events off, again and again.
type outage struct {
	system record.System
	from   time.Time
	until  time.Time
	how    string
}

// The ways in which a system is down.
const (
	unreachable = "outage: no connection"
	answering   = "outage: every request is answered with 503"
	hanging     = "outage: no answer"
	readOnly    = "outage: every write is answered with 503"
)

// lengths of outages; of those of more than a day dead letters are left.
var lengths = []struct {
	name      string
	low, high time.Duration
}{
	{"outage of minutes", time.Minute, 15 * time.Minute},
	{"outage of minutes", time.Minute, 15 * time.Minute},
	{"outage of minutes", time.Minute, 15 * time.Minute},
	{"outage of minutes", time.Minute, 15 * time.Minute},
	{"outage of hours", time.Hour, 6 * time.Hour},
	{"outage of more than a day", 25 * time.Hour, 30 * time.Hour},
}

// breakDown has a system fail in one world of eight, and in one of three where people
// tidy up, from a time at which people work.
func (r *run) breakDown() {
	if r.rng.IntN(map[bool]int{false: 8, true: 3}[r.tidying]) > 0 {
		return
	}
	kind := lengths[r.rng.IntN(len(lengths))]
	system := []record.System{record.HubSpot, record.Destination}[r.rng.IntN(2)]
	how := []string{unreachable, answering, hanging, readOnly}[r.rng.IntN(4)]
	from := epoch.Add(r.between(0, 3*time.Minute))
	r.outage = outage{system, from, from.Add(r.between(kind.low, kind.high)), how}
	r.counts[kind.name]++
	r.counts[how]++
	r.note("%s is down from %s until %s, %s", system, from.Sub(epoch), r.outage.until.Sub(epoch), how)
}

// lasts is how long the world may live before it must be quiet.
func (r *run) lasts() time.Duration {
	return span + max(0, r.outage.until.Sub(epoch))
}

// down answers a request in the place of a system that is down.
func (r *run) down(ctx context.Context, s record.System, req *http.Request) (*http.Response, error) {
	o := r.outage
	if !r.faults || s != o.system || r.now.Before(o.from) || !r.now.Before(o.until) {
		return nil, nil
	}
	switch {
	case o.how == unreachable:
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	case o.how == hanging:
		if err := sleep(ctx, time.Minute); err != nil {
			return nil, err
		}
		return nil, errLost
	case o.how == answering, writes(req):
		return answer(req, http.StatusServiceUnavailable, nil), nil
	}
	return nil, nil
}
