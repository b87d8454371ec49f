package local

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tandem/internal/record"
)

// TestPollTellsOnce: a system that is down all day says so once, not at every poll.
func TestPollTellsOnce(t *testing.T) {
	var out bytes.Buffer
	p := &poller{server: &Server{log: slog.New(slog.NewTextHandler(&out, nil))}, system: record.Destination, object: "orders", every: time.Second}
	down, busy := errors.New("down"), errors.New("busy")
	told := ""
	for _, err := range []error{nil, down, down, busy, busy, nil, nil, down} {
		told = p.tell(told, err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		_, after, _ := strings.Cut(line, "msg=")
		got = append(got, strings.TrimSpace(after))
	}
	const about, failed = " system=destination object=orders", `"poll failed; it is repeated at its interval"`
	want := []string{failed + about + " every=1s error=down", failed + about + " every=1s error=busy", `"poll works again"` + about, failed + about + " every=1s error=down"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
