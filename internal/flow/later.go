package flow

import (
	"encoding/json"
	"strconv"

	"tandem/spec"
)

// Later is how often an event has been postponed, and for how many seconds the
// last time: what the machines add to the input of the execution that goes on.
type Later struct {
	Times int `json:"times"`
	Delay int `json:"delay"`
}

// Postponed is the message that a machine's state Later sends. The failure it
// tells of would outlast any wait that fits into an execution (five minutes),
// such as a spent budget or another worker's claim; the event has no outcome yet.
type Postponed struct {
	Execution string         `json:"execution"`
	Machine   spec.Direction `json:"machine"`
	Event     Envelope       `json:"event"`
	Later     Later          `json:"later"`
	Error     Cause          `json:"error"`
}

// Cause is a failure as a machine's Catch reports it.
type Cause struct {
	Error string `json:"Error"`
	Cause string `json:"Cause"`
}

// Next is the name and the input of the execution that goes on with a postponed
// event. The name begins like the event's own, so that a search finds both.
func (p Postponed) Next() (name string, input json.RawMessage, err error) {
	input, err = json.Marshal(State{Event: p.Event, Later: &p.Later})
	return Renamed(p.Event.Name, "-later"+strconv.Itoa(p.Later.Times)), input, err
}

// Renamed is an execution's name with a suffix, within Step Functions' limit.
func Renamed(name, suffix string) string {
	return name[:min(len(name), maxName-len(suffix))] + suffix
}
