package why

import (
	"strings"
	"testing"

	"tandem/internal/ledger"
	"tandem/internal/record"
)

// An open write is told as what it does, deletions and bare claims too.
func TestOpenWrite(t *testing.T) {
	sent := map[record.System]map[string][]string{record.HubSpot: {"name": {"x"}, "email": {"y"}}}
	for want, in := range map[string]ledger.Intent{
		"update email, name":             {Sent: sent},
		"create in hubspot: email, name": {Create: record.HubSpot, Sent: sent},
		"look for a partner in hubspot":  {Create: record.HubSpot},
		"delete in destination":          {Archive: record.Destination},
	} {
		if got := intent(&in).String(); got != want {
			t.Errorf("%+v: %q, want %q", in, got, want)
		}
	}
}

// What was begun before its pair came to rest is no write that somebody waits for.
func TestUnconfirmedWriteOfAPairAtRest(t *testing.T) {
	for state, want := range map[ledger.State]string{ledger.Linked: "open write  x", ledger.Claimed: "open write  x", ledger.Parked: "unconfirmed x", ledger.Gone: "unconfirmed x"} {
		var b strings.Builder
		if err := (&Report{State: string(state), Intent: &Intent{Execution: "x"}}).Print(&b); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("%s: %v, %s", state, err, b.String())
		}
	}
}
