package chaos

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// link is how a proxy treats its connections.
type link struct {
	// cut: connections end, and new ones are refused.
	cut bool
	// hung: connections stay, and nothing comes through.
	hung bool
	// delay of each piece that comes through.
	delay time.Duration
}

// proxy passes connections on to a server, as badly as it is told to.
type proxy struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	link    link
	changed chan struct{}
	conns   map[net.Conn]struct{}
	pumps   sync.WaitGroup
}

// newProxy listens on a free port of this host. close ends it.
func newProxy(ctx context.Context, target string) (*proxy, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("make the proxy between provisioner and server: %w", err)
	}
	p := &proxy{listener: listener, target: target, changed: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	p.pumps.Go(p.serve)
	return p, nil
}

func (p *proxy) url() string { return "http://" + p.listener.Addr().String() }

func (p *proxy) close() {
	_ = p.listener.Close()
	p.set(link{cut: true})
	p.pumps.Wait()
}

// set changes the link, for open connections too.
func (p *proxy) set(l link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.link = l
	close(p.changed)
	p.changed = make(chan struct{})
	if l.cut {
		for conn := range p.conns {
			_ = conn.Close()
		}
	}
}

func (p *proxy) serve() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.pumps.Go(func() { p.pass(conn) })
	}
}

func (p *proxy) pass(near net.Conn) {
	defer func() { _ = near.Close() }()
	if !p.open(near) {
		return
	}
	defer p.forget(near)
	far, err := (&net.Dialer{Timeout: 10 * time.Second}).Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	if !p.open(far) {
		return
	}
	defer p.forget(far)
	both := &sync.WaitGroup{}
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			p.pump(way[0], way[1])
			_ = near.Close()
			_ = far.Close()
		})
	}
	both.Wait()
}

// open notes a connection; false when the link is cut.
func (p *proxy) open(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link.cut {
		return false
	}
	p.conns[conn] = struct{}{}
	return true
}

func (p *proxy) forget(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

// pump passes on one direction until either end closes.
func (p *proxy) pump(from, to net.Conn) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !p.wait() {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// wait holds a piece up as long as the link demands; false when it is cut.
func (p *proxy) wait() bool {
	for {
		p.mu.Lock()
		l, changed := p.link, p.changed
		p.mu.Unlock()
		switch {
		case l.cut:
			return false
		case !l.hung && l.delay == 0:
			return true
		case !l.hung:
			select {
			case <-time.After(l.delay):
				return true
			case <-changed:
			}
		default:
			<-changed
		}
	}
}
