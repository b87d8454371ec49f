package main

import (
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"

	"tandem/internal/cloud/names"
	"tandem/internal/record"
	"tandem/spec"
)

// stateGrants is what the state called name needs in direction d. The table's
// transactions need no permission of their own, only those of their parts.
func (s Site) stateGrants(scope constructs.Construct, name string, d spec.Direction) []Grant {
	source, target := d.Source(), d.Target()
	switch name {
	case "verify":
		return []Grant{s.secrets(scope, "the seal is derived from it", bothOf(names.ClientSecret(s.Spec, source))...)}
	case "transform":
		return s.with(scope, source, "it reads the record as it is now",
			s.onTable("dynamodb:GetItem", "a reference is translated through its own link"),
			s.onTable("dynamodb:BatchGetItem", "several references in one request"),
			s.onTable("dynamodb:UpdateItem", "a read takes from the shared rate limit"))
	case "lookup":
		return s.with(scope, target, "it searches the target by match key",
			s.onTable("dynamodb:GetItem", "the pair's row: base, intent, lease"),
			s.onTable("dynamodb:BatchGetItem", "both ways round and the match key's claim at once"),
			s.onTable("dynamodb:Query", "creates in flight towards this side"),
			s.onTable("dynamodb:UpdateItem", "lease, claim, the outcome of what is dropped"),
			s.onTable("dynamodb:DeleteItem", "a claim that is not needed is given back"))
	case "write":
		return s.with(scope, target, "it writes to the target",
			s.onTable("dynamodb:GetItem", "the lease is still ours"),
			s.onTable("dynamodb:BatchGetItem", "and so is the claim"),
			s.onTable("dynamodb:UpdateItem", "the intent before the write; the rate limit"))
	case "stamp":
		return []Grant{
			s.secrets(scope, "its beats are signed"),
			s.onTable("dynamodb:GetItem", "what it stamps over"),
			s.onTable("dynamodb:BatchGetItem", "both ways round"),
			s.onTable("dynamodb:UpdateItem", "base, hash, time and outcome; the lease is released"),
			s.onTable("dynamodb:DeleteItem", "claims that are done, and rows of a purged record"),
		}
	}
	return nil
}

// webhookGrants is what the receiver of direction d's source needs.
func (s Site) webhookGrants(scope constructs.Construct, d spec.Direction, m awsstepfunctions.StateMachine) []Grant {
	source := d.Source()
	last := append(bothOf(names.ClientSecret(s.Spec, source)), names.WebhookURL(source))
	return []Grant{
		s.secrets(scope, "the sender signs with it, for this address", last...),
		start(m),
		s.onTable("dynamodb:GetItem", "an event whose values are already the base is an echo"),
		s.onTable("dynamodb:BatchGetItem", "a delivery has up to 100 events"),
		s.onTable("dynamodb:UpdateItem", "the outcome of what is dropped at once"),
	}
}

// pollGrants is what the poller of direction d's source needs.
func (s Site) pollGrants(scope constructs.Construct, d spec.Direction, m awsstepfunctions.StateMachine) []Grant {
	grants := s.with(scope, d.Source(), "it lists what changed", start(m),
		s.onTable("dynamodb:GetItem", "its cursor"),
		s.onTable("dynamodb:BatchGetItem", "a listed record that is already the base is an echo"),
		s.onTable("dynamodb:UpdateItem", "its cursor, the rate limit, the outcome of what is dropped"))
	return append(grants, s.secrets(scope, "envelopes are sealed", bothOf(names.ClientSecret(s.Spec, d.Source()))...))
}

// checkGrants is what the scheduled self-check needs.
func (s Site) checkGrants(scope constructs.Construct) []Grant {
	return []Grant{
		s.secrets(scope, "it proves that every secret can be read", names.Secrets(s.Spec)...),
		s.onTable("dynamodb:GetItem", "it proves that the table answers"),
		s.onTable("dynamodb:Query", "open parks and intents are counted into the beat"),
		s.onTable("dynamodb:UpdateItem", "the canary record's round trip; the rate limit"),
	}
}

// reconcileGrants is what the drift check needs.
func (s Site) reconcileGrants(scope constructs.Construct) []Grant {
	return []Grant{
		s.secrets(scope, "it reads both systems and seals what it starts", names.Secrets(s.Spec)...),
		s.onTable("dynamodb:GetItem", "its cursor"),
		s.onTable("dynamodb:BatchGetItem", "the links of a page of records"),
		s.onTable("dynamodb:Query", "links whose records are gone"),
		s.onTable("dynamodb:UpdateItem", "its cursor, the rate limit, drift as outcomes"),
	}
}

// with adds to the grants reading the token of system sys.
func (s Site) with(scope constructs.Construct, sys record.System, why string, grants ...Grant) []Grant {
	return append(grants, s.secrets(scope, why, names.TokenSecret(s.Spec, sys)))
}

// secrets grants the client's parameters, and the one that beats are signed
// with, which every function needs.
func (s Site) secrets(scope constructs.Construct, why string, last ...string) Grant {
	if !slices.Contains(last, names.CentreSecret) {
		last = append(last, names.CentreSecret)
	}
	return readParameters(scope, names.Prefix(s.Spec.Client), why, last...)
}

func (s Site) onTable(action, why string) Grant {
	return Grant{Action: action, On: []*string{s.Table.TableArn()}, Why: why}
}

func start(m awsstepfunctions.StateMachine) Grant {
	return Grant{Action: "states:StartExecution", On: []*string{m.StateMachineArn()}, Why: "one execution per changed record"}
}
