package cost

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"tandem/internal/asl"
)

// perRecord is what CloudWatch Logs adds to every event it ingests, in bytes
// ("Amazon CloudWatch pricing").
const perRecord = 26

// logged is a record as Step Functions writes it for an EXPRESS machine ("Logging
// using CloudWatch Logs", AWS Step Functions developer guide). Data is text
// within the JSON, so every quote in it is escaped.
type logged struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Details  any    `json:"details"`
	Redrives string `json:"redrive_count"`
	Previous string `json:"previous_event_id"`
	At       string `json:"event_timestamp"`
	ARN      string `json:"execution_arn"`
}

// details are those of all types of event; each uses some.
type details struct {
	Name          string     `json:"name,omitempty"`
	Input         string     `json:"input,omitempty"`
	InputDetails  *truncated `json:"inputDetails,omitempty"`
	Output        string     `json:"output,omitempty"`
	OutputDetails *truncated `json:"outputDetails,omitempty"`
	Error         string     `json:"error,omitempty"`
	Cause         string     `json:"cause,omitempty"`
	Parameters    string     `json:"parameters,omitempty"`
	Region        string     `json:"region,omitempty"`
	Resource      string     `json:"resource,omitempty"`
	ResourceType  string     `json:"resourceType,omitempty"`
	Timeout       string     `json:"timeoutInSeconds,omitempty"`
	Role          string     `json:"roleArn,omitempty"`
}

type truncated struct {
	Truncated bool `json:"truncated"`
}

// invocation is one attempt of a Task: its effective input, which the
// interpreter does not keep, and what it was of.
type invocation struct {
	resource string
	input    json.RawMessage
}

// names are the parts of ARNs that a deployment would have.
const (
	account = "arn:aws:states:ap-southeast-2:123456789012:"
	lambdas = "arn:aws:lambda:ap-southeast-2:123456789012:function:"
)

// log adds up an execution's records.
type log struct {
	arn           string
	withData      bool
	n             int
	bytes, errors int
}

// add writes a record, and counts it for level ERROR where it tells of a failure.
func (l *log) add(kind string, d details) {
	l.n++
	if !l.withData {
		d.Input, d.InputDetails, d.Output, d.OutputDetails, d.Parameters = "", nil, "", nil, ""
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(logged{ // text always encodes
		ID: strconv.Itoa(l.n), Type: kind, Details: d, Redrives: "0", Previous: strconv.Itoa(l.n - 1), At: "1795424520448", ARN: l.arn,
	})
	size := b.Len() - 1 + perRecord
	l.bytes += size
	if strings.HasSuffix(kind, "Failed") || strings.HasSuffix(kind, "TimedOut") || strings.HasSuffix(kind, "Aborted") {
		l.errors += size
	}
}

func input(name string, raw json.RawMessage) details {
	return details{Name: name, Input: string(raw), InputDetails: &truncated{}}
}

func output(name string, raw json.RawMessage) details {
	return details{Name: name, Output: string(raw), OutputDetails: &truncated{}}
}

// traceOf is what an execution of a client's machine logs at levels ALL, with or
// without data, and ERROR. calls are its Tasks' attempts in order.
func traceOf(machine, name string, in json.RawMessage, res asl.Result, calls []invocation, withData bool) *log {
	// The console finds an execution by client, object and id in its name.
	l := &log{arn: account + "express:" + machine + ":" + name + ":3f0bd6a1-5f2e-4d0c-9d7e-1c5a2b9e8f70", withData: withData}
	start := input("", in)
	start.Role = "arn:aws:iam::123456789012:role/" + machine + "-MachineRole1A2B3C4D-E5F6G7H8I9J0"
	l.add("ExecutionStarted", start)
	for _, step := range res.Steps {
		l.add(step.Type+"StateEntered", input(step.State, step.Input))
		if step.Type == "Task" {
			n := len(step.Attempts)
			l.task(machine, step, calls[:n])
			calls = calls[n:]
		}
		if step.Type != "Fail" && len(step.Output) > 0 || step.Next != "" {
			l.add(step.Type+"StateExited", output(step.State, step.Output))
		}
	}
	if res.Status == asl.Succeeded {
		l.add("ExecutionSucceeded", output("", res.Output))
	} else {
		l.add("Execution"+ending(res.Status), details{Error: res.Error, Cause: res.Cause})
	}
	return l
}

func ending(s asl.Status) string {
	if s == asl.TimedOut {
		return "TimedOut"
	}
	return "Failed"
}

// task writes the records of a Task's attempts: of a function named by its ARN,
// or of a service that is called.
func (l *log) task(machine string, step asl.Step, calls []invocation) {
	for i, c := range calls {
		kind, scheduled, started := "LambdaFunction", input("", c.input), details{}
		scheduled.Timeout = "20"
		if strings.HasPrefix(c.resource, "arn:aws:states:::") {
			kind, started = "Task", details{Resource: "sendMessage", ResourceType: "sqs"}
			scheduled = details{Parameters: string(c.input), Region: "ap-southeast-2", Resource: "sendMessage", ResourceType: "sqs", Timeout: "10"}
		} else {
			scheduled.Resource = lambdas + machine + "-" + strings.ToLower(step.State)
		}
		l.add(kind+"Scheduled", scheduled)
		l.add(kind+"Started", started)
		if a := step.Attempts[i]; a.Error != "" {
			l.add(kind+"Failed", details{Error: a.Error, Cause: a.Cause})
		} else {
			done := output("", step.Result)
			done.Resource, done.ResourceType = started.Resource, started.ResourceType
			l.add(kind+"Succeeded", done)
		}
	}
}
