package keeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/remediate/actions"
)

// outputLimit bounds what is kept of a step's output: its end.
const outputLimit = 4 << 10

// do performs one step and says what it left behind.
func (k *Keeper) do(ctx context.Context, action actions.Action, s minikeeper.Step) minikeeper.StepResult {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	result := minikeeper.StepResult{Start: time.Now()}
	output, err := k.outcome(ctx, action, s)
	result.End = time.Now()
	result.Output = tail(output)
	switch {
	case err == nil:
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		result.Error = tail(fmt.Sprintf("did not end within %v and was stopped: %v", s.Timeout, err))
	default:
		result.Error = tail(err.Error())
	}
	return result
}

// outcome runs the command of s or has action perform the operation.
func (k *Keeper) outcome(ctx context.Context, action actions.Action, s minikeeper.Step) (output string, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = k.panicked(s.Name, cause)
		}
	}()
	machine := k.settings().Machine
	if s.Command == nil {
		return action.Do(ctx, machine, s)
	}
	res, err := machine.Run.Run(ctx, *s.Command)
	output = string(bytes.TrimSpace(append(bytes.TrimSpace(res.Stdout), append([]byte("\n"), res.Stderr...)...)))
	if err == nil && res.Exit != 0 {
		err = fmt.Errorf("exit %d", res.Exit)
		if said := output[strings.LastIndexByte(output, '\n')+1:]; said != "" {
			err = fmt.Errorf("exit %d: %s", res.Exit, said)
		}
	}
	return output, err
}

// tail returns the end of s, in whole characters and valid UTF-8, so that it
// is the same after a journey as JSON.
func tail(s string) string {
	if len(s) > outputLimit {
		s = s[len(s)-outputLimit:]
		for len(s) > 0 && !utf8.RuneStart(s[0]) {
			s = s[1:]
		}
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > outputLimit { // the replacement is longer than what it replaces
		return tail(s)
	}
	return s
}
