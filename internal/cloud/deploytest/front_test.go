package deploytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// front lets Function URLs be called by their own names: it is a proxy that ends
// TLS for *.lambda-url.{region}.on.aws and hands the request to the emulator
// with its Host. The senders of webhooks and the functions that post beats use
// it as any client uses an HTTPS proxy, so no address is rewritten.
type front struct {
	// Env is what a process needs to go through it.
	Env []string
	// Client goes through it.
	Client *http.Client

	conns  chan net.Conn
	closed chan struct{}
	mu     sync.Mutex
	target *url.URL
}

func newFront(t *testing.T, region string) *front {
	t.Helper()
	pair, roots := certificate(t, "*.lambda-url."+region+".on.aws")
	f := &front{conns: make(chan net.Conn), closed: make(chan struct{})}
	proxy := httptest.NewServer(http.HandlerFunc(f.connect))
	server := &http.Server{Handler: &httputil.ReverseProxy{Rewrite: f.rewrite}}
	go server.Serve(tls.NewListener(f, &tls.Config{Certificates: []tls.Certificate{pair}}))
	t.Cleanup(func() {
		close(f.closed)
		server.Close()
		proxy.Close()
	})
	file := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(file, roots, 0o600); err != nil {
		t.Fatal(err)
	}
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(roots)
	f.Env = []string{"HTTPS_PROXY=" + proxy.URL, "SSL_CERT_FILE=" + file}
	f.Client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		Proxy: http.ProxyURL(address), TLSClientConfig: &tls.Config{RootCAs: pool},
	}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return f
}

// to says where requests go, once that is known.
func (f *front) to(t *testing.T, endpoint string) {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.target = target
}

func (f *front) rewrite(r *httputil.ProxyRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = f.target.Scheme, f.target.Host, r.In.Host
	if r.In.URL.Path == "/login" {
		// On every host the emulator takes this path for its own Cognito's; it has
		// another one to a function.
		id, _, _ := strings.Cut(r.In.Host, ".")
		r.Out.URL.Path, r.Out.Host = "/_aws/lambda-url/"+id+"/login", f.target.Host
	}
}

// connect is the proxy: every tunnel ends here.
func (f *front) connect(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "this proxy only opens tunnels", http.StatusMethodNotAllowed)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if _, err := conn.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err != nil {
		conn.Close()
		return
	}
	select {
	case f.conns <- conn:
	case <-f.closed:
		conn.Close()
	}
}

// Accept, Close and Addr make it the listener of the server inside the tunnels.
func (f *front) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

func (f *front) Close() error   { return nil }
func (f *front) Addr() net.Addr { return &net.TCPAddr{} }

// certificate makes a self-signed certificate for name.
func certificate(t *testing.T, name string) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
