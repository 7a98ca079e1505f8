//go:build !linux

package collectors

import (
	"errors"
	"fmt"
)

// kernelClock is how Linux is asked. Elsewhere programs are.
func kernelClock() (clock, error) {
	return clock{}, fmt.Errorf("adjtimex: %w", errors.ErrUnsupported)
}
