package beat

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"tandem/internal/flow"
	"tandem/spec"
)

func valid() Beat {
	return Beat{Client: "acme", Handler: "webhook", Interval: 60, Instance: strings.Repeat("a", 32),
		Seq: 1, Nonce: strings.Repeat("b", 32), SentAt: time.Unix(1, 0)}
}

func TestValidateRefusesWhatIsOutsideTheClosedSets(t *testing.T) {
	ok := valid()
	if err := ok.Validate(); err != nil {
		t.Fatalf("a plain beat is refused: %v", err)
	}
	const personal = "jane@example.com"
	for name, spoil := range map[string]func(*Beat){
		"client":         func(b *Beat) { b.Client = personal },
		"client markup":  func(b *Beat) { b.Client = "<b>x</b>" },
		"handler":        func(b *Beat) { b.Handler = personal },
		"direction":      func(b *Beat) { b.Direction = personal },
		"interval":       func(b *Beat) { b.Interval = -1 },
		"instance":       func(b *Beat) { b.Instance = personal },
		"nonce":          func(b *Beat) { b.Nonce = "" },
		"seq":            func(b *Beat) { b.Seq = 0 },
		"cost":           func(b *Beat) { b.CostMicros = -1 },
		"api":            func(b *Beat) { b.API = &API{Used: -1} },
		"waiting":        func(b *Beat) { n := -1; b.Waiting = &n },
		"portal":         func(b *Beat) { b.Writer = &Writer{Portal: personal, Deployment: b.Instance} },
		"deployment":     func(b *Beat) { b.Writer = &Writer{Portal: "48", Deployment: personal} },
		"way":            func(b *Beat) { b.Ways = map[spec.Direction]*Way{personal: {}} },
		"nil way":        func(b *Beat) { b.Ways = map[spec.Direction]*Way{spec.ToHubSpot: nil} },
		"outcome":        func(b *Beat) { b.Ways = way(Way{Outcomes: map[Kind]int{personal: 1}}) },
		"negative count": func(b *Beat) { b.Ways = way(Way{Outcomes: map[Kind]int{Dead: -1}}) },
		"cause":          func(b *Beat) { b.Ways = way(Way{Causes: map[Kind]map[Cause]int{Dead: {personal: 1}}}) },
		"latency":        func(b *Beat) { b.Ways = way(Way{Latency: Sketch{-1}}) },
		"error":          func(b *Beat) { b.Errors = map[flow.Code]int{personal: 1} },
		"signal":         func(b *Beat) { b.Signals = map[Signal]int{personal: 1} },
		"check":          func(b *Beat) { b.Checks = []Check{{Name: personal}} },
		"check code":     func(b *Beat) { b.Checks = []Check{{Name: "table", Code: personal}} },
	} {
		b := valid()
		spoil(&b)
		err := b.Validate()
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), personal) {
			t.Errorf("%s: the error repeats the value: %v", name, err)
		}
	}
}

func way(w Way) map[spec.Direction]*Way { return map[spec.Direction]*Way{spec.ToHubSpot: &w} }

func TestFoldKeepsCountsOfUnknownWords(t *testing.T) {
	b := valid()
	b.Ways = way(Way{Causes: map[Kind]map[Cause]int{Dropped: {Echo: 2, "from-the-future": 3, "another": 4}}})
	b.Errors = map[flow.Code]int{flow.RemoteBusy: 1, "NewCode": 5}
	b.Fold()
	got := b.Ways[spec.ToHubSpot].Causes[Dropped]
	if got[Echo] != 2 || got[Other] != 7 || b.Errors[flow.Code(Other)] != 5 || b.Errors[flow.RemoteBusy] != 1 {
		t.Errorf("folded to %v and %v", got, b.Errors)
	}
	if err := b.Validate(); err != nil {
		t.Error(err)
	}
}

