package cloud

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"tandem/internal/cloud/names"
	"tandem/spec"
)

// Metrics writes metrics as lines in CloudWatch's embedded metric format
// (Amazon CloudWatch user guide, "Specification: Embedded metric format"): no
// request, no SDK. Its dimensions are fixed, so that no id becomes one.
type Metrics struct {
	client string
	now    func() time.Time
	mu     sync.Mutex
	out    io.Writer
}

// NewMetrics writes a client's metrics to out, which in Lambda is standard output.
func NewMetrics(out io.Writer, client string, now func() time.Time) *Metrics {
	return &Metrics{client: client, now: now, out: out}
}

// Count adds n to a metric of direction d, or with "" of the whole client.
func (m *Metrics) Count(name string, d spec.Direction, n int) { m.CountOf(name, d, "", n) }

// CountOf is Count of one pair of the spec, or with "" of all.
func (m *Metrics) CountOf(name string, d spec.Direction, pair string, n int) {
	dimensions := []string{names.DimClient}
	line := map[string]any{names.DimClient: m.client, name: n}
	if d != "" {
		dimensions = append(dimensions, names.DimDirection)
		line[names.DimDirection] = d
	}
	if pair != "" {
		dimensions = append(dimensions, names.DimPair)
		line[names.DimPair] = pair
	}
	line["_aws"] = map[string]any{
		"Timestamp": m.now().UnixMilli(),
		"CloudWatchMetrics": []any{map[string]any{
			"Namespace": names.Namespace, "Dimensions": [][]string{dimensions}, "Metrics": []any{map[string]string{"Name": name, "Unit": "Count"}},
		}},
	}
	b, _ := json.Marshal(line) // text and numbers always marshal
	m.mu.Lock()
	defer m.mu.Unlock()
	m.out.Write(append(b, '\n'))
}
