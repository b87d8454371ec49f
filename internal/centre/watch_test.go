package centre

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/internal/beat"
	"tandem/internal/flow"
	"tandem/internal/table"
	"tandem/spec"
)

func TestDownAfterTwiceTheIntervalAndUpOnTheNextBeat(t *testing.T) {
	r := newRig(t)
	r.send(r.beat())
	r.after(119*time.Second, 0)
	r.after(time.Second, 0) // exactly twice the interval: not yet
	r.after(time.Nanosecond, 1)
	if s := r.slack.last(); !strings.Contains(s, "no beat") || !strings.Contains(s, "`webhook` (every 1m0s)") || !strings.Contains(s, "/c/acme|dashboard") {
		t.Errorf("told %q", s)
	}
	r.after(time.Hour, 0)
	r.send(r.beat())
	r.after(0, 1)
	if s := r.slack.last(); !strings.Contains(s, "beating again") {
		t.Errorf("told %q", s)
	}
	r.after(time.Minute, 0)
}

func TestExpectedHandlerThatNeverBeatsIsMissed(t *testing.T) {
	r := newRig(t)
	r.o.Expect = []Expected{{"acme", "selfcheck", "", 5 * time.Minute}, {"acme", "webhook", "", time.Minute}}
	r.after(0, 0)
	r.send(r.beat())
	r.now = r.now.Add(time.Minute)
	r.send(r.beat())
	r.after(9*time.Minute, 1) // the webhook
	r.after(time.Second, 1)   // and the self-check that never was
	if s := r.slack.last(); !strings.Contains(s, "`selfcheck` (every 5m0s)") {
		t.Errorf("told %q", s)
	}
	r.after(time.Hour, 0)
}

func TestHandlerWithoutPromiseIsNeverDown(t *testing.T) {
	r := newRig(t)
	b := r.beat()
	b.Handler, b.Interval = "write", 0
	r.send(b)
	r.after(20*24*time.Hour, 0)
}

func TestFlappingIsSummedUp(t *testing.T) {
	r := newRig(t)
	r.send(r.beat())
	r.after(0, 0)
	for range 30 { // down and up again, 60 changes in 90 minutes
		r.now = r.now.Add(121 * time.Second)
		r.watch()
		r.send(r.beat())
		r.now = r.now.Add(59 * time.Second)
		r.watch()
	}
	windows := int(r.now.Sub(start)/flapWindow) + 1
	if n := len(r.slack.texts()); n < 3 || n > windows+flapNotices {
		t.Fatalf("%d messages for 60 changes in %d windows", n, windows)
	}
	if s := r.slack.last(); !strings.Contains(s, "changed") || !strings.Contains(s, "times, now") {
		t.Errorf("no summary: %q", s)
	}
	sent := len(r.slack.texts())
	for range 40 { // quiet: the rest of the changes is told once
		r.send(r.beat())
		r.now = r.now.Add(time.Minute)
		r.watch()
	}
	if n := len(r.slack.texts()) - sent; n > 1 || !strings.Contains(r.slack.last(), "*up*") {
		t.Errorf("%d messages after it calmed down, the last %q", n, r.slack.last())
	}
}

