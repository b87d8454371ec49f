package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"tandem/internal/beat"
	"tandem/internal/canary"
	"tandem/internal/cloud/names"
	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/internal/table"
)

// CheckEvery is how often the self-check is scheduled, and so how often its beat
// is promised.
const CheckEvery = 5 * time.Minute

// probeWithin bounds one question of a self-check.
const probeWithin = 20 * time.Second

// SelfCheck is the Lambda handler of the scheduled beat: on a quiet night it
// proves that secrets, table and both systems answer, and with a canary in the
// spec that data flows. It ends in an error when one of them fails.
func (h *Host) SelfCheck(ctx context.Context) ([]beat.Check, error) {
	checks := beat.SelfCheck(ctx, probeWithin,
		beat.Probe{Name: "secrets", Ask: h.probeSecrets},
		beat.Probe{Name: "table", Ask: h.probeTable},
		beat.Probe{Name: "hubspot", Ask: h.probeHubSpot},
		beat.Probe{Name: "destination", Ask: func(ctx context.Context) error { return h.probe(ctx, h.destination, record.Destination) }},
	)
	checks = append(checks, h.sing(ctx)...)
	h.beats().Checked(checks)
	if used, limit := h.budget.Reading(); limit > 0 {
		h.beats().Budget(used, limit)
		h.Metrics.Count(names.MetricBudget, "", 100*used/limit)
	}
	h.ownTable(ctx)
	h.tell(ctx)
	if failed := beat.Failed(checks); failed != "" {
		return checks, errors.New("the self-check failed: " + failed)
	}
	h.Metrics.Count(names.MetricBeat, "", 1)
	return checks, nil
}

// ownTable keeps what the Centre's pages show of this client: which spec is in
// force, and the dead letters.
func (h *Host) ownTable(ctx context.Context) {
	text, err := json.Marshal(h.Spec)
	if err == nil {
		err = h.Flow.Ledger.Describe(ctx, h.Spec.Hash, string(text))
	}
	if err != nil {
		h.Log.Warn("the Centre's pages will not know the present spec", "error", err)
	}
	if h.deadLetters == "" {
		return
	}
	if err := h.letters(ctx); err != nil {
		h.Log.Warn("the dead letters were not looked at to the end", "error", err)
	}
}

// tell sends the beat, and the counts since one that was not answered as well: of
// new letters always, since one may have been sent in the background meanwhile.
func (h *Host) tell(ctx context.Context) {
	if h.reporting.missing() {
		return // the letters wait for one that can be told of them
	}
	for range 2 {
		if err := h.beats().Flush(ctx); err != nil {
			h.Log.Warn("the beat was not delivered", "error", err)
			h.behind = true
			return
		}
		if !h.behind && len(h.untold) == 0 {
			break
		}
		h.behind = false
	}
	if err := h.heard(ctx); err != nil {
		h.Log.Warn("dead letters may be counted twice", "error", err)
	}
}

// sing tells the Centre which deployment writes to which portal, and lets the
// canary fly.
func (h *Host) sing(ctx context.Context) []beat.Check {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	deployment, err := h.Flow.Ledger.Deployment(ctx)
	if err != nil {
		h.Log.Warn("the table does not tell which deployment this is", "error", err)
		return nil
	}
	h.beats().Writes(h.Spec.HubSpot.PortalID, deployment)
	bird := canary.Canary{Flow: h.Flow, Deployment: deployment}
	report := bird.Beat(ctx)
	if report.SecondWriter {
		h.beats().Signal(beat.SecondWriter)
	}
	return report.Checks
}

func (h *Host) probeSecrets(ctx context.Context) error {
	for _, name := range names.Secrets(h.Spec) {
		if _, err := h.Secrets.Get(ctx, name); err != nil {
			return flow.Errorf(flow.StoreBusy, "%v", err)
		}
	}
	return nil
}

func (h *Host) probeTable(ctx context.Context) error {
	_, err := h.Table.Get(ctx, table.Key{PK: "PROBE", SK: "PROBE"})
	if err != nil {
		return flow.Errorf(flow.StoreBusy, "%v", err)
	}
	return nil
}

// probeHubSpot asks which portal the token belongs to, too: one of another
// client's would write that client's records.
func (h *Host) probeHubSpot(ctx context.Context) error {
	portal, err := h.hubspot.PortalID(ctx)
	if err != nil {
		return err
	}
	if portal != h.Spec.HubSpot.PortalID {
		return flow.Errorf(flow.RemoteRefused, "the token is of portal %s, the spec of %s", portal, h.Spec.HubSpot.PortalID)
	}
	return h.probe(ctx, h.hubspot, record.HubSpot)
}

// probe reads a record that no system has: "there is none" proves that it
// answers and takes the credentials, and changes nothing.
func (h *Host) probe(ctx context.Context, r flow.Remote, sys record.System) error {
	_, err := r.Read(ctx, h.Spec.Pairs[0].Side(sys).Object, "0", nil)
	if flow.CodeOf(err) == flow.RecordMissing {
		return nil
	}
	return err
}
