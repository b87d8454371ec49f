package local

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"tandem/internal/destination"
	"tandem/internal/flow"
	"tandem/internal/hubspot"
	"tandem/internal/limit"
	"tandem/internal/local/why"
	"tandem/internal/record"
	"tandem/spec"
)

// compared lists the objects that deliver webhooks and can be asked what changed
// all the same: some minutes after the start, for what was missed while nobody
// listened, and from time to time, since deliveries are lost. The very first time
// begins now; a backfill tells of what was there before.
func (s *Server) compared(c *spec.Spec, remotes map[record.System]flow.Remote) (out []*poller) {
	now := time.Now()
	first := map[record.System]string{record.HubSpot: hubspot.ChangedSince(now), record.Destination: destination.ChangedSince(now)}
	for _, d := range []spec.Direction{spec.ToDestination, spec.ToHubSpot} {
		sys := d.Source()
		from, ok := remotes[sys].(flow.Changes)
		if !ok {
			continue
		}
		for _, pair := range flow.Reconciled(c, d) {
			side := pair.Side(sys)
			out = append(out, &poller{
				server: s, system: sys, object: side.Object, every: flow.ReconcileEvery(side), from: from,
				mark: flow.MarkReconcile, first: first[sys],
			})
		}
	}
	return out
}

// Backfill tells of one page of a pair's records on one side, whether they
// changed or not. more is false after the last page; else next is the cursor of
// the page to come. Doing it again is harmless: what is in step is not written.
func (s *Server) Backfill(ctx context.Context, pair spec.Pair, sys record.System, cursor string) (next string, more bool, a flow.Answer, err error) {
	from, ok := s.ingress.Flow.Remotes[sys].(flow.Changes)
	if !ok || !flow.Lists(s.ingress.Flow.Spec, pair, sys) {
		return "", false, a, fmt.Errorf("the spec has no list call for %s %s; its records are synced when they change", sys, pair.Side(sys).Object)
	}
	in := *s.ingress
	in.Mark = flow.MarkBackfill
	s.polling.Add(1)
	defer s.polling.Add(-1)
	return in.Page(limit.Backfill(ctx), sys, pair.Side(sys).Object, from, cursor)
}

func (s *Server) backfillSteps(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, map[string]any{"steps": flow.BackfillSteps(s.ingress.Flow.Spec)})
}

func (s *Server) backfill(w http.ResponseWriter, r *http.Request) {
	pair, ok := s.ingress.Flow.Spec.PairByName(r.PathValue("pair"))
	sys := record.System(r.PathValue("system"))
	if !ok || sys != record.HubSpot && sys != record.Destination {
		refuse(w, http.StatusNotFound, "the spec has no such pair, or the system is neither hubspot nor destination", r.URL.Path, "POST /api/backfill/{pair}/{system}")
		return
	}
	next, more, a, err := s.Backfill(r.Context(), pair, sys, r.FormValue("cursor"))
	switch {
	case err == nil:
		write(w, http.StatusOK, map[string]any{"started": a.Started, "dropped": a.Dropped, "cursor": next, "more": more})
	case flow.CodeOf(err) == flow.BadEnvelope:
		refuse(w, http.StatusBadRequest, "cursor is not one of this address", r.URL.Path, "use a cursor that it answered, or leave it out to begin")
	default:
		refuse(w, http.StatusBadGateway, err.Error(), r.URL.Path, "see whether the system answers, then send the same request again")
	}
}

func (s *Server) reconcileNow(w http.ResponseWriter, r *http.Request) {
	started, err := s.Reconcile(r.Context())
	answerSweep(w, r, started, err)
}

func (s *Server) resync(w http.ResponseWriter, r *http.Request) {
	if !s.answersFor(w, r) {
		return
	}
	_, ref, err := why.Find(s.ingress.Flow.Spec, r.PathValue("object"), r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusNotFound, err.Error(), r.URL.Path, "use one of them")
		return
	}
	s.polling.Add(1)
	defer s.polling.Add(-1)
	freed, err := s.ingress.Resync(r.Context(), ref)
	switch code := flow.CodeOf(err); {
	case err == nil:
		write(w, http.StatusOK, map[string][]string{"freed": append([]string{}, freed...)})
	case code == flow.RecordMissing:
		refuse(w, http.StatusNotFound, err.Error(), r.URL.Path, "tandem why tells what is known of it")
	default:
		refuse(w, http.StatusBadGateway, err.Error(), r.URL.Path, "send the same request again in a moment")
	}
}
