// Package cost says what a synced record costs at AWS: it plays records through
// the real flow, the shipped state machines and the real table protocol, counts
// what AWS would bill, and multiplies by list prices.
//
// # What is counted and what is assumed
//
// Counted: invocations, the table's read and write units from the sizes of the
// rows, the bytes of every record that Step Functions writes to CloudWatch at
// level ALL, the bytes of the functions' own log lines, messages, requests to the
// two systems. Assumed, and set by Assumptions: how long a remote system, the
// table and the platform take. Nothing is timed, so equal input gives equal cents.
//
// Not in it: free tiers, taxes, storage of the table, what a stack costs while
// nothing happens (alarms, metrics, secrets), and what the two systems charge.
package cost

import (
	"math"
	"time"
)

// List prices in US$ for ap-southeast-2, without free tiers, November 2026. Lambda
// is at the default rate there; the price of a write or read unit, of logs, SQS,
// X-Ray and egress is from public tables and was not read again: check them
// against the calculator before a quotation.
const (
	perRequest        = 0.20 / 1e6   // Lambda, one invocation
	perGBSecond       = 0.0000133334 // Lambda, arm64
	perExecution      = 1.00 / 1e6   // Step Functions EXPRESS
	perExpressSecond  = 0.00001667   // Step Functions EXPRESS, a GB-second, first tier
	perWriteUnit      = 0.7115 / 1e6 // DynamoDB on demand
	perReadUnit       = 0.1423 / 1e6 // DynamoDB on demand
	perLogGB          = 0.67         // CloudWatch Logs, standard class, ingested
	perLogGBMonth     = 0.033        // CloudWatch Logs, kept for a month
	perMessageRequest = 0.40 / 1e6   // SQS
	perEgressGB       = 0.114        // to the internet, after the first 100 GB
	perXRayTrace      = 5.00 / 1e6   // recorded
	gb                = float64(1 << 30)
	month             = 730 * time.Hour // as AWS counts one
)

// Usage is what something consumed, per event unless said otherwise.
type Usage struct {
	Invocations    float64 `json:"invocations"`
	GBSeconds      float64 `json:"gbSeconds"`
	Executions     float64 `json:"executions"`
	ExpressSeconds float64 `json:"expressGBSeconds"`
	WriteUnits     float64 `json:"writeUnits"`
	ReadUnits      float64 `json:"readUnits"`
	// LimitUnits are write units of the rows that hold the shared rate limits.
	LimitUnits float64 `json:"limitWriteUnits"`
	// TraceBytes and ErrorBytes are what the machine logs at level ALL with data
	// and at level ERROR; LogBytes are the functions' own lines.
	TraceBytes  float64 `json:"traceBytes"`
	ErrorBytes  float64 `json:"errorBytes"`
	LogBytes    float64 `json:"logBytes"`
	Messages    float64 `json:"messages"`
	EgressBytes float64 `json:"egressBytes"`
	Traces      float64 `json:"xrayTraces"`
}

// plus adds n times v.
func (u Usage) plus(v Usage, n float64) Usage {
	return Usage{
		u.Invocations + n*v.Invocations, u.GBSeconds + n*v.GBSeconds, u.Executions + n*v.Executions,
		u.ExpressSeconds + n*v.ExpressSeconds, u.WriteUnits + n*v.WriteUnits, u.ReadUnits + n*v.ReadUnits,
		u.LimitUnits + n*v.LimitUnits, u.TraceBytes + n*v.TraceBytes, u.ErrorBytes + n*v.ErrorBytes,
		u.LogBytes + n*v.LogBytes, u.Messages + n*v.Messages, u.EgressBytes + n*v.EgressBytes, u.Traces + n*v.Traces,
	}
}

// Line is one line of a bill. USD is for a million events, in whole cents.
type Line struct {
	Item string  `json:"item"`
	USD  float64 `json:"usdPerMillion"`
}

// Bill is what a million events cost, line by line, in the order of a table.
type Bill []Line

// Total adds the lines up.
func (b Bill) Total() float64 {
	sum := 0.0
	for _, l := range b {
		sum += l.USD
	}
	return cents(sum)
}

func cents(usd float64) float64 { return math.Round(usd*100) / 100 }

// Levels of the machines' log, as the spec's trace.level names them.
const (
	All   = "ALL"
	Error = "ERROR"
)

// BillFor prices a usage at a log level, with logs kept for so many days.
func BillFor(u Usage, level string, days int) Bill {
	traced := u.TraceBytes
	if level == Error {
		traced = u.ErrorBytes
	}
	kept := float64(days) / 30 * perLogGBMonth
	var b Bill
	for _, l := range []struct {
		item string
		each float64
	}{
		{"Lambda requests", u.Invocations * perRequest},
		{"Lambda GB-seconds", u.GBSeconds * perGBSecond},
		{"Express executions", u.Executions * perExecution},
		{"Express GB-seconds", u.ExpressSeconds * perExpressSecond},
		{"DynamoDB writes", u.WriteUnits * perWriteUnit},
		{"DynamoDB reads", u.ReadUnits * perReadUnit},
		{"DynamoDB rate limits", u.LimitUnits * perWriteUnit},
		{"Trace, level " + level, traced / gb * (perLogGB + kept)},
		{"Lambda log lines", u.LogBytes / gb * (perLogGB + kept)},
		{"X-Ray", u.Traces * perXRayTrace},
		{"SQS and egress", u.Messages*perMessageRequest + u.EgressBytes/gb*perEgressGB},
	} {
		b = append(b, Line{l.item, cents(l.each * 1e6)})
	}
	return b
}
