package poll

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gosnmp/gosnmp"
)

// A Client reads targets. It is safe for concurrent use.
type Client struct {
	memory *Memory
	limits Limits
	idle   idle
}

// NewClient returns a Client that remembers targets in memory.
func NewClient(memory *Memory, limits Limits) *Client {
	return &Client{memory: memory, limits: limits.withDefaults()}
}

// Close closes the sockets that wait to be used again.
func (c *Client) Close() error { return c.idle.close() }

// Session returns a session with target. It sends nothing yet. Close it.
func (c *Client) Session(target Target) (*Session, error) {
	if err := target.Check(); err != nil {
		return nil, err
	}
	key := target.key()
	return &Session{client: c, target: target, key: key, peer: c.memory.peer(key)}, nil
}

// A Session is one scrape of a target. Its methods are for one goroutine.
type Session struct {
	client *Client
	target Target
	key    string
	peer   *peer

	packets, repeated, pdus, bytes atomic.Int64
	answers                        atomic.Int64 // when the target last answered, in ns since begin
	begin                          time.Time

	mu   sync.Mutex
	free []*conn
	dead *Error // why nothing more is asked
}

// Stats count what went over the wire.
type Stats struct {
	Packets  int // sent, with repetitions
	Repeated int // of these
	PDUs     int // objects that came in
	Bytes    int // about, of these
}

// Stats returns what has been counted so far.
func (s *Session) Stats() Stats {
	return Stats{int(s.packets.Load()), int(s.repeated.Load()), int(s.pdus.Load()), int(s.bytes.Load())}
}

// Answered tells whether the target has answered anything in this session.
func (s *Session) Answered() bool { return s.answers.Load() > 0 }

// Close gives the session's sockets back.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, c := range s.free {
		if s.dead != nil {
			errs = append(errs, c.g.Close())
			continue
		}
		s.client.idle.put(s.key, c.g)
	}
	s.free = nil
	return errors.Join(errs...)
}

// kill has the session ask nothing more.
func (s *Session) kill(err *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead == nil {
		s.dead = err
	}
}

func (s *Session) death() *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead
}

// A conn is one socket: one request at a time.
type conn struct {
	s    *Session
	g    *gosnmp.GoSNMP
	sent int // packets of the current request
}

// conn returns a socket that nobody uses.
func (s *Session) conn(ctx context.Context, timeout time.Duration) (*conn, *Error) {
	s.mu.Lock()
	if n := len(s.free); n > 0 {
		c := s.free[n-1]
		s.free = s.free[:n-1]
		s.mu.Unlock()
		return c, nil
	}
	s.mu.Unlock()
	g := s.client.idle.take(s.key)
	if g == nil {
		var err error
		if g, err = s.target.client(timeout); err != nil {
			return nil, &Error{Unreachable, err}
		}
		g.Context = ctx
		if err := g.Connect(); err != nil {
			e := requestError(ctx, err)
			if e.Reason == BadReply || e.Reason == Timeout {
				e.Reason = Unreachable
			}
			return nil, e
		}
	}
	c := &conn{s: s, g: g}
	g.OnSent = func(*gosnmp.GoSNMP) { c.sent++ }
	return c, nil
}

func (s *Session) release(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, c)
}

// ask sends one request, a few times if need be. kind is that of the request,
// rows the repetitions of GETBULK.
func (c *conn) ask(ctx context.Context, q *Query, kind gosnmp.PDUType, oids []string, rows int, left time.Duration) (*gosnmp.SnmpPacket, *Error) {
	s := c.s
	if err := s.death(); err != nil {
		return nil, err
	}
	c.g.Context, c.sent = ctx, 0
	c.g.Timeout, c.g.Retries = repeats(s.peer.patience(q.Timeout), q, left)
	begin := time.Now()
	packet, err := send(c.g, kind, oids, rows)
	s.packets.Add(int64(c.sent))
	s.repeated.Add(int64(max(c.sent-1, 0)))
	if err != nil {
		e := requestError(ctx, err)
		if e.Reason == Timeout {
			s.peer.missed()
		}
		return nil, e
	}
	s.peer.answered(time.Since(begin), c.sent > 1)
	s.answers.Store(max(int64(time.Since(s.begin)), 1))
	return packet, nil
}

func send(g *gosnmp.GoSNMP, kind gosnmp.PDUType, oids []string, rows int) (*gosnmp.SnmpPacket, error) {
	switch {
	case kind == gosnmp.GetRequest:
		return g.Get(oids)
	case g.Version == gosnmp.Version1:
		return g.GetNext(oids)
	default:
		return g.GetBulk(oids, 0, uint32(rows)) //nolint:gosec // a small number
	}
}

// repeats spreads the time that is left for an answer over a first wait and up
// to two repetitions, each twice as long.
func repeats(patience time.Duration, q *Query, left time.Duration) (time.Duration, int) {
	if q.Retries == 0 {
		return q.Timeout, 0
	}
	for again := 2; again > 0; again-- {
		if patience*(1<<(again+1)-1) <= left {
			return patience, again
		}
	}
	return max(min(patience, left), time.Millisecond), 0
}

// budget is how long the target may answer nothing, as snmp_exporter waits.
func (q *Query) budget() time.Duration { return q.Timeout * time.Duration(q.Retries+1) }
