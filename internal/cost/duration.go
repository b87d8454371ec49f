package cost

import "time"

// Assumptions are what cannot be counted here: times, and how events arrive.
type Assumptions struct {
	// Remote is how long HubSpot or the destination take to answer, Table how long
	// DynamoDB takes, Start a StartExecution, Transition what Step Functions adds to
	// every Task.
	Remote, Table, Start, Transition time.Duration
	// PerDelivery is how many records one delivery tells of, Fields how many fields of
	// a record are edited at a time.
	PerDelivery, Fields int
	// Records are the events a month; they decide how far batches of the shared
	// rate limit reach.
	Records int
}

// Usual are the defaults: 350 ms of waiting for the remote systems and 600 ms in
// all for an update, which is the reference of the budget.
var Usual = Assumptions{Remote: 175 * time.Millisecond, Table: 5 * time.Millisecond, Start: 15 * time.Millisecond, Transition: 35 * time.Millisecond, PerDelivery: 10, Fields: 1, Records: 1_000_000}

// Processor time at a whole processor, measured: an invocation of a function that
// does nothing takes 0.25 ms, a request to an AWS API 0.35 ms, and one to another
// system, with TLS and JSON, is taken to be the same.
const (
	workOfCall    = 250 * time.Microsecond
	workOfRequest = 350 * time.Microsecond
)

// wholeProcessor is the memory in MB at which a function has one processor
// (AWS Lambda developer guide, "Configure Lambda function memory").
const wholeProcessor = 1769

// memory in MB of a state's function, as the stack sets it.
var memory = map[string]float64{"webhook": 512, "verify": 128, "transform": 128, "lookup": 128, "write": 128, "stamp": 128, "later": 256}

// billed is how long an invocation runs: its own work at its share of a
// processor, and the waiting. Lambda bills by the millisecond.
func (a Assumptions) billed(function string, remote, table int) time.Duration {
	work := workOfCall + time.Duration(remote+table)*workOfRequest
	run := time.Duration(float64(work)*wholeProcessor/memory[function]) + time.Duration(remote)*a.Remote + time.Duration(table)*a.Table
	return (run + time.Millisecond - 1).Truncate(time.Millisecond)
}

// gbSeconds is what Lambda bills for an invocation.
func gbSeconds(function string, d time.Duration) float64 {
	return memory[function] / 1024 * d.Seconds()
}

// expressSeconds is what Step Functions bills for an execution: 50 MB and the
// data come to less than 64 MB, in steps of 100 ms.
func expressSeconds(d time.Duration) float64 {
	return 64.0 / 1024 * (d + 100*time.Millisecond - 1).Truncate(100*time.Millisecond).Seconds()
}

// lanes is how many records of a delivery the door deals with at once.
const lanes = 16

// atTheDoor is how long the webhook function takes for a delivery of which every
// record makes so many requests to the table and starts so many executions, and
// which writes down at its end what has arrived.
func (a Assumptions) atTheDoor(table, starts int) time.Duration {
	work := workOfCall + time.Duration(a.PerDelivery*(table+starts)+1)*workOfRequest
	rounds := (a.PerDelivery + lanes - 1) / lanes
	wait := time.Duration(rounds)*(time.Duration(table)*a.Table+time.Duration(starts)*a.Start) + a.Table
	run := time.Duration(float64(work)*wholeProcessor/memory["webhook"]) + wait
	return (run + time.Millisecond - 1).Truncate(time.Millisecond)
}
