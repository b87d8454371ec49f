package asl_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"tandem/internal/asl"
	"tandem/statemachines"
)

// BenchmarkRun measures what the machine itself costs for one update: five
// tasks that answer at once, each with a section of the size that a contact of
// about 12 fields gives.
func BenchmarkRun(b *testing.B) {
	m := mustParse(b, string(statemachines.Definition("hubspot-to-destination")))
	fields := make([]string, 12)
	for i := range fields {
		fields[i] = fmt.Sprintf(`"field%d":"some value of the usual length"`, i)
	}
	section := json.RawMessage(`{"id":"101","fields":{` + strings.Join(fields, ",") + `}}`)
	plan := json.RawMessage(`{"act":"write","patch":{"destination":{` + strings.Join(fields[:3], ",") + `}}}`)
	input := json.RawMessage(`{"event":{"client":"acme","id":"101","seal":"0123456789abcdef0123456789abcdef"}}`)
	tasks := work(func(_ context.Context, resource string, _ json.RawMessage) (json.RawMessage, error) {
		switch resource {
		case "${TransformArn}":
			return section, nil
		case "${LookupArn}":
			return plan, nil
		}
		return json.RawMessage(`{"ok":true}`), nil
	})
	b.ReportAllocs()
	for b.Loop() {
		res := m.Run(context.Background(), asl.Execution{Name: "x", Input: input}, asl.Env{Tasks: tasks})
		if res.Status != asl.Succeeded || len(res.Path) != 6 {
			b.Fatalf("%s %v", res.Status, res.Path)
		}
	}
}
