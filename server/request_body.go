package server

import (
	"io"
	"net/http"
	"time"
)

// How slowly a body may come: less than this is taken for a client that is
// gone, or that means to keep a connection.
const (
	bodyGrace = 20 * time.Second
	bodyRate  = 32 << 10 // bytes in a second
)

// Bounds of what is still read of a request that was refused.
const (
	maxRest  = 32 << 20
	restTime = 10 * time.Second
)

// requestBody reads what a client sends for as long as it comes at bodyRate,
// whatever its size. Closing it leaves the connection's own body open, so that
// drain can read on.
type requestBody struct {
	body        io.ReadCloser
	setDeadline func(time.Time) error
	started     time.Time
	// latest ends reading whatever the rate; zero does not.
	latest time.Time
	read   int64
	ended  bool
}

func newRequestBody(w http.ResponseWriter, r *http.Request) *requestBody {
	return &requestBody{body: r.Body, setDeadline: http.NewResponseController(w).SetReadDeadline}
}

// Read implements io.Reader. Its error at the end of the time is a net.Error
// that says Timeout.
func (b *requestBody) Read(p []byte) (int, error) {
	if b.started.IsZero() {
		b.started = time.Now()
	}
	_ = b.setDeadline(b.deadline()) // without one, the read waits for the client
	n, err := b.body.Read(p)
	b.read += int64(n)
	b.ended = err != nil
	return n, err
}

func (b *requestBody) deadline() time.Time {
	end := b.started.Add(bodyGrace + time.Duration(b.read)*time.Second/bodyRate)
	if !b.latest.IsZero() && b.latest.Before(end) {
		return b.latest
	}
	return end
}

// Close implements io.Closer.
func (b *requestBody) Close() error { return nil }

// drain lets a client that was refused while it sent finish, within bounds: it
// would meet a connection that was reset, and not see the refusal. One that
// asked before it sends anything has not begun.
func (b *requestBody) drain(r *http.Request) {
	if b.ended || r.Header.Get("Expect") != "" {
		return
	}
	b.started, b.latest = time.Now(), time.Now().Add(restTime)
	_, _ = io.CopyN(io.Discard, b, maxRest) // the client is gone; nobody is left to tell
}
