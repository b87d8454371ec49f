package centre

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"tandem/internal/table"
)

// alarm is the part of a CloudWatch alarm's SNS message that is used. The
// reason is left out: it is free text, and the console has it.
type alarm struct {
	AlarmName       string
	AlarmArn        string
	NewStateValue   string
	StateChangeTime string
}

const alarmCalm = "OK"

var alarmStates = []string{alarmCalm, "ALARM", "INSUFFICIENT_DATA"}

// Alarm takes a CloudWatch alarm's state change as SNS delivers it (the Message
// member) and tells Slack, once however often SNS repeats it. A message that
// cannot be read is a permanent error; everything else may be repeated.
func (c *Centre) Alarm(ctx context.Context, snsMessage []byte) error {
	a, at, err := parseAlarm(snsMessage)
	if err != nil {
		return err
	}
	key := table.Key{PK: pkWatch, SK: "alarm#" + a.AlarmName}
	for range tries {
		items, err := c.o.Table.Get(ctx, key)
		if err != nil {
			return err
		}
		stored, err := c.alarmChange(ctx, items[0], a, at)
		if err != nil {
			return err
		}
		if stored {
			return c.deliver(ctx)
		}
	}
	return errors.New("alarm row is too busy")
}

// alarmChange stores the change and reports whether it is in the row now.
func (c *Centre) alarmChange(ctx context.Context, it table.Item, a alarm, at time.Time) (bool, error) {
	var m watched
	if err := decode(it, &m); err != nil {
		return false, err
	}
	if m.Handler.Seen == a.NewStateValue || at.Before(m.Handler.Since) {
		return true, nil // repeated, or overtaken by a later one
	}
	now := c.o.Now()
	err := c.remember(ctx, "alarm#"+a.AlarmName, it, now, func(m *watched) []Notice {
		m.Handler.observe(a.NewStateValue, alarmCalm, at)
		return m.Handler.alarmNotices(a.AlarmName, alarmLink(a.AlarmArn), now)
	})
	if err != nil {
		return false, err
	}
	items, err := c.o.Table.Get(ctx, it.Key)
	if err != nil {
		return false, err
	}
	m = watched{}
	err = decode(items[0], &m)
	return !m.Handler.Since.Before(at), err
}

func (m *memory) alarmNotices(name, link string, now time.Time) []Notice {
	ch, due := m.tell(now, false)
	if !due {
		return nil
	}
	return []Notice{{Kind: "alarm", Handler: name, State: ch.State, Since: ch.Since, Count: ch.Changes, Link: link}}
}

// held tells changes of an alarm that were kept back while it flapped.
func (c *Centre) held(ctx context.Context, it table.Item, now time.Time) error {
	return c.remember(ctx, it.SK, it, now, func(m *watched) []Notice {
		return m.Handler.alarmNotices(strings.TrimPrefix(it.SK, "alarm#"), "", now)
	})
}

func parseAlarm(message []byte) (alarm, time.Time, error) {
	var a alarm
	if err := json.Unmarshal(message, &a); err != nil {
		return a, time.Time{}, errors.New("alarm: the SNS message is not a CloudWatch alarm in JSON")
	}
	if a.AlarmName == "" || len(a.AlarmName) > 255 {
		return a, time.Time{}, errors.New("alarm: AlarmName must have 1 to 255 bytes")
	}
	if !slices.Contains(alarmStates, a.NewStateValue) {
		return a, time.Time{}, fmt.Errorf("alarm: NewStateValue must be one of %v", alarmStates)
	}
	// CloudWatch writes 2026-11-24T01:02:03.456+0000, which is not RFC 3339.
	at, err := time.Parse("2006-01-02T15:04:05.999-0700", a.StateChangeTime)
	if err != nil {
		return a, time.Time{}, errors.New("alarm: StateChangeTime is not an instant")
	}
	return a, at.UTC(), nil
}

// alarmLink is the alarm's page in the console, from its ARN
// (arn:aws:cloudwatch:region:account:alarm:name).
func alarmLink(arn string) string {
	p := strings.SplitN(arn, ":", 7)
	if len(p) != 7 || p[2] != "cloudwatch" {
		return ""
	}
	region := url.QueryEscape(p[3])
	return "https://" + region + ".console.aws.amazon.com/cloudwatch/home?region=" + region + "#alarmsV2:alarm/" + url.PathEscape(p[6])
}
