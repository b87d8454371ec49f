// Package drill turns what is remembered of single records into what the Centre's
// pages show of them. `tandem run` and the Centre on AWS share it: what they know
// comes from other places, and looks the same.
package drill

import (
	"fmt"
	"strings"

	"tandem/internal/beat"
	"tandem/internal/centre"
	"tandem/internal/ledger"
	"tandem/internal/local/why"
	"tandem/internal/record"
	"tandem/spec"
)

// Trace is the address of an execution's page, "" where it has none.
type Trace func(d spec.Direction, execution string) string

// Outcome is a recorded outcome of a record as a page shows it.
func Outcome(o ledger.Outcome, ref record.Ref, trace Trace) centre.Outcome {
	d := spec.Direction(o.Direction)
	return centre.Outcome{At: o.At, Direction: d, Kind: beat.Kind(o.Kind), Cause: o.Reason, Ref: ref, Execution: o.Execution,
		Trace: trace(d, o.Execution), Fields: o.Fields, Spec: o.Spec}
}

// Letter is a dead letter as a page shows it.
func Letter(d spec.Direction, l ledger.Letter, trace Trace) centre.Outcome {
	return centre.Outcome{At: l.At, Direction: d, Kind: beat.Dead, Cause: l.Code, Detail: l.Detail, Ref: l.Ref,
		Execution: l.Message, Trace: trace(d, l.Message)}
}

// Record is a report on one record of a pair as its page shows it.
func Record(r *why.Report, pair spec.Pair, trace Trace) centre.RecordView {
	v := centre.RecordView{Ref: r.Record, Pair: r.Pair, State: r.State, Stamped: r.Stamped, Next: next(r)}
	other := r.Record.System.Other()
	if id := r.IDs[other]; id != "" {
		v.Partner = record.Ref{System: other, Object: pair.Side(other).Object, ID: id}
	}
	if r.Intent != nil {
		v.Intent = fmt.Sprintf("Execution %s has begun to %s.", r.Intent.Execution, r.Intent)
	}
	for _, f := range r.Fields {
		v.Fields = append(v.Fields, field(f, trace))
	}
	for _, o := range r.Outcomes {
		v.Outcomes = append(v.Outcomes, Outcome(o, r.Record, trace))
	}
	return v
}

// next is what would be decided, whichever side told of a change.
func next(r *why.Report) string {
	if r.Next.Act == "" {
		return ""
	}
	text := fmt.Sprintf("An event from %s would %s.", sides[r.Record.System], r.Next)
	if r.PartnerNext != nil {
		text += fmt.Sprintf(" One from %s would %s.", sides[r.Record.System.Other()], r.PartnerNext)
	}
	return text
}

var sides = map[record.System]string{record.HubSpot: "HubSpot", record.Destination: "the destination"}

// field shows a value of either side; of the base only the fingerprint is kept,
// so where a side has not moved its text stands for it.
func field(f why.Field, trace Trace) centre.FieldView {
	v := centre.FieldView{Name: f.Name, HubSpot: f.HubSpot.Text, Destination: f.Destination.Text, Sensitive: f.Sensitive, Frozen: f.Parked,
		HubSpotDiffers: f.HubSpot.Changed, DestinationDiffers: f.Destination.Changed}
	switch {
	case f.HubSpot.Known && !f.HubSpot.Changed:
		v.Base = f.HubSpot.Text
	case f.Destination.Known && !f.Destination.Changed:
		v.Base = f.Destination.Text
	case f.HubSpot.Base != "":
		v.Base = "fingerprint " + f.HubSpot.Base
	}
	if f.Last != nil {
		v.Execution, v.Event, v.Spec = f.Last.Execution, strings.Join(f.Last.Events, " "), f.Last.Spec
		v.Trace = trace(spec.Direction(f.Last.Direction), f.Last.Execution)
	}
	return v
}
