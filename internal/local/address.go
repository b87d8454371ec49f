package local

import (
	"net"
	"os"
	"strings"
)

// ListenAgain listens on the loopback address that file holds, so that what
// people have open in a browser is still right after a restart; on any free port
// of 127.0.0.1, which the file then holds, where there is none or it is taken.
func ListenAgain(file string) (net.Listener, error) {
	if last, err := os.ReadFile(file); err == nil {
		if l, err := net.Listen("tcp", strings.TrimSpace(string(last))); err == nil {
			return l, nil
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	// Where it cannot be kept, the next start chooses another port.
	_ = os.WriteFile(file, []byte(l.Addr().String()+"\n"), 0o600)
	return l, nil
}
