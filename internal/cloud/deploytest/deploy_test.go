package deploytest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/internal/cloud/awsjson"
	"tandem/internal/cloud/names"
	"tandem/internal/engines"
	"tandem/internal/simulator/erp"
	"tandem/internal/simulator/portal"
)

// The whole deployment, once: every part below works on the stacks as the parts
// before it have left them.
func TestDeploy(t *testing.T) {
	r := newRig(t)
	r.cdk(t, "bootstrap", "aws://"+engines.Account+"/"+region)
	createSecrets(t, r)
	out := r.deploy(t, "--all")
	for _, stack := range []string{"tandem-acme", names.CentreName} {
		if !strings.Contains(out, "✅  "+stack) {
			t.Fatalf("%s was not deployed:\n%s", stack, out)
		}
	}
	r.deliver(t)
	parts := []struct {
		name string
		run  func(*testing.T, *rig)
	}{
		{"the doctor finds all well", doctor},
		{"forged deliveries are refused", refused},
		{"a contact reaches the destination", toDestination},
		{"a customer reaches HubSpot", toHubSpot},
		{"a poisoned record becomes a dead letter", poisoned},
		{"a dead letter is redriven", redriven},
		{"a secret is rotated", rotated},
		{"the schedule polls orders", polled},
		{"beats reach the Centre", beats},
		{"an alarm reaches Slack", alarmed},
		{"a changed spec is deployed", changed},
		// The last, because a deployment without changes deletes its change set, and
		// the emulator, unlike AWS, then refuses the clean-up before the next one.
		{"another deployment changes nothing", unchanged},
	}
	for _, p := range parts {
		if !t.Run(p.name, func(t *testing.T) { p.run(t, r) }) {
			return
		}
	}
}

// get asks a Function URL.
func (r *rig) get(t *testing.T, method, address, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.front.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

func refused(t *testing.T, r *rig) {
	for _, sys := range []string{"hubspot", "destination"} {
		address := r.parameter(t, "/acme/"+sys+"-webhook-url")
		if status, answer := r.get(t, http.MethodPost, address, "[]"); status != http.StatusUnauthorized {
			t.Errorf("%s: an unsigned delivery is answered %d %s", sys, status, answer)
		}
		if status, answer := r.get(t, http.MethodPost, address+"/elsewhere", "[]"); status != http.StatusNotFound {
			t.Errorf("%s: another path is answered %d %s", sys, status, answer)
		}
	}
}

// customer is the one live customer with this e-mail.
func (r *rig) customer(t *testing.T, email string) (erp.Record, bool) {
	t.Helper()
	found, err := r.company.Find("customers", "email", email)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) > 1 {
		t.Fatalf("%d customers are one person", len(found))
	}
	if len(found) == 0 {
		return erp.Record{}, false
	}
	return found[0], true
}

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
	if code != 0 || strings.Count(out, "UnknownEnum") != 1 || strings.Contains(out, "no-such-status") {
		t.Fatalf("%d\n%s", code, out)
	}
	bad, _ := r.customer(t, "bad@example.com")
	usual := erp.Usual().Silent
	r.company.SetHabits(func(h *erp.Habits) { h.Silent = append(slices.Clone(usual), "customers") })
	if _, err := r.company.Update("customers", bad.ID, map[string]any{"status": "lead"}, 0); err != nil {
		t.Fatal(err)
	}
	r.company.SetHabits(func(h *erp.Habits) { h.Silent = usual })
	if out, code := r.tandem(t, "", "dead-letters", "acme", "--redrive", "--code", "UnknownEnum"); code != 0 || !strings.Contains(out, "started acme-") {
		t.Fatalf("%d\n%s", code, out)
	}
	eventually(t, "the mended record is not in HubSpot", func() bool { return r.contact("bad@example.com").Text("hs_lead_status") == "OPEN" })
	if out, _ := r.tandem(t, "", "dead-letters", "acme"); !strings.Contains(out, "there are no dead letters") {
		t.Error(out)
	}
	if out, code := r.tandem(t, "", "parked", "acme"); code != 0 || !strings.Contains(out, "nothing waits") {
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

func toDestination(t *testing.T, r *rig) {
	contact, err := r.portal.Create(portal.Person, "contacts", map[string]string{
		"email": "ada@example.com", "firstname": "Ada", "lastname": "Lovelace", "zip": "20 00", "hs_lead_status": "NEW",
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the contact is not a customer", func() bool {
		c, ok := r.customer(t, "ada@example.com")
		return ok && c.Fields["name"] == "Ada Lovelace" && c.Fields["postcode"] == "2000" && c.Fields["status"] == "prospect" &&
			c.Fields["hubspot_id"] == contact.ID
	})
}

func toHubSpot(t *testing.T, r *rig) {
	ada, _ := r.customer(t, "ada@example.com")
	if _, err := r.company.Update("customers", ada.ID, map[string]any{"last_name": "Byron"}, 0); err != nil {
		t.Fatal(err)
	}
	grace, err := r.company.Create("customers", map[string]any{"email": "grace@example.com", "first_name": "Grace", "last_name": "Hopper", "status": "lead"})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the customers are not in HubSpot", func() bool {
		return r.contact("ada@example.com").Text("lastname") == "Byron" && r.contact("grace@example.com").Text("erp_id") == grace.ID &&
			r.contact("grace@example.com").Text("hs_lead_status") == "OPEN"
	})
}

// contact is the contact with this e-mail, an empty record if there is none.
func (r *rig) contact(email string) portal.Record {
	rec, err := r.portal.Read("contacts", email, portal.ReadOptions{
		IDProperty: "email", Properties: []string{"lastname", "erp_id", "hs_lead_status"},
	})
	if err != nil {
		return portal.Record{}
	}
	return rec
}

