package remediate

import (
	"context"
	"errors"
	"time"

	"github.com/minikeeper/minikeeper"
)

// A Prover says what the samples say about a claim.
type Prover interface {
	Prove(ctx context.Context, c minikeeper.Claim) (minikeeper.Evidence, error)

	// Collectors names the collectors that measure what expr reads; none if
	// that is not known. A server has to read these afresh, and need not spend
	// hours on comparing a share to prove that its mail works.
	Collectors(expr string) []string
}

// Alerts are what the rules say at the moment.
type Alerts interface {
	// Snapshot returns the alerts that are pending or firing. unsure holds the
	// names of alerts whose last evaluation failed: that one of those is
	// absent proves nothing.
	Snapshot(ctx context.Context) (alerts []minikeeper.Alert, unsure map[string]bool, err error)
}

// A Fleet knows the servers and how to reach each.
type Fleet interface {
	Server(name string) (minikeeper.Server, bool)
	Target(name string) (minikeeper.Target, error)
}

// Services tells whether a server serves. What is not known is not served.
type Services interface {
	// Serves tells whether server serves service, and why it is thought so.
	// The empty service, and the name "unknown", stand for all that the
	// server is there for.
	Serves(ctx context.Context, server, service string) (ok bool, why string, err error)
}

// Calendars are the configured windows.
type Calendars interface {
	// Open tells whether the calendar called name is open at a time. A name
	// that is not configured is an error.
	Open(name string, at time.Time) (bool, error)
}

// Errors that callers tell apart.
var (
	ErrNoRun      = errors.New("there is no such run")
	ErrNoIncident = errors.New("there is no such incident")
	ErrNoRemedy   = errors.New("there is no such remedy")
	ErrWrongPlan  = errors.New("the plan is another one by now")
	ErrNotNow     = errors.New("the run is not in a state for that")
	ErrScope      = errors.New("that cannot be paused")
)
