package record

import "testing"

func TestReshaped(t *testing.T) {
	long := "12 Long Street, Somewhere Far Away"
	for _, c := range []struct {
		t            Type
		stored, sent string
		want         bool
	}{
		{String, "Ada", "  Ada ", true},
		{String, "ADA LOVELACE", "Ada Lovelace", true},
		{"", "ada@example.com", "Ada@Example.com", true},
		{String, "+61 400 123 456", "+61(400)123-456", true},
		{String, "Ada  Lovelace", "Ada Lovelace", true},
		{String, long[:25], long, true},
		{String, "Ad", "Ada", false},
		{String, "Ada", "Ad", false},
		{String, "Augusta", "Ada", false},
		{String, "15", "1.5", false},
		{String, "", "Ada", false},
		{String, "Ada", "", false},
		{String, "-", "/", false},
		{Enum, "LEAD", "lead", true},
		{Enum, "open", "lead", false},
		{Set, "a;b", "A;B", true},
		{Set, "a", "a;b", false},
		{Number, "12.35", "12.345", true},
		{Number, "12.34", "12.345", true},
		{Number, "-12.3", "-12.39", true},
		{Number, "12.4", "12.398", true}, // 12.40, its last zero gone
		{Number, "12.4", "12.349", false},
		{Number, "13", "12", false},
		{Number, "101", "100.004", false},
		{Number, "12.345", "12.35", false},
		{Number, "0", "", true},
		{Number, "", "0", true},
		{Number, "1", "", false},
		{Bool, "false", "", true},
		{Bool, "true", "", false},
		{Bool, "false", "true", false},
		{Reference, "77", "7", false},
		{Date, "2026-03-05", "2026-03-06", false},
		{DateTime, "2026-03-05T10:20:30.000Z", "2026-03-05T10:20:30.123Z", true},
		{DateTime, "2026-03-05T10:20:00.000Z", "2026-03-05T10:20:30.123Z", true},
		{DateTime, "2026-03-05T00:00:00.000Z", "2026-03-05T10:20:30.123Z", true},
		{DateTime, "2026-03-05T10:20:31.500Z", "2026-03-05T10:20:30.123Z", false},
		{DateTime, "2026-03-04T00:00:00.000Z", "2026-03-05T10:20:30.123Z", false},
	} {
		if got := Reshaped(c.t, c.stored, c.sent); got != c.want {
			t.Errorf("%s %q stored where %q was sent: %v, want %v", c.t, c.stored, c.sent, got, c.want)
		}
	}
}