// letter is a message in the dead-letter queue.
type letter struct {
	Execution, Machine string
	Error              struct{ Error, Cause string }
}

func poisoned(t *testing.T, r *rig) {
	bad, err := r.company.Create("customers", map[string]any{"email": "bad@example.com", "first_name": "B", "status": "no-such-status"})
	if err != nil {
		t.Fatal(err)
	}
	queue := r.endpoint + "/" + engines.Account + "/acme-dead-letters"
	var out struct{ Messages []struct{ Body string } }
	eventually(t, "no dead letter", func() bool {
		r.call(t, awsjson.SQS, "ReceiveMessage", map[string]any{"QueueUrl": queue, "VisibilityTimeout": 0}, &out)
		return len(out.Messages) > 0
	})
	var l letter
	if err := json.Unmarshal([]byte(out.Messages[0].Body), &l); err != nil {
		t.Fatal(err)
	}
	if l.Machine != "destination-to-hubspot" || l.Error.Error != "UnknownEnum" || !strings.Contains(l.Execution, bad.ID) {
		t.Errorf("the dead letter is %+v", l)
	}
	if strings.Contains(out.Messages[0].Body, "bad@example.com") || strings.Contains(out.Messages[0].Body, "no-such-status") {
		t.Error("the dead letter holds a field's value")
	}
}

func polled(t *testing.T, r *rig) {
	if _, err := r.company.Create("orders", map[string]any{"number": "A-1", "title": "Engine", "amount": json.Number("12.50"), "stage": "quote"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the order is not a deal", func() bool {
		found, err := r.portal.Search("deals", portal.Query{Text: "Engine", Properties: []string{"amount", "order_number"}})
		return err == nil && len(found.Results) == 1 && found.Results[0].Text("order_number") == "A-1" && found.Results[0].Text("amount") == "12.5"
	})
}

func beats(t *testing.T, r *rig) {
	// Its schedule is every five minutes; here it is called by hand. The poller's
	// beat came by its own schedule.
	if answer := r.invoke(t, "acme-selfcheck", map[string]any{}); strings.Contains(answer, "errorType") {
		t.Fatalf("the self-check failed: %s", answer)
	}
	eventually(t, "the Centre knows no beat of both", func() bool {
		var out struct{ Items []map[string]map[string]any }
		r.call(t, awsjson.Service{Name: "dynamodb", Target: "DynamoDB_20120810", Version: "1.0"}, "Scan", map[string]any{"TableName": names.CentreName}, &out)
		all, err := json.Marshal(out)
		return err == nil && regexp.MustCompile(`selfcheck`).Match(all) && regexp.MustCompile(`poll`).Match(all)
	})
}

func alarmed(t *testing.T, r *rig) {
	// The emulator publishes no metrics of SQS, so the data point is ours.
	r.metrics(t, url.Values{
		"Action": {"PutMetricData"}, "Namespace": {"AWS/SQS"}, "MetricData.member.1.MetricName": {"ApproximateNumberOfMessagesVisible"},
		"MetricData.member.1.Value": {"1"}, "MetricData.member.1.Dimensions.member.1.Name": {"QueueName"},
		"MetricData.member.1.Dimensions.member.1.Value": {"acme-dead-letters"},
	})
	eventually(t, "the alarm did not go off", func() bool {
		answer := r.metrics(t, url.Values{"Action": {"DescribeAlarms"}, "AlarmNames.member.1": {"acme-dead-letters"}})
		return strings.Contains(answer, "<StateValue>ALARM</StateValue>")
	})
	// The emulator's own message has another time format than CloudWatch's, which
	// the Centre refuses; this one is as CloudWatch sends it.
	message := `{"AlarmName":"acme-dead-letters","AlarmArn":"arn:aws:cloudwatch:ap-southeast-2:000000000001:alarm:acme-dead-letters",` +
		`"NewStateValue":"ALARM","OldStateValue":"OK","StateChangeTime":"` + time.Now().UTC().Format("2006-01-02T15:04:05.000-0700") + `"}`
	r.post(t, "sns", "/", "application/x-www-form-urlencoded", []byte(url.Values{
		"Action": {"Publish"}, "Version": {"2010-03-31"}, "Message": {message},
		"TopicArn": {"arn:aws:sns:" + region + ":" + engines.Account + ":" + names.AlarmTopic},
	}.Encode()))
	eventually(t, "Slack heard nothing of it", func() bool {
		select {
		case message := <-r.slack:
			return strings.Contains(message, "acme-dead-letters")
		default:
			return false
		}
	})
}

func unchanged(t *testing.T, r *rig) {
	out := r.deploy(t, "--all")
	if n := strings.Count(out, "(no changes)"); n != 2 {
		t.Errorf("%d of 2 stacks had no changes:\n%s", n, tail([]byte(out)))
	}
}

func changed(t *testing.T, r *rig) {
	r.writeSpec(t, map[string]string{`{"concat": ["{firstname}", " ", "{lastname}"]}`: `{"concat": ["{lastname}", ", ", "{firstname}"]}`})
	if out := r.deploy(t, "tandem-acme", "--exclusively"); strings.Contains(out, "(no changes)") {
		t.Fatalf("nothing has changed:\n%s", tail([]byte(out)))
	}
	ada := r.contact("ada@example.com")
	if _, err := r.portal.Update(portal.Person, "contacts", ada.ID, "", map[string]string{"lastname": "King"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new spec is not in force", func() bool {
		c, _ := r.customer(t, "ada@example.com")
		return c.Fields["name"] == "King, Augusta"
	})
}
