package poll

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/gosnmp/gosnmp"
)

// A call is one request.
type call struct {
	kind  gosnmp.PDUType // GetRequest, or GetBulkRequest for the next rows
	oids  []string
	rows  int
	wait  time.Duration // for the first answer; twice as long after each repetition
	again int           // repetitions
}

// A link is a socket to a target: one call at a time.
type link interface {
	// do makes the call. sent counts packets, whatever the error.
	do(ctx context.Context, c call) (r reply, sent int, err error)
	Close() error
}

// dial opens a link. Versions 1 and 2c over connected UDP need little more
// than a codec, so they have a link of their own that costs a third; all else
// is gosnmp's.
func (t Target) dial(ctx context.Context, timeout time.Duration, buffers *sync.Pool) (link, error) {
	network, host, port, err := t.split()
	if err != nil {
		return nil, err
	}
	if t.Version == 3 || t.Unconnected || network[:3] != "udp" {
		return t.dialLibrary(ctx, timeout)
	}
	dialer := net.Dialer{Timeout: timeout}
	conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", t.Address, err)
	}
	var seed [4]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	l := &plainLink{conn: conn, version: gosnmp.Version2c, community: t.Community, buffers: buffers}
	if l.raw, err = raw(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	l.id = int32(binary.BigEndian.Uint32(seed[:]) >> 1) //nolint:gosec // 31 bits
	if t.Version == 1 {
		l.version = gosnmp.Version1
	}
	return l, nil
}

// raw returns the file descriptor of conn.
func raw(conn net.Conn) (syscall.RawConn, error) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%T has no file descriptor", conn)
	}
	return c.SyscallConn()
}

// plainLink speaks versions 1 and 2c over UDP.
type plainLink struct {
	conn      net.Conn
	raw       syscall.RawConn // of conn
	version   gosnmp.SnmpVersion
	community string
	id        int32
	out       []byte
	buffers   *sync.Pool // of *[maxReply]byte, for replies while they are decoded
}

// maxReply is the largest reply that UDP can carry.
const maxReply = 65535

// Close implements link.
func (l *plainLink) Close() error { return l.conn.Close() }

// do implements link. Late answers to earlier calls are skipped; one to an
// earlier repetition of the same call counts.
func (l *plainLink) do(ctx context.Context, c call) (r reply, sent int, err error) {
	kind, rows := c.kind, c.rows
	if kind == gosnmp.GetBulkRequest && l.version == gosnmp.Version1 {
		kind, rows = gosnmp.GetNextRequest, 0
	}
	first := l.id + 1
	for try := 0; try <= c.again; try++ {
		if ctx.Err() != nil {
			return reply{}, sent, ctx.Err()
		}
		l.next()
		if l.out, err = appendRequest(l.out[:0], l.version, l.community, kind, l.id, rows, c.oids); err != nil {
			return reply{}, sent, err
		}
		until := time.Now().Add(c.wait << try)
		if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
			until = deadline
		}
		if err = l.conn.SetDeadline(until); err != nil {
			return reply{}, sent, err
		}
		if _, err = l.conn.Write(l.out); err != nil {
			continue // of an answer to an earlier packet: the port was unreachable
		}
		sent++
		if r, err = l.await(first, len(c.oids)*max(c.rows, 1)); err == nil {
			return r, sent, nil
		}
		if deadline, ok := ctx.Deadline(); ok && errors.Is(err, os.ErrDeadlineExceeded) && !time.Now().Before(deadline) {
			return reply{}, sent, context.DeadlineExceeded
		}
	}
	return reply{}, sent, err
}

// next takes a new id, of 31 bits and never 0.
func (l *plainLink) next() {
	l.id = (l.id + 1) & 0x7fffffff
	if l.id == 0 {
		l.id = 1
	}
}

// await reads until an answer to one of the ids from first on comes.
func (l *plainLink) await(first int32, hint int) (reply, error) {
	for {
		buf, n, err := l.receive()
		if err != nil {
			return reply{}, err
		}
		r, ours, err := l.understand(buf[:n], first, hint)
		l.buffers.Put(buf)
		if ours || err != nil {
			return r, err
		}
	}
}

// understand decodes an answer if it is one to an id from first on.
func (l *plainLink) understand(b []byte, first int32, hint int) (r reply, ours bool, err error) {
	id, pdu, err := envelope(b, l.version)
	if err != nil {
		return reply{}, false, fmt.Errorf("%w: %d bytes", errReply, len(b))
	}
	if age := (int64(l.id) - id) & 0x7fffffff; age > (int64(l.id)-int64(first))&0x7fffffff {
		return reply{}, false, nil
	}
	r, err = decode(pdu, hint)
	return r, true, err
}

// receive waits for a datagram. Its buffer is taken only once there is one, so
// that thousands of targets may be waited for. The caller gives it back.
func (l *plainLink) receive() (buf *[maxReply]byte, n int, err error) {
	var failed error
	err = l.raw.Read(func(fd uintptr) bool {
		buf, _ = l.buffers.Get().(*[maxReply]byte)
		if buf == nil {
			buf = new([maxReply]byte)
		}
		for {
			n, failed = syscall.Read(int(fd), buf[:]) //nolint:gosec // a file descriptor is an int
			if !errors.Is(failed, syscall.EINTR) {
				break
			}
		}
		if failed == nil {
			return true
		}
		l.buffers.Put(buf)
		buf = nil
		return !errors.Is(failed, syscall.EAGAIN)
	})
	if err == nil && failed != nil {
		err = os.NewSyscallError("read", failed)
	}
	return buf, n, err
}

// libraryLink speaks through gosnmp.
type libraryLink struct {
	*gosnmp.GoSNMP
	sent int
}

func (t Target) dialLibrary(ctx context.Context, timeout time.Duration) (link, error) {
	g, err := t.client(timeout)
	if err != nil {
		return nil, err
	}
	g.Context = ctx
	if err := g.Connect(); err != nil {
		return nil, err
	}
	l := &libraryLink{GoSNMP: g}
	g.OnSent = func(*gosnmp.GoSNMP) { l.sent++ }
	return l, nil
}

// do implements link.
func (l *libraryLink) do(ctx context.Context, c call) (reply, int, error) {
	l.Context, l.Timeout, l.Retries, l.sent = ctx, c.wait, c.again, 0
	packet, err := l.send(c)
	if err != nil {
		return reply{}, l.sent, err
	}
	return reply{packet.Error, int(packet.ErrorIndex), slices.Clip(packet.Variables)}, l.sent, nil
}

func (l *libraryLink) send(c call) (*gosnmp.SnmpPacket, error) {
	switch {
	case c.kind == gosnmp.GetRequest:
		return l.Get(c.oids)
	case l.Version == gosnmp.Version1:
		return l.GetNext(c.oids)
	default:
		return l.GetBulk(c.oids, 0, uint32(c.rows)) //nolint:gosec // a small number
	}
}
