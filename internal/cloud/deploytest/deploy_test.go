package deploytest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
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
	found := dashboardURL.FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("the Centre's stack does not tell its dashboard's address:\n%s", out)
	}
	r.dashboard = found[1]
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
		{"the Centre lists outcomes and opens a record", shown},
		{"a dead letter is told by its cause", deadByCause},
		{"a dead letter is redriven", redriven},
		{"a redriven letter waits no more", undead},
		{"a secret is rotated", rotated},
		{"a busy destination puts an event off", putOff},
		{"the schedule polls orders", polled},
		{"the event that was put off comes back", cameBack},
		{"a comparison finds what no delivery told", compared},
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
	r.selfcheck(t)
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
	r.writeSpec(t, map[string]string{
		`{"concat": ["{firstname}", " ", "{lastname}"]}`: `{"concat": ["{lastname}", ", ", "{firstname}"]}`,
		`"guards":`: `"canary": {"pair": "contacts", "record": "` + r.contact("grace@example.com").ID +
			`", "toDestination": "firstName", "toHubSpot": "lastName"}, "guards":`,
	})
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
	if out, code := r.tandem(t, "", "doctor", "acme"); code != 0 || !strings.Contains(out, "has travelled hubspot-to-destination and destination-to-hubspot") {
		t.Errorf("%d\n%s", code, out)
	}
}
