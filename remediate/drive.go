package remediate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/minikeeper/minikeeper"
)

const (
	stale       = time.Minute      // an admission is worth nothing if its first step could not begin by then
	stepTimeout = 10 * time.Minute // of a step that names none
	stepMargin  = 5 * time.Second  // for the target to report its own timeout
)

// errStopped ends a run whose first step must not begin any more.
var errStopped = errors.New("the run was stopped")

// drive moves r from its admission to its end. If ctx ends, r is left where it
// is, for the next engine to take over.
func (e *Engine) drive(ctx context.Context, r Record) {
	target, err := e.d.Fleet.Target(r.Server)
	if err != nil {
		e.finish(ctx, r.ID, ending{state: minikeeper.RunFailed, gate: "step", reason: err.Error()})
		return
	}
	var last minikeeper.StepResult
	for i, step := range r.Plan.Steps {
		if ctx.Err() != nil {
			return
		}
		if err := e.intend(ctx, r.ID, i, step); err != nil {
			e.logStop(ctx, r, err)
			return
		}
		order := minikeeper.Order{Run: r.ID, Fence: r.Fence, Action: r.Action, With: r.With, PlanHash: r.PlanHash}
		result, err := e.perform(ctx, target, order, i, step)
		if nothing, ok := errors.AsType[untouched](err); ok && nothing.NothingDone() {
			e.refuse(ctx, r.ID, i, step, err)
			return
		}
		if err != nil {
			e.lose(ctx, r.ID, fmt.Sprintf("step %q: %v", step.Name, err))
			return
		}
		done := i == len(r.Plan.Steps)-1 && result.Error == ""
		if err := e.conclude(ctx, r.ID, i, result, done); err != nil {
			e.logStop(ctx, r, err)
			return
		}
		if result.Error != "" {
			e.finish(ctx, r.ID, ending{state: minikeeper.RunFailed, gate: "step", reason: fmt.Sprintf("step %q: %s", step.Name, result.Error)})
			return
		}
		last = result
	}
	e.watch(ctx, target, r, claim{after: time.Now(), end: last.End})
}

// untouched is an error of a target that refused a step and did nothing of it.
type untouched interface {
	error
	NothingDone() bool
}

// refuse ends a run whose target would not do step i.
func (e *Engine) refuse(ctx context.Context, run string, i int, step minikeeper.Step, why error) {
	now := time.Now()
	if err := e.conclude(ctx, run, i, minikeeper.StepResult{Start: now, End: now, Error: why.Error()}, false); err != nil {
		e.d.Log.ErrorContext(ctx, "journal refusal", "run", run, "error", err)
		return
	}
	e.finish(ctx, run, ending{state: minikeeper.RunFailed, gate: "refused", reason: fmt.Sprintf("step %q: %v", step.Name, why)})
}

func (e *Engine) logStop(ctx context.Context, r Record, err error) {
	if !errors.Is(err, errStopped) {
		e.d.Log.ErrorContext(ctx, "journal step", "run", r.ID, "error", err)
	}
}

// intend writes that step i is about to begin. Until that is on disk, it does not.
func (e *Engine) intend(ctx context.Context, run string, i int, step minikeeper.Step) error {
	stopped := false
	err := e.untilDone(ctx, "journal intent of "+run, func(ctx context.Context) error {
		return e.d.Journal.Update(ctx, engineName, func(tx Tx) (err error) {
			stopped, err = e.begin(tx, run, i, step, time.Now())
			return err
		})
	})
	if err == nil && (stopped || ctx.Err() != nil) {
		return errStopped
	}
	return err
}

func (e *Engine) begin(tx Tx, run string, i int, step minikeeper.Step, now time.Time) (stopped bool, err error) {
	r, err := tx.Run(run)
	if err != nil {
		return false, err
	}
	from := minikeeper.RunRunning
	if i == 0 {
		from = minikeeper.RunPending
	}
	switch {
	case r.State != from || !r.HoldsSlot || r.Owner != e.owner:
		return true, nil // it ended, or somebody else moves it
	case i == 0 && now.Sub(r.Admitted) > stale:
		r.State, r.Reason, r.Ended, r.HoldsSlot = minikeeper.RunCancelled, "could not be begun for "+stale.String(), now, false
		return true, tx.SaveRun(r)
	case i == 0:
		r.Started = now
		if err := e.tellStarted(tx, r, now); err != nil {
			return false, err
		}
	}
	r.State, r.Reason = minikeeper.RunRunning, fmt.Sprintf("step %d of %d: %s", i+1, len(r.Plan.Steps), step.Name)
	if err := tx.SaveRun(r); err != nil {
		return false, err
	}
	return false, tx.Intend(run, i, step, now)
}

func (e *Engine) tellStarted(tx Tx, r Record, now time.Time) error {
	return tx.Tell(minikeeper.Event{
		Kind: minikeeper.EventStarted, At: now, Key: r.Alert.Key(),
		Summary: fmt.Sprintf("%s: %s does %s on %s", summaryOf(r.Alert), r.Remedy, steps(r.Plan), r.Server),
		Alert:   r.Alert, Run: &r.Run,
	})
}

// perform has the target do step i. It outlives ctx by Options.Grace, so that
// the outcome of a step that is nearly done is known.
func (e *Engine) perform(ctx context.Context, target minikeeper.Target, o minikeeper.Order, i int, step minikeeper.Step) (minikeeper.StepResult, error) {
	limit := cmp.Or(step.Timeout, stepTimeout) + stepMargin
	inner, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		pause(inner, e.o.Grace)
		cancel()
	})
	defer stop()
	result, err := target.Do(inner, o, i)
	if err != nil && errors.Is(inner.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %s: %w", limit, err)
	}
	return result, err
}

// conclude writes how step i ended; done says that it was the last one.
func (e *Engine) conclude(ctx context.Context, run string, i int, result minikeeper.StepResult, done bool) error {
	acted := time.Now()
	return e.untilDone(ctx, "journal outcome of "+run, func(ctx context.Context) error {
		return e.d.Journal.Update(ctx, engineName, func(tx Tx) error {
			r, err := tx.Run(run)
			if err != nil {
				return err
			}
			if err := tx.Conclude(run, i, result); err != nil {
				return err
			}
			if !done {
				return nil
			}
			r.State, r.Acted = minikeeper.RunVerifying, acted
			r.Reason = "steps are done; waits for proof"
			return tx.SaveRun(r)
		})
	})
}

// lose writes that nobody knows what r's step did. The run is settled by what
// the target and the samples say.
func (e *Engine) lose(ctx context.Context, run, reason string) {
	err := e.untilDone(ctx, "journal loss of "+run, func(ctx context.Context) error {
		return e.d.Journal.Update(ctx, engineName, func(tx Tx) error {
			r, err := tx.Run(run)
			if err != nil || r.State.Ended() {
				return err
			}
			r.State, r.Reason, r.Lost = minikeeper.RunUnknown, reason, time.Now()
			return tx.SaveRun(r)
		})
	})
	if err != nil {
		e.d.Log.ErrorContext(ctx, "journal loss of run", "run", run, "error", err)
	}
	e.Wake()
}
