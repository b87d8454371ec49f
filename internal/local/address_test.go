package local_test

import (
	"path/filepath"
	"testing"

	"tandem/internal/local"
)

// The address is the same after a restart, and another one while it is taken.
func TestListenAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "address")
	first, err := local.ListenAgain(file)
	if err != nil {
		t.Fatal(err)
	}
	other, err := local.ListenAgain(file)
	if err != nil {
		t.Fatal(err)
	}
	if first.Addr().String() == other.Addr().String() {
		t.Errorf("two listen on %s", first.Addr())
	}
	first.Close()
	other.Close()
	again, err := local.ListenAgain(file)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Addr().String() != other.Addr().String() {
		t.Errorf("listens on %s after a restart, on %s before", again.Addr(), other.Addr())
	}
}
