package cloud

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda/messages"

	"tandem/internal/flow"
	"tandem/internal/record"
	"tandem/spec"
)

// verifier is a Verify process that has read the client secret "old" by now, and
// the store that it asks.
func verifier(t *testing.T, now func() time.Time, metrics io.Writer) (*Host, *parameters) {
	t.Helper()
	p := &parameters{values: map[string]string{"/acme/hubspot-client-secret": "old"}}
	h := &Host{Name: "verify", Direction: spec.ToDestination, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(metrics, "acme", now),
		Spec:    &spec.Spec{Client: "acme", Pairs: []spec.Pair{{Name: "contacts"}}},
		Secrets: NewSecrets(p, "/acme/", now, "hubspot-client-secret", "hubspot-client-secret-previous")}
	h.Flow = &flow.Flow{Options: flow.Options{Spec: h.Spec, Seals: &flow.Sealer{Secrets: h.clientSecrets}}}
	if _, err := h.clientSecrets(record.HubSpot); err != nil {
		t.Fatal(err)
	}
	return h, p
}

// sealed is an event as a webhook seals it that has read secret.
func sealed(t *testing.T, secret string) flow.State {
	t.Helper()
	seals := &flow.Sealer{Secrets: func(record.System) ([]string, error) { return []string{secret}, nil }}
	e, err := seals.Seal(flow.Envelope{Client: "acme", Direction: spec.ToDestination, Pair: "contacts", ID: "7", Kind: flow.Changed, Name: "acme-contacts-7"})
	if err != nil {
		t.Fatal(err)
	}
	return flow.State{Event: e}
}

// A rotated secret makes no forgery of what a webhook seals with it, at whatever
// time this process has read the former one; forged envelopes make one request a
// second and no more.
func TestVerifyAfterARotation(t *testing.T) {
	for name, since := range map[string]time.Duration{"just read": 0, "read a while ago": time.Minute} {
		t.Run(name, func(t *testing.T) {
			now, metrics := time.Unix(1, 0), new(bytes.Buffer)
			h, p := verifier(t, func() time.Time { return now }, metrics)
			verify := h.Step("Verify")
			now = now.Add(since)
			p.values = map[string]string{"/acme/hubspot-client-secret": "new", "/acme/hubspot-client-secret-previous": "old"}
			for _, secret := range []string{"old", "new", "old", "new"} {
				if _, err := verify(t.Context(), sealed(t, secret)); err != nil {
					t.Errorf("sealed with the %s secret: %v", secret, err)
				}
			}
			if len(p.asked) != 2 || strings.Contains(metrics.String(), "BadSeal") {
				t.Errorf("%d requests, metrics %s", len(p.asked), metrics)
			}
			for range 50 {
				now = now.Add(sealRest / 10)
				if _, err := verify(t.Context(), sealed(t, "forged")); err == nil {
					t.Fatal("a forged envelope passes")
				}
			}
			if asked := len(p.asked) - 2; asked != 5 || strings.Count(metrics.String(), `"BadSeal":1`) != 50 {
				t.Errorf("50 forged envelopes in 5 seconds made %d requests, metrics %s", asked, metrics)
			}
		})
	}
}

// While the store does not answer nobody can tell a forgery from a rotation: the
// event is tried again, and nobody is alarmed.
func TestVerifyWithoutTheStore(t *testing.T) {
	metrics := new(bytes.Buffer)
	h, p := verifier(t, time.Now, metrics)
	p.err = errors.New("down")
	var got messages.InvokeResponse_Error
	if _, err := h.Step("Verify")(t.Context(), sealed(t, "new")); !errors.As(err, &got) || got.Type != string(flow.StoreBusy) || metrics.Len() > 0 {
		t.Errorf("%v, metrics %s", err, metrics)
	}
}

// silent is a parameter store that does not answer.
type silent struct{}

func (silent) GetParameters(ctx context.Context, _ []string) (map[string]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// Secrets that cannot be read keep no sender waiting for longer than it waits, and
// no step for longer than it has.
func TestSecretsThatAreNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, now := time.Now(), time.Now
		h, _ := verifier(t, now, io.Discard)
		h.Secrets = NewSecrets(silent{}, "/acme/", now, "hubspot-client-secret", "hubspot-client-secret-previous", "hubspot-webhook-url")
		r := events.LambdaFunctionURLRequest{RawPath: "/hubspot"}
		r.RequestContext.DomainName = "x.example"
		if answer, err := h.Webhook(t.Context(), r); answer.StatusCode != http.StatusServiceUnavailable || time.Since(began) > answerWithin {
			t.Errorf("the webhook answers %d after %s, %v", answer.StatusCode, time.Since(began), err)
		}
		began = time.Now()
		if _, err := h.Step("Verify")(t.Context(), sealed(t, "old")); err == nil || time.Since(began) > fetchWithin {
			t.Errorf("Verify answers after %s, %v", time.Since(began), err)
		}
	})
}
