package local_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/internal/hubspot"
	"tandem/internal/ledger"
	"tandem/internal/local"
	"tandem/internal/local/engine"
	"tandem/internal/record"
	"tandem/spec"
)

// hubStub answers every read of a contact at once, each time with another first name.
func hubStub() http.Handler {
	var n atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		at := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":%q,"properties":{"email":"p%s@example.com","firstname":"F%d","lastname":"L","phone":"+61 2 9000 0001",`+
			`"zip":"2000","hs_lead_status":"OPEN","newsletter":"true","birthday":"1990-01-01","erp_id":null,"lastmodifieddate":%q},`+
			`"createdAt":%q,"updatedAt":%q,"archived":false}`, id, id, n.Add(1), at, at, at)
	})
}

// destStub keeps customers in memory and answers writes at once with what it keeps.
func destStub() http.Handler {
	var mu sync.Mutex
	rows := map[string]map[string]any{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/customers" && r.Method == http.MethodGet {
			w.Write([]byte(`{"items":[]}`)) // a search finds nothing
			return
		}
		var fields map[string]any
		if r.Body != nil {
			_ = json.NewDecoder(r.Body).Decode(&fields)
		}
		id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		if r.Method == http.MethodPost {
			id = fmt.Sprint("c_", fields["hubspot_id"])
		}
		mu.Lock()
		row := rows[id]
		if row == nil {
			row = map[string]any{"id": id, "version": 0}
			rows[id] = row
		}
		for name, v := range fields {
			row[name] = v
		}
		if r.Method != http.MethodGet {
			row["version"] = row["version"].(int) + 1
		}
		row["updated_at"] = time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
		body, _ := json.Marshal(row)
		version := row["version"].(int)
		mu.Unlock()
		w.Header().Set("ETag", strconv.Quote(strconv.Itoa(version)))
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	})
}

// load drives a real server with deliveries of one event each and waits for each outcome.
type load struct {
	server *local.Server
	ended  sync.Map // record id: chan engine.Outcome
	kinds  [2]atomic.Int64
	bad    atomic.Value // why the last one is not
	client *http.Client
}

func newLoad(b *testing.B, inFlight int) *load {
	s, err := spec.Load("../../spec/acme/integration-spec.json")
	if err != nil {
		b.Fatal(err)
	}
	s.HubSpot.RateLimit, s.Destination.RateLimit = spec.RateLimit{}, spec.RateLimit{}
	s.Pairs = s.Pairs[:1]
	hub, dest := httptest.NewServer(hubStub()), httptest.NewServer(destStub())
	l := &load{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	l.server, err = local.Open(local.Options{
		Spec: s, Secrets: secrets, HubSpotURL: hub.URL, DestinationURL: dest.URL, Data: b.TempDir(), Concurrency: inFlight,
		Ended: func(o engine.Outcome) {
			if o.Kind == ledger.Stamped {
				l.kinds[0].Add(1)
			} else {
				l.kinds[1].Add(1)
				l.bad.Store(o.Code + " " + o.Reason)
			}
			if c, ok := l.ended.Load(o.ID); ok {
				c.(chan engine.Outcome) <- o
			}
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- l.server.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-done; hub.Close(); dest.Close() })
	return l
}

// one delivers one event and waits until it has ended.
func (l *load) one(id string, wait chan engine.Outcome) error {
	l.ended.Store(id, wait)
	now := time.Now()
	body := fmt.Appendf(nil, `[{"eventId":%d,"portalId":48975575,"occurredAt":%d,"subscriptionType":"contact.propertyChange","attemptNumber":0,"objectId":%s,"propertyName":"firstname","propertyValue":"x"}]`, now.UnixNano()%1e9, now.UnixMilli(), id)
	url, stamp := l.server.WebhookURL(record.HubSpot), strconv.FormatInt(now.UnixMilli(), 10)
	req, err := http.NewRequest("POST", url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set(hubspot.TimestampHeader, stamp)
	req.Header.Set(hubspot.SignatureHeader, hubspot.Sign("hub-secret", "POST", url, body, stamp))
	resp, err := l.client.Do(req)
	if err != nil {
		return err
	}
	var a flow.Answer
	err = json.NewDecoder(resp.Body).Decode(&a)
	resp.Body.Close()
	if err != nil || a.Started != 1 {
		return fmt.Errorf("the delivery got %s: %+v %v", resp.Status, a, err)
	}
	<-wait
	return nil
}

// BenchmarkUpdates measures a record's whole way through the server: a signed
// delivery over HTTP, five states, mapping, lease, stamp and trace, one read and
// one write over HTTP to systems that answer at once. It reports records/s, the
// median and 99th percentile from delivery to outcome, and the peak resident
// memory of the whole process, stubs and load included.
func BenchmarkUpdates(b *testing.B) {
	for _, inFlight := range []int{1, 32} {
		b.Run(fmt.Sprintf("inFlight=%d", inFlight), func(b *testing.B) {
			l := newLoad(b, inFlight)
			const records = 2000
			took := make([]time.Duration, b.N)
			var next atomic.Int64
			worker := func(i int, n int64, warm bool) {
				wait := make(chan engine.Outcome, 4)
				for k := int64(0); ; k++ {
					turn := next.Add(1) - 1
					if turn >= n {
						return
					}
					// Each worker has records of its own, so that no lease is waited for.
					id := strconv.FormatInt(1_000_000+int64(i)*records+k%(records/int64(inFlight)), 10)
					began := time.Now()
					if err := l.one(id, wait); err != nil {
						b.Error(err)
						return
					}
					if !warm {
						took[turn] = time.Since(began)
					}
				}
			}
			all := func(n int64, warm bool) {
				next.Store(0)
				var workers sync.WaitGroup
				for i := range inFlight {
					workers.Go(func() { worker(i, n, warm) })
				}
				workers.Wait()
			}
			all(int64(inFlight*4), true)
			b.ResetTimer()
			all(int64(b.N), false)
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(took[b.N/2].Microseconds()), "p50-us")
			b.ReportMetric(float64(took[b.N*99/100].Microseconds()), "p99-us")
			b.ReportMetric(peakMiB(b), "peak-MiB")
			if bad := l.kinds[1].Load(); bad > 0 {
				b.Errorf("%d outcomes are not stamped, the last: %v", bad, l.bad.Load())
			}
		})
	}
}

var peak = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peakMiB is the process's largest resident set so far, 0 where the kernel does not tell.
func peakMiB(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	found := peak.FindSubmatch(status)
	if found == nil {
		return 0
	}
	kb, err := strconv.Atoi(string(found[1]))
	if err != nil {
		b.Fatal(err)
	}
	return float64(kb) / 1024
}
