package keeper

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Refused is the error of an order that was not carried out, and of which
// nothing was done: asking again helps only when something else has changed.
// Any other error of Do leaves open what happened.
type Refused struct {
	Reason string

	elsewhere bool // what stands before the keeper refused: this request only
}

func (r Refused) Error() string { return r.Reason }

// NothingDone tells packages that do not know this one that no step was begun.
func (Refused) NothingDone() bool { return true }

// ErrInterrupted is the error of a step that was begun before the keeper's
// process ended. What it did is not known, and it is not performed again.
var ErrInterrupted = errors.New("interrupted: what it did is not known")

func refuse(format string, args ...any) error {
	return Refused{Reason: fmt.Sprintf(format, args...)}
}

// panicked turns the panic of an action into an error: one bad action must
// not end the process that watches the server.
func (k *Keeper) panicked(doing string, cause any) error {
	k.log.Error("panic", "doing", doing, "cause", cause, "stack", string(debug.Stack()))
	return fmt.Errorf("%s: panic: %v", doing, cause)
}
