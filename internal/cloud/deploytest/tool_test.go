package deploytest

import (
	"strings"
	"testing"

	"tandem/internal/cloud/awsjson"
	"tandem/internal/simulator/portal"
)

// createSecrets makes the client's with the tool and the agency's by hand.
func createSecrets(t *testing.T, r *rig) {
	t.Helper()
	if out, code := r.tandem(t, "", "secrets", "acme"); code != 1 || !strings.Contains(out, "/acme/hubspot-token: MISSING") {
		t.Fatalf("before there are secrets: %d\n%s", code, out)
	}
	for name, value := range r.secrets {
		if last, ok := strings.CutPrefix(name, "/acme/"); ok {
			if out, code := r.tandem(t, value+"\n", "secrets", "--set", "acme", last); code != 0 || strings.Contains(out, value) {
				t.Fatalf("%s: %d\n%s", name, code, out)
			}
			continue
		}
		r.call(t, awsjson.SSM, "PutParameter", map[string]any{"Name": name, "Value": value, "Type": "SecureString"}, nil)
	}
	if out, code := r.tandem(t, "", "secrets", "acme"); code != 0 {
		t.Fatalf("with all secrets: %d\n%s", code, out)
	}
}

func doctor(t *testing.T, r *rig) {
	out, code := r.tandem(t, "", "doctor", "acme")
	if code != 0 || strings.Count(out, "well ") != 5 {
		t.Errorf("%d\n%s", code, out)
	}
	if out, code := r.tandem(t, "", "subscriptions", "acme"); code != 0 || !strings.Contains(out, r.parameter(t, "/acme/hubspot-webhook-url")) {
		t.Errorf("%d\n%s", code, out)
	}
}

// redriven mends the poisoned record unheard, and starts its event again.
func redriven(t *testing.T, r *rig) {
	out, code := r.tandem(t, "", "dead-letters", "acme")
	if code != 0 || !strings.Contains(out, "UnknownEnum") || strings.Contains(out, "no-such-status") {
		t.Fatalf("%d\n%s", code, out)
	}
	r.unheard(t, "bad@example.com", map[string]any{"status": "lead"})
	if out, code := r.tandem(t, "", "dead-letters", "acme", "--redrive", "--code", "UnknownEnum"); code != 0 || !strings.Contains(out, "started acme-") {
		t.Fatalf("%d\n%s", code, out)
	}
	eventually(t, "the mended record is not in HubSpot", func() bool { return r.contact("bad@example.com").Text("hs_lead_status") == "OPEN" })
	if out, _ := r.tandem(t, "", "dead-letters", "acme"); !strings.Contains(out, "there are no dead letters") {
		t.Error(out)
	}
	if out, code := r.tandem(t, "", "parked", "--aws", "acme"); code != 0 || !strings.Contains(out, "nothing waits") {
		t.Errorf("%d\n%s", code, out)
	}
}

// rotated changes HubSpot's client secret: what is signed with the former one is
// taken until the rotation is ended.
func rotated(t *testing.T, r *rig) {
	if out, code := r.tandem(t, "", "secrets", "acme", "hubspot-client-secret", "--generate"); code != 0 || !strings.Contains(out, "rotated") {
		t.Fatalf("%d\n%s", code, out)
	}
	ada := r.contact("ada@example.com")
	if _, err := r.portal.Update(portal.Person, "contacts", ada.ID, "", map[string]string{"firstname": "Augusta"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a delivery signed with the former secret is refused", func() bool {
		c, _ := r.customer(t, "ada@example.com")
		return c.Fields["first_name"] == "Augusta"
	})
	if out, code := r.tandem(t, "", "doctor", "acme"); code != 0 {
		t.Errorf("the doctor signs with the new secret: %d\n%s", code, out)
	}
	if out, code := r.tandem(t, "", "secrets", "acme"); code != 0 || !strings.Contains(out, "its former value is still valid") {
		t.Errorf("%d\n%s", code, out)
	}
}
