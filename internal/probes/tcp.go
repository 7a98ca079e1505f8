package probes

import (
	"context"
	"fmt"
	"net"
	"time"
)

// TCP connects to a port, and greets in the protocol of the service where it
// knows one: a port that is open says little about a file server that hangs.
type TCP struct {
	Address string // HOST:PORT
	Speak   string // SpeakSMB, SpeakAFP, or empty to connect only
}

// The protocols that TCP speaks.
const (
	SpeakSMB = "smb"
	SpeakAFP = "afp"
)

// Probe implements Prober.
func (p TCP) Probe(ctx context.Context) Result {
	conn, problem := dial(ctx, p.Address)
	if problem != nil {
		return failed(problem)
	}
	defer func() { _ = conn.Close() }()
	var err error
	switch p.Speak {
	case SpeakSMB:
		err = negotiateSMB(conn)
	case SpeakAFP:
		err = statusAFP(conn)
	}
	if err != nil {
		return failed(spoken(ctx, p.Speak, err))
	}
	return Result{Serves: true}
}

// A protocolError says that the other side answered, but not as the protocol
// has it.
type protocolError struct{ said string }

func (e *protocolError) Error() string { return e.said }

func wrongWords(format string, args ...any) error {
	return &protocolError{fmt.Sprintf(format, args...)}
}

// dial connects. The connection fails when ctx ends.
func dial(ctx context.Context, address string) (net.Conn, *Problem) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, connection(ctx, "connect", err)
	}
	if end, ok := ctx.Deadline(); ok {
		err = conn.SetDeadline(end)
	}
	if err != nil {
		_ = conn.Close()
		return nil, connection(ctx, "connect", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return &watched{conn, stop}, nil
}

// watched is a connection that fails when a context ends.
type watched struct {
	net.Conn
	stop func() bool
}

// Close implements net.Conn.
func (w *watched) Close() error {
	w.stop()
	return w.Conn.Close()
}
