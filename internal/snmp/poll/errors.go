package poll

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/gosnmp/gosnmp"
)

// A Reason is why something could not be read, as a metric's label has it.
type Reason string

// The reasons.
const (
	Deadline      Reason = "deadline"       // the scrape's time was over
	Timeout       Reason = "timeout"        // no answer to a request and its repetitions
	Silent        Reason = "silent"         // the target answered nothing at all
	Refused       Reason = "refused"        // nobody listens on the port
	Unreachable   Reason = "unreachable"    // no address, no route
	GenErr        Reason = "gen_err"        // the agent failed to read an object
	TooBig        Reason = "too_big"        // even one object did not fit a reply
	NoSuchName    Reason = "no_such_name"   // of version 1
	NoAccess      Reason = "no_access"      // the agent denies it
	ErrorStatus   Reason = "error_status"   // any other status
	NonIncreasing Reason = "non_increasing" // the agent went back
	PDULimit      Reason = "pdu_limit"      // more objects than a scrape may read
	ByteLimit     Reason = "byte_limit"     // more bytes than a scrape may read
	BadReply      Reason = "bad_reply"      // not understood
	WrongDigest   Reason = "wrong_digest"   // version 3: wrong password or protocol
	TimeWindow    Reason = "time_window"    // version 3: clocks differ
	EngineID      Reason = "engine_id"      // version 3: another engine answers
	UnknownUser   Reason = "unknown_user"   // version 3
	SecurityLevel Reason = "security_level" // version 3: more or less is wanted
	Decryption    Reason = "decryption"     // version 3
)

// An Error says why a subtree or an object could not be read.
type Error struct {
	Reason Reason
	Err    error
}

// Error implements error.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ReasonOf returns the reason of an error that this package returned.
func ReasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return BadReply
}

func fail(r Reason, format string, args ...any) *Error {
	return &Error{r, fmt.Errorf(format, args...)}
}

// statusError is what an agent says instead of an answer.
func statusError(status gosnmp.SNMPError, oid string) *Error {
	reason := ErrorStatus
	switch status { //nolint:exhaustive // the rest is rare and says no more
	case gosnmp.TooBig:
		reason = TooBig
	case gosnmp.NoSuchName:
		reason = NoSuchName
	case gosnmp.GenErr:
		reason = GenErr
	case gosnmp.NoAccess, gosnmp.AuthorizationError:
		reason = NoAccess
	}
	return fail(reason, "read %s: the agent answers %v", oid, status)
}

// requestError classifies what gosnmp returns for a request that got no answer.
func requestError(ctx context.Context, err error) *Error {
	if ctx.Err() != nil {
		return fail(Deadline, "no time left: %w", context.Cause(ctx))
	}
	known := []struct {
		is     error
		reason Reason
	}{
		{gosnmp.ErrWrongDigest, WrongDigest},
		{gosnmp.ErrNotInTimeWindow, TimeWindow},
		{gosnmp.ErrUnknownEngineID, EngineID},
		{gosnmp.ErrUnknownUsername, UnknownUser},
		{gosnmp.ErrUnknownSecurityLevel, SecurityLevel},
		{gosnmp.ErrDecryption, Decryption},
		{gosnmp.ErrMaxRetriesExceeded, Timeout},
		{context.DeadlineExceeded, Deadline},
		{os.ErrDeadlineExceeded, Timeout},
		{syscall.ECONNREFUSED, Refused},
		{syscall.EHOSTUNREACH, Unreachable},
		{syscall.ENETUNREACH, Unreachable},
	}
	for _, k := range known {
		if errors.Is(err, k.is) {
			return &Error{k.reason, err}
		}
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return &Error{Unreachable, err}
	}
	if strings.Contains(err.Error(), "incoming packet is not authentic") {
		return &Error{WrongDigest, err}
	}
	return &Error{BadReply, err}
}