func TestCauseOfNeverRepeatsTheReason(t *testing.T) {
	for reason, want := range map[string]Cause{
		flow.ReasonStale: Stale, flow.ReasonUnchanged: Unchanged, flow.ReasonAgreed: Agreed,
		"deleted in hubspot before it was linked": Gone, "deleted in hubspot, but the mass-change guard stopped deletions from there: tandem resync of the deleted record lets this one through": Guard, "the guard on cleared fields stopped this direction: tandem resync lets this record through": Guard, "the hubspot record 512 still exists": Other, "": Other,
	} {
		if got := CauseOf(reason); got != want {
			t.Errorf("%q became %q, want %q", reason, got, want)
		}
	}
}

// Every reason that package flow writes for people has a word of its own, so
// that no outcome is counted as "other".
func TestEveryReasonHasAWord(t *testing.T) {
	files, err := filepath.Glob("../flow/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("package flow is not where it was", err)
	}
	written := regexp.MustCompile(`(?:park|drop)\("([^"]+)"|reason := "([^"]+)"|\bp, "([^,"][^"]*)"\+|\b(?:Reason[A-Z]\w+|deletedIn|erased|severalMatch|itsMatch|clearsStopped|errWidowed|errEdited) += (?:errors\.New\()?"([^"]+)"`)
	found := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range written.FindAllStringSubmatch(string(src), -1) {
			found++
			if reason := strings.Join(m[1:], ""); CauseOf(reason) == Other {
				t.Errorf("%s: %q is counted as other; give it a word in phrases", filepath.Base(file), reason)
			}
		}
	}
	if found < 14 {
		t.Errorf("only %d reasons found: the pattern no longer fits the code", found)
	}
}

func TestVerifyRefusesEveryChange(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	key, err := Key("0123456789abcdef", "acme")
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"a":1}`)
	signed := func() http.Header {
		h := http.Header{}
		Sign(h, key, "acme", "00", now, body)
		return h
	}
	if err := Verify(signed(), key, now, body); err != nil {
		t.Fatal(err)
	}
	other, _ := Key("0123456789abcdef", "globex")
	cases := map[string]error{
		"body":            Verify(signed(), key, now, []byte(`{"a":2}`)),
		"key":             Verify(signed(), other, now, body),
		"too old":         Verify(signed(), key, now.Add(Window+time.Second), body),
		"too far ahead":   Verify(signed(), key, now.Add(-Window-time.Second), body),
		"no header":       Verify(http.Header{}, key, now, body),
		"timestamp moved": Verify(with(signed(), HeaderTimestamp, "1790000001"), key, now, body),
		"nonce moved":     Verify(with(signed(), HeaderNonce, "01"), key, now, body),
		"client moved":    Verify(with(signed(), HeaderClient, "globex"), key, now, body),
		"digits shifted":  Verify(with(with(signed(), HeaderTimestamp, "179000000"), HeaderNonce, "000"), key, now, body),
	}
	for name, err := range cases {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, at := range []time.Duration{Window, -Window} {
		if err := Verify(signed(), key, now.Add(at), body); err != nil {
			t.Errorf("refused at the edge of the window (%v)", at)
		}
	}
	if _, err := Key("short", "acme"); err == nil {
		t.Error("a short secret makes a key")
	}
}

func with(h http.Header, name, value string) http.Header {
	h.Set(name, value)
	return h
}

func TestSketchQuantiles(t *testing.T) {
	var s Sketch
	if s.Quantile(0.5) != 0 {
		t.Error("an empty sketch has a median")
	}
	for range 95 {
		s.Add(15 * time.Millisecond)
	}
	for range 5 {
		s.Add(3 * time.Minute)
	}
	if p := s.Quantile(0.5); p < 10*time.Millisecond || p > 20*time.Millisecond {
		t.Errorf("p50 = %v, want within 10 to 20 ms", p)
	}
	if p := s.Quantile(0.99); p != time.Minute {
		t.Errorf("p99 = %v, want the last edge", p)
	}
	raw, _ := json.Marshal(struct {
		S Sketch `json:"s,omitzero"`
	}{})
	if string(raw) != "{}" {
		t.Errorf("an empty sketch is written as %s", raw)
	}
}
