package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// The sample Centre asks for a login, and ends with its context.
func TestCentreDemo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	read, write := io.Pipe()
	code := make(chan int, 1)
	var problems bytes.Buffer
	go func() {
		code <- run(ctx, []string{"centre", "--demo", "--clients", "2"}, nil, write, &problems)
		write.Close()
	}()
	lines := bufio.NewScanner(read)
	var address string
	for address == "" && lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) == 2 && f[0] == "pages" {
			address = f[1]
		}
	}
	go io.Copy(io.Discard, read)
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); !strings.Contains(string(body), `id="secret"`) {
		t.Errorf("%s does not ask for the login", address)
	}
	cancel()
	if c := <-code; c != exitOK {
		t.Errorf("ended with %d: %s", c, &problems)
	}
}

// Without --demo the command says where a real Centre is.
func TestCentreNeedsDemo(t *testing.T) {
	var o, e bytes.Buffer
	if c := run(t.Context(), []string{"centre"}, nil, &o, &e); c != exitMisused || !strings.Contains(e.String(), "tandem run") {
		t.Errorf("ended with %d: %s", c, &e)
	}
}
