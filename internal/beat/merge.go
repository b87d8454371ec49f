package beat

import "tandem/spec"

// merge adds the counts of two beats; gauges and checks are the newer one's.
func merge(old, new Beat) Beat {
	addAll(&old.Errors, new.Errors)
	addAll(&old.Signals, new.Signals)
	old.CostMicros += new.CostMicros
	if new.API != nil {
		old.API = new.API
	}
	if new.Writer != nil {
		old.Writer = new.Writer
	}
	if new.Waiting != nil {
		old.Waiting = new.Waiting
	}
	if new.Checks != nil {
		old.Checks = new.Checks
	}
	for d, w := range new.Ways {
		if old.Ways == nil {
			old.Ways = map[spec.Direction]*Way{}
		}
		if old.Ways[d] == nil {
			old.Ways[d] = &Way{}
		}
		old.Ways[d].Merge(*w)
	}
	return old
}

// Merge adds what another Way counted.
func (w *Way) Merge(o Way) {
	w.Events += o.Events
	if o.LastEvent.After(w.LastEvent) {
		w.LastEvent = o.LastEvent
	}
	addAll(&w.Outcomes, o.Outcomes)
	for k, causes := range o.Causes {
		if w.Causes == nil {
			w.Causes = map[Kind]map[Cause]int{}
		}
		m := w.Causes[k]
		addAll(&m, causes)
		w.Causes[k] = m
	}
	w.Latency.Merge(o.Latency)
}

func addAll[K comparable](to *map[K]int, from map[K]int) {
	for k, n := range from {
		add(to, k, n)
	}
}

func add[K comparable](m *map[K]int, k K, n int) {
	if *m == nil {
		*m = map[K]int{}
	}
	(*m)[k] += n
}
