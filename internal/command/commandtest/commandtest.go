// Package commandtest gives tests a minikeeper.Runner that follows a script.
// It runs nothing.
package commandtest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/minikeeper/minikeeper"
)

// A Call is one expected command line and the answer to give it.
type Call struct {
	Want string // as Command.String has it
	Give minikeeper.Result
	Err  error
}

// A Script answers calls in order. Any other command fails the test, and so
// does a call that was expected and never came.
type Script struct {
	t testing.TB

	mu   sync.Mutex
	left []Call
}

// New returns a Script that expects exactly calls.
func New(t testing.TB, calls ...Call) *Script {
	t.Helper()
	s := &Script{t: t, left: calls}
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range s.left {
			t.Errorf("command never ran: %s", c.Want)
		}
	})
	return s
}

// Run implements minikeeper.Runner.
func (s *Script) Run(_ context.Context, c minikeeper.Command) (minikeeper.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.left) == 0 {
		s.t.Errorf("unexpected command: %s", c)
		return minikeeper.Result{}, fmt.Errorf("run %s: not in the script", c.Path)
	}
	next := s.left[0]
	if got := c.String(); got != next.Want {
		s.t.Errorf("command %q, want %q", got, next.Want)
		return minikeeper.Result{}, fmt.Errorf("run %s: not in the script", c.Path)
	}
	s.left = s.left[1:]
	return next.Give, next.Err
}
