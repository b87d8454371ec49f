package centre

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/internal/beat"
	"tandem/internal/table"
)

// The two states of a portal.
const (
	alone   = "alone"
	crowded = "crowded"
)

// writerLife is how long a deployment is taken to be alive after its last beat;
// at least twice the beats' interval.
const writerLife = 10 * time.Minute

// wrote notes which deployment writes to which portal, and forgets those that
// have not said so for long.
func (s *State) wrote(w *beat.Writer, now time.Time) {
	if w == nil {
		return
	}
	if s.Portal != w.Portal || s.Writers == nil {
		s.Portal, s.Writers = w.Portal, map[string]time.Time{}
	}
	s.Writers[w.Deployment] = now
	maps.DeleteFunc(s.Writers, func(_ string, at time.Time) bool { return s.past(at, now) })
}

func (s *State) past(at, now time.Time) bool {
	return now.Sub(at) > max(writerLife, 2*time.Duration(s.Interval)*time.Second)
}

// portal is one HubSpot portal and who writes to it.
type portal struct {
	id          string
	clients     []string // in order
	deployments map[string]bool
}

// portals sums up who writes where. Deployments that share a table have one id;
// two ids on one portal know nothing of each other's leases and bases.
func portals(states []*State, now time.Time) map[string]*portal {
	out := map[string]*portal{}
	for _, s := range states {
		for deployment, at := range s.Writers {
			if s.past(at, now) {
				continue
			}
			p := out[s.Portal]
			if p == nil {
				p = &portal{id: s.Portal, deployments: map[string]bool{}}
				out[s.Portal] = p
			}
			p.deployments[deployment] = true
			if !slices.Contains(p.clients, s.Client) {
				p.clients = append(p.clients, s.Client)
			}
		}
	}
	for _, p := range out {
		slices.Sort(p.clients)
	}
	return out
}

func (p *portal) state() string {
	if len(p.deployments) > 1 {
		return crowded
	}
	return alone
}

// rivals is why a client needs attention: the portals it shares with another
// deployment, "" when it is alone.
func rivals(client string, all map[string]*portal) string {
	for _, id := range slices.Sorted(maps.Keys(all)) {
		p := all[id]
		if p.state() != crowded || !slices.Contains(p.clients, client) {
			continue
		}
		others := slices.DeleteFunc(slices.Clone(p.clients), func(c string) bool { return c == client })
		if len(others) == 0 {
			return fmt.Sprintf("%d deployments write to portal %s", len(p.deployments), p.id)
		}
		return fmt.Sprintf("portal %s is written by %s, too", p.id, strings.Join(others, ", "))
	}
	return ""
}

// watchPortals tells once when a portal gets a second writer, and once when it
// has one again.
func (c *Centre) watchPortals(ctx context.Context, states []*State, memories map[string]table.Item, now time.Time) (errs []error) {
	all := portals(states, now)
	for _, id := range slices.Sorted(maps.Keys(all)) {
		p := all[id]
		sk := "portal#" + id
		if p.state() == alone && memories[sk].Rev == 0 {
			continue // the usual: nothing to remember
		}
		errs = append(errs, c.remember(ctx, sk, memories[sk], now, func(m *watched) []Notice {
			return m.Handler.changes(p.state(), alone, now, false,
				Notice{Kind: "portal", Client: p.clients[0], Handler: id, Topic: Topic(strings.Join(p.clients, ", "))})
		}))
	}
	return errs
}
