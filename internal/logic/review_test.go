package logic

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// review says who wrote a file, who else read it, when, and in which state.
type review struct {
	Author   string `json:"author"`
	Reviewer string `json:"reviewer"`
	Date     string `json:"date"`
	SHA256   string `json:"sha256"`
}

// fault says what is wrong with the record of a file whose hash is sum; "" when nothing is.
func (r review) fault(sum string, recorded bool) string {
	switch _, err := time.Parse(time.DateOnly, r.Date); {
	case !recorded:
		return "has no review record"
	case r.Author == "" || r.Reviewer == "":
		return "names no author or no reviewer"
	case strings.EqualFold(strings.TrimSpace(r.Author), strings.TrimSpace(r.Reviewer)):
		return "was reviewed by its own author"
	case err != nil:
		return "has a review without a date (YYYY-MM-DD)"
	case r.SHA256 != sum:
		return "has changed since its review"
	}
	return ""
}

// Every file with hand-written logic was read by a second person as it stands.
func TestReviews(t *testing.T) {
	reviews := readReviews(t)
	for _, file := range logicFiles(t) {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256(source)
		sum := hex.EncodeToString(digest[:])
		r, recorded := reviews[file]
		if fault := r.fault(sum, recorded); fault != "" {
			t.Errorf("%s %s. Have a second person read it, then put into internal/logic/reviews.json:\n%s", file, fault, line(file, r.Author, sum))
		}
		delete(reviews, file)
	}
	for file := range reviews {
		t.Errorf("reviews.json records %s, which does not exist: remove the record", file)
	}
}

// line is the record to paste once the review has been made.
func line(file, author, sum string) string {
	if author == "" {
		author = "<login of the author>"
	}
	return fmt.Sprintf("  %q: {\n    \"author\": %q,\n    \"reviewer\": \"<login of the second reviewer>\",\n    \"date\": %q,\n    \"sha256\": %q\n  }",
		file, author, time.Now().UTC().Format(time.DateOnly), sum)
}

func readReviews(t *testing.T) (reviews map[string]review) {
	b, err := os.ReadFile("reviews.json")
	if err == nil {
		err = json.Unmarshal(b, &reviews)
	}
	if err != nil {
		t.Fatalf("reviews.json: %v", err)
	}
	return reviews
}

// logicFiles lists the files to review: all but the registry and tests.
func logicFiles(t *testing.T) (files []string) {
	all, err := filepath.Glob("*.go")
	if err != nil || len(all) == 0 {
		t.Fatalf("no sources: %v", err)
	}
	for _, f := range all {
		if f != "logic.go" && !strings.HasSuffix(f, "_test.go") {
			files = append(files, f)
		}
	}
	return files
}

// A function cannot hide from review in the registry's file or another package.
func TestFunctionsLiveInReviewedFiles(t *testing.T) {
	reviews := readReviews(t)
	for _, name := range Names() {
		f, _ := ByName(name)
		for _, fn := range []func(string) (string, error){f.Forward, f.Reverse} {
			if fn == nil {
				continue
			}
			pc := reflect.ValueOf(fn).Pointer()
			file, _ := runtime.FuncForPC(pc).FileLine(pc)
			if _, ok := reviews[filepath.Base(file)]; !ok {
				t.Errorf("%s lives in %s, which has no review record", name, filepath.Base(file))
			}
		}
	}
}

// The check must be able to fail.
func TestFaultyReviewsAreFound(t *testing.T) {
	good := review{Author: "a", Reviewer: "b", Date: "2026-01-31", SHA256: "x"}
	if f := good.fault("x", true); f != "" {
		t.Fatalf("a good record %s", f)
	}
	self, undated, unnamed := good, good, good
	self.Reviewer, undated.Date, unnamed.Reviewer = " A", "today", ""
	for name, f := range map[string]string{
		"changed": good.fault("y", true), "absent": good.fault("x", false),
		"self": self.fault("x", true), "undated": undated.fault("x", true), "unnamed": unnamed.fault("x", true),
	} {
		if f == "" {
			t.Errorf("%s: not found", name)
		}
	}
}
