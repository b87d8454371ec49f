package spec

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// FileName is what a client's spec is called in the client's folder.
const FileName = "integration-spec.json"

// maxFile bounds a spec's size in bytes; a real one has some tens of kilobytes.
const maxFile = 1 << 20

// Problem is one thing that is wrong with a spec file.
type Problem struct {
	// Path is where, as in pairs[0].fields[3].formula; empty for the whole file.
	Path string `json:"path,omitempty"`
	// Line counts from 1; 0 when not known.
	Line    int    `json:"line,omitempty"`
	Message string `json:"message"`
}

// Error spells the problem as line: path: message.
func (p Problem) Error() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "%d: ", p.Line)
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	return b.String() + p.Message
}

// Problems is the error of Parse and Load: all that is wrong with one file.
type Problems struct {
	File string
	List []Problem
}

// Error spells one problem a line, each with the file's name.
func (p *Problems) Error() string {
	lines := make([]string, len(p.List))
	for i, problem := range p.List {
		lines[i] = p.File + ":" + strings.TrimPrefix(" "+problem.Error(), " ")
	}
	return strings.Join(lines, "\n")
}

func (p *Problems) add(path string, line int, message string) {
	p.List = append(p.List, Problem{Path: path, Line: line, Message: message})
}

// Load reads and parses one spec file.
func Load(path string) (*Spec, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("spec: %w", err)
	}
	return Parse(path, data)
}

// Parse reads a spec strictly: unknown and repeated names, wrong types, missing
// and disallowed values are errors, all of them at once as *Problems, each with
// name, line, JSON path and what is allowed. It does not judge what a valid spec
// does to data: Check does.
func Parse(name string, data []byte) (*Spec, error) {
	problems := &Problems{File: name}
	tree, err := parseTree(data, problems)
	if err != nil {
		problems.List = append(problems.List, err.(Problem))
		return nil, problems
	}
	root().validate(tree, "", problems)
	if len(problems.List) > 0 {
		return nil, problems
	}
	s := new(Spec)
	if err := json.Unmarshal(data, s); err != nil {
		problems.add("", 0, misfit+err.Error())
		return nil, problems
	}
	s.Hash = hash(data)
	return s, nil
}

// misfit begins the one message that means a fault of this package: the schema
// lets something pass that the Go types do not hold. The fuzz test looks for it.
const misfit = "valid by the schema, but "

// parseTree refuses what is too large and reads the rest.
func parseTree(data []byte, problems *Problems) (*node, error) {
	if len(data) > maxFile {
		return nil, Problem{Message: fmt.Sprintf("larger than %d bytes", maxFile)}
	}
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		return nil, Problem{Line: 1, Message: "begins with a byte order mark; save the file without one"}
	}
	return readTree(data, problems)
}

// hash identifies the content whatever its layout: object names in order, no
// white space.
func hash(data []byte) string {
	var content any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&content); err != nil {
		return ""
	}
	canonical, err := json.Marshal(content) // sorts names
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])[:12]
}

// Clients lists the spec files <dir>/<client>/integration-spec.json in order.
func Clients(dir string) ([]string, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("spec: %w", err)
	}
	return filepath.Glob(filepath.Join(dir, "*", FileName))
}
