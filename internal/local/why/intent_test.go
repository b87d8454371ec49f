package why

import (
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
