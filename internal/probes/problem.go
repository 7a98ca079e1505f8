package probes

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// A Problem is what is wrong with a service: a name that rules can match, and
// the words for people.
type Problem struct {
	Name string // one of the constants; the label `problem`
	Err  error
}

// Error implements error.
func (p *Problem) Error() string { return p.Name + ": " + p.Err.Error() }

// Unwrap returns what was seen.
func (p *Problem) Unwrap() error { return p.Err }

func problemf(name, format string, args ...any) *Problem {
	return &Problem{Name: name, Err: fmt.Errorf(format, args...)}
}

// What can be wrong with any service.
const (
	NameUnknown   = "name"        // the name of the host has no address
	Refused       = "refused"     // nothing listens there
	Unreachable   = "unreachable" // there is no way to the host
	TimedOut      = "timeout"     // it did not answer in time, or stopped in the middle
	Closed        = "closed"      // it hung up
	Certificate   = "certificate" // its certificate cannot be trusted, or TLS fails
	Protocol      = "protocol"    // it speaks something else than it should
	Unavailable   = "unavailable" // it says that it cannot serve now
	NoConnection  = "connection"  // the connection failed in another way
	Misconfigured = "settings"    // the probe itself cannot work: a file that it needs is missing
)

// connection is the problem that err of a connection shows. When the time of
// ctx is over everything fails, whatever the words are.
func connection(ctx context.Context, doing string, err error) *Problem {
	name := NoConnection
	switch {
	case ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		name = TimedOut
	case is[*net.DNSError](err):
		name = NameUnknown
	case errors.Is(err, syscall.ECONNREFUSED):
		name = Refused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		name = Unreachable
	case untrusted(err):
		name = Certificate
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		name = Closed
	}
	return problemf(name, "%s: %w", doing, err)
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// untrusted tells whether err is about TLS.
func untrusted(err error) bool {
	return is[*tls.CertificateVerificationError](err) || is[x509.UnknownAuthorityError](err) || is[x509.HostnameError](err) ||
		is[x509.CertificateInvalidError](err) || is[tls.RecordHeaderError](err) || is[tls.AlertError](err)
}

func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}
