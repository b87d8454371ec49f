// Package names holds what the stacks and the functions must agree on by name:
// environment variables, parameters and metrics. cdk sets them, the functions
// read or emit them; a name that exists once cannot drift. It is not for names
// that only one side knows.
package names

import (
	"tandem/internal/record"
	"tandem/spec"
)

// Environment variables of the functions.
const (
	Client        = "TANDEM_CLIENT"         // the client's name, as in its spec
	Table         = "TANDEM_TABLE"          // the DynamoDB table's name
	Direction     = "TANDEM_DIRECTION"      // a spec.Direction, where the function serves one
	MachineARN    = "TANDEM_MACHINE_ARN"    // that direction's state machine, where the function starts it
	DeadLetters   = "TANDEM_DEAD_LETTERS"   // the dead-letter queue's URL, where the function looks into it
	CentreURL     = "TANDEM_CENTRE_URL"     // where beats are posted; absent when there is no Centre
	SecretsPrefix = "TANDEM_SECRETS_PREFIX" // "/{client}/"
	SpecFile      = "TANDEM_SPEC"           // the spec's file name beside the bootstrap
	SpecHash      = "TANDEM_SPEC_HASH"      // spec.Spec.Hash of that file
	Prices        = "TANDEM_PRICES"         // what an event costs by how it ends: beat.Prices
	Account       = "TANDEM_ACCOUNT"        // the Centre only: its AWS account, for links to the console
	Clients       = "TANDEM_CLIENTS"        // the Centre only: all clients, separated by commas
	DashboardURL  = "TANDEM_DASHBOARD_URL"  // the Centre only: where its page is, for links in messages
)

// SpecName is the file name of the spec inside every asset of a client.
const SpecName = "integration-spec.json"

// Machine is the environment variable of the machine of direction d, for the
// functions that start both.
func Machine(d spec.Direction) string {
	if d == spec.ToHubSpot {
		return "TANDEM_MACHINE_DESTINATION_TO_HUBSPOT"
	}
	return "TANDEM_MACHINE_HUBSPOT_TO_DESTINATION"
}

// Prefix is the path below which a client's parameters are kept.
func Prefix(client string) string { return "/" + client + "/" }

// CentreName is the prefix of everything the Notification Centre owns, and
// CentrePrefix the path of its parameters.
const (
	CentreName   = "tandem-centre"
	CentrePrefix = "/centre/"
	// CentreURLParameter is the parameter in which the Centre's stack leaves the
	// address that beats are posted to.
	CentreURLParameter = CentrePrefix + "url"
	// AlarmTopic is the SNS topic that every client's alarms notify.
	AlarmTopic = CentreName + "-alarms"
)

// ClientTable is the name of a client's table.
func ClientTable(client string) string { return client }

// Last names of the parameters that are not named by the spec.
const (
	Previous     = "-previous"     // appended: the value before a rotation, valid until removed
	CentreSecret = "beat-secret"   // below a client's prefix: what its beats are signed with
	Slack        = "slack-webhook" // below CentrePrefix: where messages go
	Login        = "login"         // below CentrePrefix: what a person types
)

// WebhookURL is the last name of the parameter that holds the address system s
// signs its deliveries for. A custom domain in front needs no new deployment,
// only another value.
func WebhookURL(s record.System) string { return string(s) + "-webhook-url" }

// TokenSecret is the last name of the parameter with which requests to system s
// are authorised.
func TokenSecret(c *spec.Spec, s record.System) string {
	auth := c.HubSpot.Auth
	if s == record.Destination {
		auth = c.Destination.Auth
	}
	if auth.Secret != "" {
		return auth.Secret
	}
	return string(s) + "-token"
}

// ClientSecret is the last name of the parameter with which system s signs its
// deliveries, and from which the seal of its envelopes is derived.
func ClientSecret(c *spec.Spec, s record.System) string {
	if w := c.Destination.Webhook; s == record.Destination && w != nil && w.Secret != "" {
		return w.Secret
	}
	return string(s) + "-client-secret"
}

// Secrets lists the parameters a person creates for client c, without doubles.
func Secrets(c *spec.Spec) []string {
	var all []string
	seen := map[string]bool{}
	for _, s := range []record.System{record.HubSpot, record.Destination} {
		for _, n := range []string{TokenSecret(c, s), ClientSecret(c, s)} {
			if !seen[n] {
				seen[n] = true
				all = append(all, n)
			}
		}
	}
	return append(all, CentreSecret)
}

// Metrics are emitted as one line of CloudWatch's embedded metric format on
// standard output, in this namespace, with the dimensions Client and, where one
// is served, Direction and Pair. A record id is never a dimension: each distinct
// value would be a metric of its own.
const (
	Namespace    = "Tandem"
	DimClient    = "Client"
	DimDirection = "Direction"
	DimPair      = "Pair"

	MetricRefused  = "Refused"       // deliveries answered 401, by direction
	MetricBadSeal  = "BadSeal"       // envelopes that nobody of ours sealed, by direction
	MetricPolled   = "Polled"        // polls that went through, by direction and pair
	MetricCompared = "Compared"      // comparisons that went through, by direction and pair
	MetricCensus   = "CensusFailed"  // lists of everything that came to nothing, by direction
	MetricDrift    = "Drift"         // lost events that a comparison has made good, by direction
	MetricBeat     = "Beat"          // self-checks that passed, by client
	MetricLater    = "Later"         // deferred events that were started again, by direction
	MetricParked   = "Parked"        // fields or records waiting for a person, by direction
	MetricBudget   = "HubSpotBudget" // percent of the daily API limit used, by client
	// hours that the oldest dead letter has been in its queue, by client. SQS's own
	// metric leaves out what has been received three times, as the self-check does.
	MetricOldest = "OldestDeadLetter"
)

// Parameters are the last names of what the function called name reads below its
// client's prefix; d is "" for one that serves both directions. cdk grants these
// and the function asks for these, in one request, which is refused as a whole
// if one of them is not granted.
func Parameters(c *spec.Spec, name string, d spec.Direction) []string {
	switch {
	case name == "later":
		return []string{CentreSecret} // it reads no record and checks no seal
	case d == "":
		return Secrets(c)
	}
	source := d.Source()
	seal := ClientSecret(c, source)
	last := []string{CentreSecret}
	switch name {
	case "webhook":
		last = append(last, seal, seal+Previous, WebhookURL(source))
	case "poll", "reconcile":
		last = append(last, seal, seal+Previous, TokenSecret(c, source))
	case "verify":
		last = append(last, seal, seal+Previous)
	case "transform":
		last = append(last, TokenSecret(c, source))
	case "lookup", "write":
		// Each may touch both sides: Lookup reads them again under the lease, Write
		// also writes back what the source has lost.
		last = append(last, TokenSecret(c, source), TokenSecret(c, source.Other()))
	}
	return last
}

// CentreParameters are the full names of what the Centre's function called name
// reads.
func CentreParameters(name string, clients []string) []string {
	switch name {
	case "beat":
		var all []string
		for _, c := range clients {
			all = append(all, Prefix(c)+CentreSecret)
		}
		return all
	case "dashboard":
		return []string{CentrePrefix + Login}
	}
	return []string{CentrePrefix + Slack}
}
