package centre

import (
	"time"

	"tandem/internal/beat"
)

// The two states of a handler or of a self-check's question.
const (
	up   = "up"
	down = "down"
)

const (
	// flapWindow and flapNotices keep something that flaps from storming: two
	// notices a window, so that down and up again are told at once; what happens
	// beyond is told as one summary a window.
	flapWindow  = 15 * time.Minute
	flapNotices = 2
	// topicGap is the shortest time between two notices of one topic; what
	// happens meanwhile is counted into the next.
	topicGap = 15 * time.Minute
)

// isDown is the rule: silent for more than twice the promised interval. At
// exactly twice it is not down yet, and without a promise it never is.
func isDown(s *State, now time.Time) bool {
	return s.Interval > 0 && now.Sub(s.LastBeat) > 2*time.Duration(s.Interval)*time.Second
}

// memory is what was last seen of one thing and what of that has been told.
// It changes only together with the notices it leads to, in one transaction.
type memory struct {
	Seen    string      `json:"seen,omitempty"`
	Told    string      `json:"told,omitempty"`
	Since   time.Time   `json:"since,omitzero"` // when Seen began
	Changes int         `json:"changes,omitempty"`
	Sent    []time.Time `json:"sent,omitempty"`   // notices within flapWindow
	Summed  bool        `json:"summed,omitempty"` // the last notice was a summary
	// Counts and At are, per topic, how much was told and when.
	Counts map[Topic]int       `json:"counts,omitempty"`
	At     map[Topic]time.Time `json:"at,omitempty"`
}

// observe notes a state as it was at an instant. calm is the state nobody needs
// to be told of when it is the first one ever seen.
func (m *memory) observe(state, calm string, at time.Time) {
	if m.Seen == state {
		return
	}
	if m.Seen == "" && state == calm {
		m.Seen, m.Told, m.Since = state, state, at
		return
	}
	m.Seen, m.Since = state, at
	m.Changes++
}

// change is what is to be told: the present state, and how often it changed
// since it was last told (1 for a plain change).
type change struct {
	State   string
	Since   time.Time
	Changes int
}

// tell returns the change that is due, if any, and remembers that it was told.
func (m *memory) tell(now time.Time, muted bool) (change, bool) {
	if m.Changes == 0 || muted {
		return change{}, false
	}
	recent := m.Sent[:0:0]
	for _, t := range m.Sent {
		if now.Sub(t) < flapWindow {
			recent = append(recent, t)
		}
	}
	m.Sent = recent
	if len(recent) >= flapNotices || m.Summed && len(recent) > 0 {
		return change{}, false
	}
	c := change{m.Seen, m.Since, m.Changes}
	m.Told, m.Changes, m.Sent, m.Summed = m.Seen, 0, append(recent, now), c.Changes > 1
	return c, true
}

// news returns, per topic, how many are new since they were last told and due
// to be told now.
func (m *memory) news(heard map[Topic]int, now time.Time) map[Topic]int {
	out := map[Topic]int{}
	for t, total := range heard {
		if total <= m.Counts[t] || now.Sub(m.At[t]) < topicGap {
			continue
		}
		out[t] = total - m.Counts[t]
		if m.Counts == nil {
			m.Counts, m.At = map[Topic]int{}, map[Topic]time.Time{}
		}
		m.Counts[t], m.At[t] = total, now
	}
	return out
}

// unmuted forgets changes that came and went while nobody wanted to hear of them.
func (m *memory) unmuted() {
	if m.Seen == m.Told {
		m.Changes = 0
	}
}

func checkState(c beat.Check) string {
	if c.OK {
		return up
	}
	return down
}
