package browsertest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// do takes steps that may be taken again: a page that was just drawn anew, because
// it is live, has no answer for who asked the page before.
func do(t *testing.T, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	within, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	err := chromedp.Run(within, actions...)
	for err != nil && within.Err() == nil && drawnAnew(err) {
		err = chromedp.Run(within, actions...)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func drawnAnew(err error) bool {
	return strings.Contains(err.Error(), "Cannot find context") || strings.Contains(err.Error(), "navigated or closed")
}

// submit clicks a button and waits for the page that answers.
func submit(t *testing.T, ctx context.Context, button string) {
	t.Helper()
	within, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	if _, err := chromedp.RunResponse(within, chromedp.Click(button, chromedp.ByQuery)); err != nil {
		t.Fatalf("clicking %s: %v", button, err)
	}
}

// text is what a page's main part says, closed details included.
func text(t *testing.T, ctx context.Context, url string) (said string) {
	t.Helper()
	do(t, ctx, chromedp.Navigate(url), chromedp.Evaluate(`document.querySelector("main").textContent`, &said))
	return said
}

// expect fails for every text that a page lacks.
func expect(t *testing.T, page, said string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(said, w) {
			t.Errorf("the %s does not say %q", page, w)
		}
	}
}

// set fills a form's field by its name.
func set(name, value string) chromedp.Action {
	return chromedp.SetValue(fmt.Sprintf(`[name="%s"]`, name), value, chromedp.ByQuery)
}

// A person edits a record on one page, follows it through the console to the
// other page, mends a record that cannot be synced, and sees silence told.
func TestAPersonFollowsARecord(t *testing.T) {
	ctx := browser(t)
	r := newRig(t)
	first := r.stamped()
	hub := r.box.HubSpotURL() + "/records/contacts/" + first.Record.ID

	const birthday = "1987-06-05"
	do(t, ctx, chromedp.Navigate(hub), set("firstname", "Marguerite"), set("birthday", birthday))
	submit(t, ctx, "form.fields button")
	do(t, ctx, chromedp.Navigate(r.server.URL()+"/executions?status=stamped&record="+first.Record.ID),
		chromedp.Poll(`document.querySelectorAll("tbody tr").length > 1`, nil, chromedp.WithPollingTimeout(40*time.Second)))
	var address string
	do(t, ctx, chromedp.Evaluate(`document.querySelector("tbody tr td:last-child a").href`, &address))
	said := text(t, ctx, address)
	expect(t, "execution", said, "Verify", "Transform", "Lookup", "Write", "Stamp", "Marguerite")
	if strings.Contains(said, birthday) {
		t.Error("the execution shows the value of a sensitive field")
	}

	why := text(t, ctx, r.server.URL()+"/records/contacts/"+first.Record.ID)
	expect(t, "why page", why, "linked", "Marguerite", "sensitive", "Next decision", "An event from HubSpot would", "One from Acme ERP would")
	if strings.Contains(why, birthday) {
		t.Error("the why page shows the value of a sensitive field")
	}
	var partner string
	do(t, ctx, chromedp.Evaluate(`[...document.querySelectorAll("dd a")].map((a) => a.getAttribute("href")).find((h) => h.startsWith("/records/customers/"))`, &partner))
	customer := r.box.DestinationURL() + "/customers?edit=" + partner[strings.LastIndexByte(partner, '/')+1:]
	var name string
	do(t, ctx, chromedp.Navigate(customer), chromedp.Value(`[name="first_name"]`, &name, chromedp.ByQuery))
	if name != "Marguerite" {
		t.Errorf("the customer's page says %q", name)
	}

	const save = `button[value="save"]`
	do(t, ctx, set("status", "nonsense"))
	submit(t, ctx, save)
	letters := func() bool { return r.server.Status().DeadLetters == 1 && r.server.Status().Quiet }
	r.until("a dead letter", letters)
	expect(t, "page of dead letters", text(t, ctx, r.server.URL()+"/dead-letters"), "UnknownEnum", "status")
	pictures(t, ctx, r, address, customer)
	do(t, ctx, chromedp.Navigate(customer), set("status", "customer"))
	submit(t, ctx, save)
	do(t, ctx, chromedp.Navigate(r.server.URL()+"/dead-letters"))
	submit(t, ctx, `button[aria-label^="Redrive"]`)
	do(t, ctx, chromedp.WaitVisible(`[role="status"]`))
	r.until("the redrive", func() bool { return r.server.Status().DeadLetters == 0 && r.server.Status().Quiet })
	var status string
	do(t, ctx, chromedp.Navigate(hub), chromedp.Value(`[name="hs_lead_status"]`, &status, chromedp.ByQuery))
	if status != "CONNECTED" {
		t.Errorf("after the redrive the contact's page says %q", status)
	}
}

func logIn(r *rig) chromedp.Tasks {
	return chromedp.Tasks{chromedp.Navigate(r.lookout.URL() + "/"), chromedp.SendKeys("#secret", r.lookout.Login()+"\r"), chromedp.WaitVisible(".tiles")}
}

// Beats that stop are told once, and once that they are back.
func TestSilenceIsToldOnce(t *testing.T) {
	ctx := browser(t)
	r := newRig(t)
	r.stamped()
	var before, during, after string
	state := func(to *string) chromedp.Tasks {
		return chromedp.Tasks{chromedp.Navigate(r.lookout.URL() + "/"), chromedp.Text(".fleet tbody td .st", to, chromedp.ByQuery)}
	}
	do(t, ctx, logIn(r))
	r.watch(0)
	do(t, ctx, state(&before))
	r.still()
	r.watch(interval)
	if early := r.slack.all(); len(early) > 0 {
		t.Errorf("told after one interval of silence: %v", early)
	}
	for range 3 {
		r.watch(2*interval + time.Second)
	}
	do(t, ctx, state(&during))
	down := len(r.slack.all())
	r.beat()
	r.until("the beat after the silence", func() bool { r.watch(0); return len(r.slack.all()) > down })
	r.watch(0)
	do(t, ctx, state(&after))
	if before != "Live" || during != "Down" || after != "Live" {
		t.Errorf("the dashboard said %q, %q, %q", before, during, after)
	}
	if all := r.slack.all(); len(all) != 2 || !strings.Contains(all[0], "1 handler down") || !strings.Contains(all[1], "1 handler up again") {
		t.Errorf("Slack was told %d times, want down and up once each: %v", len(all), all)
	}
}

// pictures stores every page, light and dark, wide and narrow, in the folder
// TANDEM_SCREENSHOTS, to be looked at; no page may scroll sideways, and every text must
// be readable on its ground.
func pictures(t *testing.T, ctx context.Context, r *rig, execution, customer string) {
	t.Helper()
	dir := os.Getenv("TANDEM_SCREENSHOTS")
	do(t, ctx, logIn(r))
	r.still() // the last beat tells everything so far
	r.watch(0)
	r.beat()
	c, l := r.server.URL(), r.lookout.URL()
	client := l + "/c/acme"
	id := r.stamped().Record.ID
	pages := map[string]string{
		"home": c + "/", "executions": c + "/executions", "execution": execution, "why": c + "/records/contacts/" + id, "records": c + "/records",
		"contact-new": r.box.HubSpotURL() + "/records/contacts/new", "company": r.box.HubSpotURL() + "/records/companies", "customer": customer, "orders": r.box.DestinationURL() + "/orders",
		"parked": c + "/parked", "dead-letters": c + "/dead-letters", "hubspot": r.box.HubSpotURL() + "/records/contacts", "contact": r.box.HubSpotURL() + "/records/contacts/" + id,
		"destination": r.box.DestinationURL() + "/customers", "centre": l + "/", "centre-client": client,
		"centre-way": client + "/hubspot-to-destination", "centre-record": client + "/r/hubspot/contacts/" + id, "centre-messages": l + "/messages",
	}
	for name, url := range pages {
		for _, width := range []int64{1440, 390} {
			for _, scheme := range []string{"light", "dark"} {
				var wide bool
				do(t, ctx, chromedp.EmulateViewport(width, 900),
					emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
					chromedp.Navigate(url), chromedp.Evaluate(`document.documentElement.scrollWidth > innerWidth`, &wide))
				if wide {
					t.Errorf("%s scrolls sideways at %d px", name, width)
				}
				var faint []string
				do(t, ctx, chromedp.Evaluate(Contrast, &faint))
				if len(faint) > 0 {
					t.Errorf("%s, %s: too little contrast: %v", name, scheme, faint)
				}
				if dir == "" {
					continue
				}
				var png []byte
				do(t, ctx, chromedp.FullScreenshot(&png, 100))
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)), png, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
