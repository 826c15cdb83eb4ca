// Package memlisten is a net.Listener within the process: the server's own
// daemons and pages talk to the real HTTP server through it, WebSockets
// included, and pass the same gate as everybody.
package memlisten

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// Listener accepts connections made by Dial.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// New makes an open listener.
func New() *Listener { return &Listener{conns: make(chan net.Conn), closed: make(chan struct{})} }

// Accept waits for a connection; it fails with net.ErrClosed once closed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial. Open connections stay.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr names no network.
func (l *Listener) Addr() net.Addr { return address{} }

// Dial connects to the listener.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// HTTPClient sends every request to the listener, whatever host it names.
func (l *Listener) HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return l.Dial(ctx) },
		MaxIdleConnsPerHost: 16,
	}}
}

type address struct{}

func (address) Network() string { return "memory" }
func (address) String() string  { return "in-process" }
