package record

import "testing"

func TestCanonicalTimes(t *testing.T) {
	for _, c := range []struct {
		t          Type
		text, want string
	}{
		{Date, "2026-03-05", "2026-03-05"},
		{Date, "2026-03-05T00:00:00Z", "2026-03-05"},
		{Date, "2026-03-05T00:00:00+11:00", "2026-03-05"}, // midnight in Sydney is the day before in UTC
		{Date, "2026-03-05T23:30:00-08:00", "2026-03-05"},
		{Date, "2026-03-05T00:00:00.000+1100", "2026-03-05"},
		{Date, "1772668800000", "2026-03-05"},
		{DateTime, "2026-03-05T00:00:00+11:00", "2026-03-04T13:00:00.000Z"},
		{DateTime, "2026-03-05T10:20:30.000+0000", "2026-03-05T10:20:30.000Z"},
		{DateTime, "1772668800000", "2026-03-05T00:00:00.000Z"},
	} {
		if got, err := Canonical(c.t, c.text); err != nil || got != c.want {
			t.Errorf("%s of %q: %q, %v; want %q", c.t, c.text, got, err, c.want)
		}
	}
}
