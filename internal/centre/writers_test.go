package centre

import (
	"strings"
	"testing"
	"time"

	"tandem/internal/beat"
)

// writes sends a beat of a client's deployment that writes to a portal.
func (r *rig) writes(client, deployment, portal string) {
	b := r.beat()
	b.Client, b.Handler, b.Interval = client, "run", 60
	b.Writer = &beat.Writer{Portal: portal, Deployment: strings.Repeat(deployment, 16)}
	r.send(b)
}

func TestTwoDeploymentsOnOnePortalAreToldOnce(t *testing.T) {
	for name, second := range map[string]string{"of one client": "acme", "of two clients": "globex"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.writes("acme", "a", "48")
			r.writes("acme", "a", "48") // another process on the same table
			r.writes("globex", "c", "49")
			r.after(0, 0)
			r.writes(second, "b", "48")
			r.after(0, 1)
			if s := r.slack.last(); !strings.Contains(s, "two deployments") || !strings.Contains(s, "portal 48 (acme") {
				t.Errorf("told %q", s)
			}
			f, err := r.fleet(t.Context())
			if err != nil || f.Integrations[0].State != isAttention || !strings.Contains(f.Integrations[0].Why, "portal 48") {
				t.Errorf("the page says %q, %v", f.Integrations[0].Why, err)
			}
			for range 11 { // the second one has stopped
				r.now = r.now.Add(time.Minute)
				r.writes("acme", "a", "48")
				r.writes("globex", "c", "49")
			}
			r.after(0, 1)
			if s := r.slack.last(); !strings.Contains(s, "one writer again") {
				t.Errorf("told %q", s)
			}
			r.after(0, 0)
		})
	}
}
