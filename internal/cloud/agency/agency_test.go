package agency

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"tandem/internal/centre"
	"tandem/internal/cloud"
	"tandem/internal/cloud/names"
	"tandem/internal/table/embedded"
)

// The parameters that the stack grants, that a person creates and that the
// Centre asks for have the same names.
func TestSecretNames(t *testing.T) {
	clients := []string{"acme", "other"}
	for function, want := range map[string][]string{
		"beat":      {fmt.Sprintf(centre.BeatSecret, "acme"), fmt.Sprintf(centre.BeatSecret, "other")},
		"dashboard": {centre.LoginSecret},
		"watch":     {centre.SlackSecret},
		"alarm":     {centre.SlackSecret},
	} {
		if got := names.CentreParameters(function, clients); !slices.Equal(got, want) {
			t.Errorf("%s is granted %v and asks for %v", function, got, want)
		}
	}
}

// A client that never beats is expected to.
func TestExpected(t *testing.T) {
	got := expected([]string{"acme", "other"})
	want := []centre.Expected{
		{Client: "acme", Handler: "selfcheck", Interval: cloud.CheckEvery},
		{Client: "other", Handler: "selfcheck", Interval: cloud.CheckEvery},
	}
	if !slices.Equal(got, want) {
		t.Errorf("expected %+v", got)
	}
}

// slack collects messages.
type slack struct{ messages []centre.Message }

func (s *slack) Send(_ context.Context, m centre.Message) error {
	s.messages = append(s.messages, m)
	return nil
}

// Each record of an SNS event is an alarm; one that cannot be read is an error.
func TestAlarms(t *testing.T) {
	table, err := embedded.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	told := &slack{}
	c, err := centre.New(centre.Options{Table: table, Slack: told, Secrets: func(context.Context, string) (string, error) { return "", errors.New("none") }})
	if err != nil {
		t.Fatal(err)
	}
	handle := Alarms(c)
	record := func(message string) events.SNSEvent {
		return events.SNSEvent{Records: []events.SNSEventRecord{{SNS: events.SNSEntity{Message: message}}}}
	}
	if err := handle(t.Context(), record(`{"AlarmName":"a","NewStateValue":"ALARM","StateChangeTime":"2026-11-24T01:02:03.456+0000"}`)); err != nil {
		t.Fatal(err)
	}
	if len(told.messages) != 1 {
		t.Errorf("Slack got %d messages, want 1", len(told.messages))
	}
	if err := handle(t.Context(), record("not an alarm")); err == nil {
		t.Error("a message that is no alarm is taken for one")
	}
}

func TestConsole(t *testing.T) {
	want := "https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1#/statemachines/view/arn:aws:states:eu-west-1:123456789012:stateMachine:acme-hubspot-to-destination"
	if got := console("eu-west-1", "123456789012")("acme", "hubspot-to-destination"); got != want {
		t.Errorf("links to %s", got)
	}
}
