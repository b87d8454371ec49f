package spec

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the mapping documents beside the specs")

// The mapping document beside each spec is the one that the spec gives.
func TestMappingDocumentsAreFresh(t *testing.T) {
	files, err := Clients(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		s, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := Describe(s, &b); err != nil {
			t.Fatal(err)
		}
		document := filepath.Join(filepath.Dir(file), "mapping.md")
		if *update {
			if err := os.WriteFile(document, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		kept, err := os.ReadFile(document)
		if err != nil || !bytes.Equal(kept, b.Bytes()) {
			t.Errorf("%s is stale (%v): run go test ./spec -run MappingDocuments -update, and read what changed", document, err)
		}
	}
}

func TestDescribeMarksWhatIsLossyOrOneWay(t *testing.T) {
	s := small(t)
	f := &s.Pairs[0].Fields[1]
	f.Formula, f.Reverse = table("prospect", "LEAD", "lead", "LEAD"), table("LEAD", "lead")
	s.Pairs[0].Fields = append(s.Pairs[0].Fields, Field{Name: "a|b", Direction: OnlyHubSpot, HubSpot: Prop{Property: "y"}, Destination: Prop{Property: "d_y"}})
	var b bytes.Buffer
	if err := Describe(s, &b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"**lossy**", "**one-way**", "`prospect -> LEAD -> lead`", `| a\|b | ` + "`y` string | ←", "`LEAD` comes back as `lead`"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s is missing in\n%s", want, b.String())
		}
	}
}

// failing refuses every write.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestDescribeReportsAFailedWrite(t *testing.T) {
	if err := Describe(small(t), failing{}); err == nil {
		t.Error("the failure was lost")
	}
}
