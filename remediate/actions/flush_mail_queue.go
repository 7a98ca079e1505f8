package actions

import (
	"context"
	"fmt"
	"time"

	"github.com/minikeeper/minikeeper"
)

// flushTimeout bounds postqueue -f, which only wakes the queue manager.
const flushTimeout = time.Minute

// flushMailQueue has postfix try everything in its queue again now.
type flushMailQueue struct{}

func (flushMailQueue) Name() string { return "flush-mail-queue" }

func (flushMailQueue) Describe() Description {
	return Description{
		Doc:        "Has postfix try every message in its queue again now.",
		Idempotent: true,
	}
}

func (f flushMailQueue) Plan(_ context.Context, m Machine, with map[string]string) (minikeeper.Plan, error) {
	if err := f.Describe().Check(with); err != nil {
		return minikeeper.Plan{}, fmt.Errorf("plan flush-mail-queue: %w", err)
	}
	return minikeeper.Plan{
		Action:     f.Name(),
		Idempotent: true,
		Steps: []minikeeper.Step{{
			Name:    "flush the mail queue",
			Command: postfixCommand(m.Postfix, "postqueue", "-f"),
			Timeout: flushTimeout,
		}},
	}, nil
}

func (flushMailQueue) Do(_ context.Context, _ Machine, s minikeeper.Step) (string, error) {
	return "", fmt.Errorf("perform %q: the action flush-mail-queue has no operations", s.Op)
}

// postfixCommand returns the command line of one of postfix's programs for the
// instance that p is about.
func postfixCommand(p PostfixMachine, name string, args ...string) *minikeeper.Command {
	if p.ConfigDir != "" {
		args = append([]string{"-c", p.ConfigDir}, args...)
	}
	return &minikeeper.Command{Path: program(p.Command, name), Args: args}
}
