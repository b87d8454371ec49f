package writers

import (
	"slices"
	"testing"
	"time"
)

func open(t *testing.T, dir, portal, deployment string) *Sign {
	t.Helper()
	s, err := Open(dir, portal, deployment, "server "+deployment)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOthers(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	a, b := open(t, dir, "48", "a"), open(t, dir, "48", "b")
	open(t, dir, "49", "c") // another portal
	sees := func(s *Sign, at time.Time, want ...string) {
		t.Helper()
		got, err := s.Others(at)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("sees %v (%v), want %v", got, err, want)
		}
	}
	sees(a, now, "server b")
	sees(b, now, "server a")
	unsaid, err := Open(dir, "48", "d", "") // its file is there, and nothing in it yet
	if err != nil {
		t.Fatal(err)
	}
	sees(b, now, "server a")
	if err := unsaid.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir, "48", "a") // another process on the same table
	sees(again, now, "server b")
	sees(a, now.Add(Life+time.Second)) // b has not said anything since
	sees(b, now.Add(Life+time.Second), "server a")
	sees(a, now.Add(2*forgotten))
	if err := b.Close(); err == nil {
		t.Error("the file of a server that was killed a day ago is still there")
	}
	b = open(t, dir, "48", "b")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	sees(a, now)
}
