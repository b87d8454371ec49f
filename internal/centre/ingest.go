package centre

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"tandem/internal/beat"
)

const (
	// maxBeat bounds a beat's body; a full one has about 4 KB.
	maxBeat = 32 << 10
	// self is the Centre's own name among the clients; no client may use it.
	self = "centre"
	// noteEvery is how often one process writes down that beats were refused, so
	// that a flood of forgeries costs the table next to nothing.
	noteEvery = 30 * time.Second
)

// Ingest takes beats: 204 when counted, 409 when counted before, 401 for any
// fault of the signature, 400 for a signed beat that makes no sense, 413, 429,
// and 503 when the table does not answer (the sender keeps the counts).
func (c *Centre) Ingest() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, err := c.ingest(w, r)
		if err != nil {
			c.o.Log.Warn("beat not counted", "status", status, "error", err.Error())
			http.Error(w, http.StatusText(status), status)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func (c *Centre) ingest(w http.ResponseWriter, r *http.Request) (int, error) {
	if r.Method != http.MethodPost {
		return http.StatusMethodNotAllowed, errors.New("want POST")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBeat))
	if err != nil {
		return http.StatusRequestEntityTooLarge, fmt.Errorf("body beyond %d bytes", maxBeat)
	}
	ctx := r.Context()
	client, err := c.authentic(ctx, r.Header, body)
	if err != nil {
		c.refuse(ctx)
		return http.StatusUnauthorized, err
	}
	if !c.flood.take(client, c.o.Now()) {
		w.Header().Set("Retry-After", "5")
		return http.StatusTooManyRequests, fmt.Errorf("client %s sends too many beats", client)
	}
	b, err := parse(client, r.Header.Get(beat.HeaderNonce), body)
	if err != nil {
		c.refuse(ctx)
		return http.StatusBadRequest, fmt.Errorf("client %s: %w", client, err)
	}
	switch err := c.store(ctx, b); {
	case errors.Is(err, errReplay):
		return http.StatusConflict, fmt.Errorf("client %s, handler %s: %w", client, b.Handler, err)
	case err != nil:
		return http.StatusServiceUnavailable, err
	}
	return http.StatusNoContent, nil
}

// authentic returns the client that signed the request. An unknown client takes
// the same path as a known one with a wrong key.
func (c *Centre) authentic(ctx context.Context, h http.Header, body []byte) (string, error) {
	client := h.Get(beat.HeaderClient)
	if !beat.ValidClient(client) || client == self {
		return "", errors.New("no valid client named")
	}
	secret, err := c.o.Secrets(ctx, fmt.Sprintf(BeatSecret, client))
	unknown := err != nil
	if unknown {
		secret = rand.Text()
	}
	key, err := beat.Key(secret, client)
	if err != nil {
		return "", err
	}
	if err := beat.Verify(h, key, c.o.Now(), body); err != nil || unknown {
		return "", errors.New("signature or timestamp not valid")
	}
	return client, nil
}

// parse reads a signed beat. Members this version does not know are ignored:
// handlers may be newer than the Centre.
func parse(client, nonce string, body []byte) (*beat.Beat, error) {
	var b beat.Beat
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&b); err != nil {
		return nil, errors.New("the body is not a beat in JSON")
	}
	if b.Client != client || b.Nonce != nonce {
		return nil, errors.New("client and nonce differ between headers and body")
	}
	b.Fold()
	return &b, b.Validate()
}

// refuse counts a refused beat, and writes the count down now and then as a
// beat of the Centre's own.
func (c *Centre) refuse(ctx context.Context) {
	now := c.o.Now()
	c.mu.Lock()
	c.refused++
	n := c.refused
	due := now.Sub(c.noted) >= noteEvery
	if due {
		c.refused, c.noted = 0, now
	}
	c.mu.Unlock()
	if due {
		c.note(ctx, n)
	}
}

func (c *Centre) note(ctx context.Context, n int) {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never returns an error
	nonce := hex.EncodeToString(id[:])
	b := &beat.Beat{Client: self, Handler: "ingest", Instance: nonce, Nonce: nonce, Seq: 1,
		Signals: map[beat.Signal]int{beat.BeatRefused: n}}
	if err := c.store(ctx, b); err != nil {
		c.o.Log.Warn("refused beats not written down", "count", n, "error", strings.TrimSpace(err.Error()))
		c.mu.Lock()
		c.refused += n
		c.mu.Unlock()
	}
}
