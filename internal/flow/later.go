package flow

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"tandem/spec"
)

// Later is how often an event has been postponed, for how many seconds the last
// time, and how many it had waited before that: what the machines add to the input
// of the execution that goes on. All three are always written: the machines count
// with each.
type Later struct {
	Times  int `json:"times"`
	Delay  int `json:"delay"`
	Waited int `json:"waited"`
}

// Postponed is the message that a machine's state Later sends. The failure it
// tells of may outlast any wait that fits into an execution (five minutes), such
// as a system that is down, a spent budget or another worker's claim; the event
// has no outcome yet.
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
	// Postponed is there in the dead letter of an event that was postponed until
	// nothing more was expected of it.
	Postponed *Patience `json:"postponed,omitempty"`
}

// Patience is how often an event was postponed, and for how many seconds in all.
type Patience struct {
	Times   int `json:"times"`
	Seconds int `json:"seconds"`
}

// Text is the failure for people: the message without its code, out of the JSON
// that Lambda puts around it, and for how long it was tried.
func (c Cause) Text() string {
	var lambda struct {
		Message string `json:"errorMessage"`
	}
	text := c.Cause
	if json.Unmarshal([]byte(text), &lambda) == nil {
		text = cmp.Or(lambda.Message, text)
	}
	text = strings.TrimPrefix(text, c.Error+": ")
	if p := c.Postponed; p != nil {
		text = fmt.Sprintf("tried %d times in %s: %s", p.Times+1, span(p.Seconds), text)
	}
	return text
}

// span is a time as people say it: "90 s", "45 min", "25 h".
func span(seconds int) string {
	switch {
	case seconds < 120:
		return strconv.Itoa(seconds) + " s"
	case seconds < 2*3600:
		return strconv.Itoa(seconds/60) + " min"
	}
	return strconv.Itoa(seconds/3600) + " h"
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