func TestTwoWatchersTellOnce(t *testing.T) {
	r := newRig(t)
	other, err := New(r.options(func() time.Time { return r.now }))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		r.send(r.beat())
		for _, step := range []time.Duration{0, 121 * time.Second} {
			r.now = r.now.Add(step)
			before := len(r.slack.texts())
			var wg sync.WaitGroup
			for _, c := range []*Centre{r.Centre, other, r.Centre, other} {
				wg.Go(func() {
					if err := c.Watch(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if n := len(r.slack.texts()) - before; n > 1 {
				t.Fatalf("%d messages for one change", n)
			}
		}
		r.now = r.now.Add(time.Hour)
	}
	if n := len(r.slack.texts()); n < 39 {
		t.Errorf("%d messages for 39 changes", n)
	}
}

func TestFailedSlackIsToldLaterAndOnce(t *testing.T) {
	r := newRig(t)
	r.send(r.beat())
	r.after(0, 0)
	r.slack.answers = []int{500, 500, 500}
	r.now = r.now.Add(3 * time.Minute)
	if err := r.Watch(t.Context()); err == nil || strings.Contains(err.Error(), "services") {
		t.Fatalf("want an error without the webhook's address, got %v", err)
	}
	r.after(10*time.Second, 0) // given back for 30 seconds
	r.after(time.Minute, 1)
	r.after(time.Minute, 0)
}

// fickle is a table that does not answer some of its updates.
type fickle struct {
	table.Table
	fail func(table.Update) bool
}

func (f *fickle) Update(ctx context.Context, u ...table.Update) ([]int64, error) {
	if f.fail(u[0]) {
		return nil, errors.New("busy")
	}
	return f.Table.Update(ctx, u...)
}

func TestBusyTableAfterDeliveryTellsNothingTwice(t *testing.T) {
	r := newRig(t)
	r.send(r.beat())
	r.after(0, 0)
	busy := 2
	r.o.Table = &fickle{r.table, func(u table.Update) bool {
		if u.Delete && busy > 0 {
			busy--
			return true
		}
		return false
	}}
	r.after(3*time.Minute, 1)
	r.after(claimLife, 0)
	if busy != 0 {
		t.Error("the table was never busy: the test proves nothing")
	}
}

func TestSlackWaitsAsLongAsItIsTold(t *testing.T) {
	r := newRig(t)
	r.slack.answers = []int{429, 429}
	if err := r.slack.client().Send(t.Context(), Message{Text: "x", Blocks: []Block{header("x")}}); err != nil {
		t.Fatal(err)
	}
	if w := r.slack.waits; len(w) != 2 || w[0] != 7*time.Second || w[1] != 7*time.Second {
		t.Errorf("waited %v, want Retry-After", w)
	}
	r.slack.answers = []int{403}
	if err := r.slack.client().Send(t.Context(), Message{Text: "x", Blocks: []Block{header("x")}}); err == nil || len(r.slack.waits) != 2 {
		t.Errorf("a 403 is permanent; got %v after %v", err, r.slack.waits)
	}
}

func TestThousandEqualErrorsAreOneMessage(t *testing.T) {
	r := newRig(t)
	dead := func(n int) {
		b := r.beat()
		b.Ways = map[spec.Direction]*beat.Way{spec.ToHubSpot: {Outcomes: map[beat.Kind]int{beat.Dead: n},
			Causes: map[beat.Kind]map[beat.Cause]int{beat.Dead: {beat.Cause(flow.UnknownEnum): n}, beat.Parked: {beat.Ambiguous: 1}}}}
		b.Signals = map[beat.Signal]int{beat.SignatureRefused: 2}
		r.send(b)
	}
	for range 100 {
		dead(10)
	}
	r.after(0, 1)
	for _, want := range []string{"1000 records dead-lettered, `UnknownEnum`, destination-to-hubspot", "100 records parked", "their sender did not sign them, 200 times", "|console: destination-to-hubspot>"} {
		if s := r.slack.last(); !strings.Contains(s, want) {
			t.Errorf("no %q in %q", want, s)
		}
	}
	dead(3)
	r.after(time.Minute, 0)
	dead(4)
	r.after(topicGap, 1)
	if s := r.slack.last(); !strings.Contains(s, "7 records dead-lettered") {
		t.Errorf("what came within the gap is not counted: %q", s)
	}
}

func TestWholeAgencyDownIsOneMessageWithinSlacksLimits(t *testing.T) {
	r := newRig(t)
	if err := Demo(t.Context(), r.table, r.now, 200); err != nil {
		t.Fatal(err)
	}
	r.watch()
	before := len(r.slack.texts())
	r.now = r.now.Add(3 * time.Hour)
	for range 4 { // 800 notices are told 500 at a time
		r.watch()
	}
	if n := len(r.slack.texts()) - before; n != 2 {
		t.Errorf("%d messages for 200 silent integrations, want 2", n)
	}
}

func TestMuteKeepsNoticesBackAndTellsWhatIsStillWrong(t *testing.T) {
	r := newRig(t)
	r.send(r.beat())
	r.after(0, 0)
	if err := r.Mute(t.Context(), "acme", r.now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	r.after(3*time.Minute, 0)
	r.send(r.beat())
	r.after(0, 0) // came and went
	r.after(3*time.Minute, 0)
	r.after(time.Hour, 1)
	if s := r.slack.last(); !strings.Contains(s, "no beat") {
		t.Errorf("told %q", s)
	}
}

func TestSelfCheckThatFailsIsToldOnce(t *testing.T) {
	r := newRig(t)
	check := func(ok bool, code flow.Code) {
		b := r.beat()
		b.Handler, b.Checks = "selfcheck", []beat.Check{{Name: "hubspot", OK: ok, Code: code}}
		r.send(b)
	}
	check(true, "")
	r.after(0, 0)
	check(false, flow.Unauthorized)
	r.after(time.Minute, 1)
	if s := r.slack.last(); !strings.Contains(s, "self-check of `hubspot` (Unauthorized) is *down*") {
		t.Errorf("told %q", s)
	}
	check(true, "")
	r.after(time.Minute, 1)
}

const alarmJSON = `{"AlarmName":"acme <!channel> & dlq","AlarmArn":"arn:aws:cloudwatch:ap-southeast-2:111122223333:alarm:acme-dlq",` +
	`"NewStateValue":"%STATE%","NewStateReason":"Threshold Crossed: jane@example.com","StateChangeTime":"%TIME%"}`

func alarmMessage(state, at string) []byte {
	return []byte(strings.NewReplacer("%STATE%", state, "%TIME%", at).Replace(alarmJSON))
}

func TestAlarmIsToldOnceHoweverOftenItIsDelivered(t *testing.T) {
	r := newRig(t)
	for range 3 {
		if err := r.Alarm(t.Context(), alarmMessage("ALARM", "2026-11-24T01:59:00.123+0000")); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.slack.texts()); n != 1 {
		t.Fatalf("%d messages for one change", n)
	}
	s := r.slack.last()
	if !strings.Contains(s, "acme &lt;!channel&gt; &amp; dlq") || strings.Contains(s, "jane") || !strings.Contains(s, "https://ap-southeast-2.console.aws.amazon.com/cloudwatch/") {
		t.Errorf("told %q", s)
	}
	if err := r.Alarm(t.Context(), alarmMessage("OK", "2026-11-24T01:58:00.000+0000")); err != nil {
		t.Fatal(err)
	}
	if n := len(r.slack.texts()); n != 1 {
		t.Error("an older change was told after a newer one")
	}
	if err := r.Alarm(t.Context(), alarmMessage("OK", "2026-11-24T02:10:00.000+0000")); err != nil {
		t.Fatal(err)
	}
	if n := len(r.slack.texts()); n != 2 {
		t.Errorf("%d messages after the recovery, want 2", n)
	}
	for _, bad := range []string{"", "[]", `{"AlarmName":"x"}`, `{"AlarmName":"x","NewStateValue":"OK","StateChangeTime":"yesterday"}`} {
		if err := r.Alarm(t.Context(), []byte(bad)); err == nil {
			t.Errorf("%q was taken for an alarm", bad)
		}
	}
}
