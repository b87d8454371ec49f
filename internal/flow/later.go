package flow

import (
	"encoding/json"
	"errors"
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
// event, in every place where machines run. The event's seal is checked again.
func (p Postponed) Next() (name string, input json.RawMessage, err error) {
	if p.Later.Times < 1 {
		return "", nil, errors.New("the message does not tell how often its event has been postponed: the state Later has not sent it")
	}
	return again(p.Event, &p.Later, "later", strconv.Itoa(p.Later.Times))
}

// Redriven is the name and the input of the execution that a person starts for
// the event of a dead letter. Eight characters of the letter's id tell redrives
// of one event apart.
func Redriven(e Envelope, letter string) (name string, input json.RawMessage, err error) {
	return again(e, nil, "redrive", letter[:min(len(letter), 8)])
}

// again names another execution of an event after the first: what people search
// for stays in front, why it was started and which of them it is end it.
func again(e Envelope, l *Later, why, which string) (name string, input json.RawMessage, err error) {
	if e.Name == "" {
		return "", nil, errors.New("the message's event names no execution: no machine has sent it")
	}
	input, err = json.Marshal(State{Event: e, Later: l})
	suffix := "-" + why + "-" + which
	return e.Name[:min(len(e.Name), maxName-len(suffix))] + suffix, input, err
}
