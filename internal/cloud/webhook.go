package cloud

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"tandem/internal/beat"
	"tandem/internal/cloud/names"
	"tandem/internal/destination"
	"tandem/internal/flow"
	"tandem/internal/hubspot"
	"tandem/internal/record"
)

// answerWithin leaves a second of the five in which HubSpot wants its answer.
const answerWithin = 4 * time.Second

// Webhook is the Lambda handler of the Function URL that this direction's source
// delivers to.
func (h *Host) Webhook(ctx context.Context, r events.LambdaFunctionURLRequest) (events.LambdaFunctionURLResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	address, ok := h.address(ctx, r)
	if !ok {
		return reply(flow.Answer{Status: http.StatusNotFound, Problem: "there is no webhook at this path"}), nil
	}
	raw, err := body(r)
	if err != nil {
		return reply(flow.Answer{Status: http.StatusBadRequest, Problem: "the body is not the base64 it is said to be"}), nil
	}
	d := flow.Delivery{Method: r.RequestContext.HTTP.Method, URL: address, Header: r.Headers, Body: raw, At: time.Now()}
	answer := h.deliver(ctx, d)
	if answer.Status == http.StatusUnauthorized && h.Secrets.Refresh(ctx) {
		answer = h.deliver(ctx, d) // the secret may have been rotated a minute ago
	}
	h.counted(answer)
	return reply(answer), nil
}

// address is the URL that the sender was given and signs for, with this
// request's query; false when the request came by another path.
func (h *Host) address(ctx context.Context, r events.LambdaFunctionURLRequest) (string, bool) {
	configured, err := h.Secrets.Get(ctx, names.WebhookURL(h.Direction.Source()))
	if err != nil {
		// Without the parameter the platform's own name of this function has to do:
		// it is not the Host header, which anyone may write.
		configured = "https://" + r.RequestContext.DomainName + "/" + string(h.Direction.Source())
	}
	if r.RawQueryString != "" {
		configured += "?" + r.RawQueryString
	}
	u, err := url.Parse(configured)
	return configured, err == nil && u.EscapedPath() == r.RawPath
}

// deliver hands a delivery on, under the secrets that are valid now.
func (h *Host) deliver(ctx context.Context, d flow.Delivery) flow.Answer {
	source := h.Direction.Source()
	receiver, err := h.receiver(ctx, source)
	if err != nil {
		h.Log.Error("deliveries cannot be checked", "system", source, "error", err)
		return flow.Answer{Status: http.StatusServiceUnavailable, Problem: "deliveries cannot be checked now: deliver again"}
	}
	in := &flow.Ingress{Flow: h.Flow, Receivers: map[record.System]flow.Receiver{source: receiver}, Starter: h.starter, Arrived: h.arrived}
	return in.Deliver(ctx, source, d)
}

func (h *Host) receiver(ctx context.Context, source record.System) (flow.Receiver, error) {
	secrets, err := h.Secrets.Valid(ctx, names.ClientSecret(h.Spec, source))
	if err != nil {
		return nil, err
	}
	if source == record.Destination {
		return destination.NewReceiver(h.Spec, secrets...)
	}
	return hubspot.NewReceiver(func() []string { return secrets }, h.Spec.HubSpot.PortalID, hubspot.PropertyTypes(h.Spec), time.Now)
}

// counted tells the Centre and CloudWatch of a delivery.
func (h *Host) counted(a flow.Answer) {
	if a.Status == http.StatusUnauthorized {
		h.beats().Signal(beat.SignatureRefused)
		h.Metrics.Count(names.MetricRefused, h.Direction, 1)
	}
	for range a.Started + a.Dropped {
		h.beats().Event(h.Direction)
	}
	for range a.Dropped {
		h.beats().Outcome(h.Direction, beat.Dropped, beat.Unchanged, 0)
	}
}

func reply(a flow.Answer) events.LambdaFunctionURLResponse {
	b, _ := json.Marshal(a) // numbers and text always marshal
	return events.LambdaFunctionURLResponse{
		StatusCode: a.Status, Body: string(b), Headers: map[string]string{"Content-Type": "application/json"},
	}
}
