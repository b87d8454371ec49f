package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/internal/local"
	"tandem/spec"
)

// saying is a log that may be read while it is written.
type saying struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *saying) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *saying) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// Of two servers with tables of their own on one portal, the second says so.
func TestSecondWriterIsWarnedOf(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	w := newWorld(t)
	s, err := spec.Load(w.specFile)
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := local.LoadSecrets(w.secrets)
	if err != nil {
		t.Fatal(err)
	}
	looks := func(data string) *saying {
		log := &saying{}
		o := local.Options{Spec: s, Secrets: secrets, HubSpotURL: w.hub.URL, DestinationURL: w.dest.URL, Data: data, Log: slog.New(slog.NewTextHandler(log, nil))}
		server, err := local.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		var work sync.WaitGroup
		one := &watched{Server: server, o: o, data: data}
		work.Go(func() { _ = one.Run(ctx) })
		t.Cleanup(func() { stop(); work.Wait() })
		return log
	}
	looks(t.TempDir())
	second := looks(t.TempDir())
	for end := time.Now().Add(time.Minute); !strings.Contains(second.String(), "another server writes"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the second server says only %q", second)
		}
	}
	if said := second.String(); !strings.Contains(said, "portal="+s.HubSpot.PortalID) || !strings.Contains(said, "--data") {
		t.Errorf("the warning does not say where: %s", said)
	}
}
