package flow_test

import (
	"strings"
	"testing"

	"tandem/internal/asl"
	"tandem/internal/flow"
	"tandem/internal/record"
)

// company puts a value into the name of HubSpot's company 7 and tells of it.
func (b *bench) company(name string) (end string) {
	b.hub.put("companies/7", record.Fields{"domain": "example.com", "name": name})
	return b.event(record.HubSpot, "companies", "7", flow.Changed)
}

// tooLarge: the last execution was refused by the flow, not by the machine.
func (b *bench) tooLarge() bool {
	return b.last.Error == string(flow.TooLarge) && strings.Contains(b.last.Cause, "field name:") && len(b.deadLetters) == 1
}

// largest is how often a text may be repeated in a new company's name before its record
// is refused.
func largest(t *testing.T, text string) int {
	fits, refused := 0, asl.MaxData
	for refused-fits > 1 {
		b, n := newBench(t), (fits+refused)/2
		switch end := b.company(strings.Repeat(text, n)); {
		case end == "Stamp":
			fits = n
		case b.tooLarge():
			refused = n
		default:
			t.Fatalf("%d: %s: %s", n, b.last.Error, b.last.Cause)
		}
	}
	return fits
}

// TestCarried: what is too much for the machine is refused before it, by the name of its
// field, and nothing that is small. Whatever is not refused goes through every state, also
// where another round finds the plan of the first beside the record.
func TestCarried(t *testing.T) {
	for name, text := range map[string]string{"letters": "x", "emoji": "😀", "quotes": `"`, "marks": "<"} { // 1 to 6 bytes of JSON a byte
		t.Run(name, func(t *testing.T) {
			n := largest(t, text)
			b, refused := newBench(t), 0
			b.want(b.company("Example"), "Stamp")
			b.dest.fail = func(op string) error {
				if strings.HasPrefix(op, "update") && refused < 2 {
					refused++
					return flow.Errorf(flow.PreconditionFailed, "%s", strings.Repeat("it has moved on ", 20))
				}
				return nil
			}
			b.want(b.company(strings.Repeat(text, n)), "Stamp")
			if got := b.dest.rows["accounts/c_1"].Fields["name"]; got != strings.Repeat(text, n) || refused != 2 {
				t.Fatalf("%d bytes have arrived in round %d", len(got), refused)
			}
			most := 0
			for _, step := range b.last.Steps {
				most = max(most, len(step.Input), len(step.Output))
			}
			if t.Logf("%d times %q: a state carries up to %d of %d bytes", n, text, most, asl.MaxData); most < asl.MaxData*3/4 {
				t.Error("values were refused that the machine could have carried")
			}
		})
	}
}

// TestTooLargeForTheWayBack: the value is the other side's, which only Lookup reads. The
// pair is free again at once.
func TestTooLargeForTheWayBack(t *testing.T) {
	b := newBench(t)
	b.want(b.company("Example"), "Stamp")
	b.dest.put("accounts/c_1", record.Fields{"name": strings.Repeat("😀", 1<<16)})
	b.hub.put("companies/7", record.Fields{"industry": "RETAIL"})
	if b.want(b.event(record.HubSpot, "companies", "7", flow.Changed), "Failed"); !b.tooLarge() {
		t.Fatalf("%s: %s", b.last.Error, b.last.Cause)
	}
	b.dest.put("accounts/c_1", record.Fields{"name": "Ex"})
	began := b.now
	b.want(b.event(record.Destination, "companies", "c_1", flow.Changed), "Stamp")
	if got := b.hub.rows["companies/7"].Fields["name"]; got != "Ex" || b.now.Sub(began).Seconds() > 10 {
		t.Fatalf("the name is %q after %s", got, b.now.Sub(began))
	}
}

// crowded is a receiver to which a delivery holds too much.
type crowded struct{ flow.Receiver }

func (crowded) Verify(flow.Delivery) error { return nil }

func (crowded) Parse(flow.Delivery) ([]flow.Notification, error) {
	return nil, flow.Errorf(flow.TooLarge, "1001 events")
}

// TestTooManyEvents: what is dropped whole is not answered with 200, after which nobody
// would send it again.
func TestTooManyEvents(t *testing.T) {
	b := newBench(t)
	in := &flow.Ingress{Flow: b.flow, Receivers: map[record.System]flow.Receiver{record.Destination: crowded{}}}
	if a := in.Deliver(t.Context(), record.Destination, flow.Delivery{}); a.Status != 413 || a.Problem == "" {
		t.Errorf("answered %+v", a)
	}
}
