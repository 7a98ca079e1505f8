package rules

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// This process is scraped under an address that no network has: connections
// to it are pipes to a server in here. So a process with TLS and users can
// read itself without credentials, and without a port that others could ask.
const (
	selfURL     = "http://self.invalid/metrics"
	selfAddress = "self.invalid:80"
)

// self serves the metrics of this process to its own scraper.
type self struct {
	handler atomic.Pointer[http.Handler]
	dialer  net.Dialer
	server  *http.Server
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newSelf() *self {
	s := &self{
		dialer: net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second},
		conns:  make(chan net.Conn),
		closed: make(chan struct{}),
	}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	return s
}

// use has requests answered by h from now on; nil answers none.
func (s *self) use(h http.Handler) {
	if h == nil {
		s.handler.Store(nil)
		return
	}
	if s.handler.Swap(&h) == nil {
		s.once.Do(func() { go func() { _ = s.server.Serve(s) }() }) // it ends when s is closed
	}
}

func (s *self) close() {
	close(s.closed)
	_ = s.server.Close() // pipes have nothing to lose
}

// ServeHTTP implements http.Handler.
func (s *self) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := s.handler.Load()
	if h == nil {
		http.Error(w, "this process is not scraped", http.StatusNotFound)
		return
	}
	(*h).ServeHTTP(w, r)
}

// dial connects to address, or to this process if that is meant.
func (s *self) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if address != selfAddress {
		return s.dialer.DialContext(ctx, network, address)
	}
	ours, theirs := net.Pipe()
	select {
	case s.conns <- theirs:
		return ours, nil
	case <-s.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (s *self) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener; the server calls it when it ends.
func (*self) Close() error { return nil }

// Addr implements net.Listener.
func (*self) Addr() net.Addr { return &net.TCPAddr{} }
