package keeper

import (
	"context"
	"fmt"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/remediate/actions"
)

// An attempt is a step that is being performed. Everybody who asks for the
// same step waits for the same attempt.
type attempt struct {
	order minikeeper.Order
	step  int
	done  chan struct{} // closed when result and err are set
	// After done:
	result minikeeper.StepResult
	err    error
}

// Do implements minikeeper.Target. The step goes on when ctx ends; asking
// again with the same order finds it, or what it left behind. The error is a
// Refused if nothing was begun, and ErrInterrupted if the step was begun by a
// process that is no more.
func (k *Keeper) Do(ctx context.Context, o minikeeper.Order, i int) (minikeeper.StepResult, error) {
	a, err := k.begin(ctx, o, i)
	if err != nil {
		return minikeeper.StepResult{}, err
	}
	select {
	case <-a.done:
		return a.result, a.err
	case <-ctx.Done():
		return minikeeper.StepResult{}, fmt.Errorf("wait for step %d of run %s: %w", i, o.Run, context.Cause(ctx))
	}
}

// begin finds the attempt at step i of o, or starts it. What was begun is
// looked for first: a refusal of it would say that nothing was done.
func (k *Keeper) begin(ctx context.Context, o minikeeper.Order, i int) (*attempt, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	run := k.record.runs[o.Run]
	if err := k.sameOrder(run, o); err != nil {
		return nil, err
	}
	if a := k.active; a != nil && a.step == i && sameRun(a.order, o) {
		return a, nil
	}
	if s := run.step(i); s != nil {
		return recorded(o, i, s)
	}
	action, err := k.cfg.allowed(o)
	if err != nil {
		return nil, err
	}
	if err := k.admit(run, o, i); err != nil {
		return nil, err
	}
	a := &attempt{order: o, step: i, done: make(chan struct{})}
	k.active = a
	go k.perform(context.WithoutCancel(ctx), a, action, run)
	return a, nil
}

// sameOrder refuses an order that is incomplete, or differs from the one that
// its run began with.
func (k *Keeper) sameOrder(run *runRecord, o minikeeper.Order) error {
	switch {
	case o.Run == "" || o.PlanHash == "":
		return refuse("the order names no run or no plan")
	case run == nil:
		return nil
	case !sameRun(minikeeper.Order{Run: run.Run, Action: run.Action, PlanHash: run.Hash, Fence: run.Fence}, o):
		return refuse("run %s began with another plan", o.Run)
	default:
		return nil
	}
}

// sameRun tells whether two orders belong to one run and one plan.
func sameRun(a, b minikeeper.Order) bool {
	return a.Run == b.Run && a.Action == b.Action && a.PlanHash == b.PlanHash && a.Fence == b.Fence
}

// recorded answers for a step that was begun before.
func recorded(o minikeeper.Order, i int, s *stepRecord) (*attempt, error) {
	if s.result == nil {
		return nil, fmt.Errorf("step %d of run %s, begun at %s, was %w", i, o.Run, s.began.UTC().Format(time.RFC3339), ErrInterrupted)
	}
	a := &attempt{order: o, step: i, done: make(chan struct{}), result: *s.result}
	close(a.done)
	return a, nil
}

// admit refuses a step that must not begin now.
func (k *Keeper) admit(run *runRecord, o minikeeper.Order, i int) error {
	last := k.record.last
	switch {
	case k.closed:
		return refuse("the keeper is stopping")
	case k.active != nil:
		return refuse("step %d of run %s is being performed", k.active.step, k.active.order.Run)
	case last != nil && o.Fence < last.Fence:
		return refuse("the order's fence %d is older than %d, that of run %s", o.Fence, last.Fence, last.Run)
	case run == nil && last != nil && o.Fence == last.Fence:
		return refuse("the order's fence %d is that of run %s", o.Fence, last.Run)
	case run == nil && i != 0:
		return refuse("step %d of run %s is asked for, and it has not begun here", i, o.Run)
	case i == 0:
		return nil
	case i < 0 || i >= len(run.Plan.Steps):
		return refuse("the plan of run %s has no step %d", o.Run, i)
	}
	before := run.step(i - 1)
	if before == nil || before.result == nil || before.result.Error != "" {
		return refuse("step %d of run %s has not succeeded", i-1, o.Run)
	}
	return nil
}

// perform carries out the attempt. run is nil if nothing was accepted yet.
func (k *Keeper) perform(ctx context.Context, a *attempt, action actions.Action, run *runRecord) {
	result, err := k.carryOut(ctx, a, action, run)
	k.mu.Lock()
	defer k.mu.Unlock()
	a.result, a.err = result, err
	k.active = nil
	close(a.done)
}

func (k *Keeper) carryOut(ctx context.Context, a *attempt, action actions.Action, run *runRecord) (minikeeper.StepResult, error) {
	if a.step == 0 {
		accepted, err := k.accept(ctx, action, a.order)
		if err != nil {
			return minikeeper.StepResult{}, err
		}
		run = accepted
	}
	if err := k.intend(run, a.step); err != nil {
		return minikeeper.StepResult{}, refuse("nothing was done, since the intent could not be recorded: %v", err)
	}
	step := run.Plan.Steps[a.step]
	k.log.Info("step begins", "run", run.Run, "step", a.step, "does", step.String())
	result := k.do(ctx, action, step)
	k.log.Info("step ended", "run", run.Run, "step", a.step, "took", result.End.Sub(result.Start), "error", result.Error)
	k.conclude(run, a.step, result)
	return result, nil
}

// accept plans afresh and compares with what was admitted.
func (k *Keeper) accept(ctx context.Context, action actions.Action, o minikeeper.Order) (*runRecord, error) {
	ctx, cancel := context.WithTimeout(ctx, planTimeout)
	defer cancel()
	plan, err := k.plan(ctx, action, o)
	if err != nil {
		return nil, refuse("nothing was done, since no plan could be made: %v", err)
	}
	if hash := actions.PlanHash(plan); hash != o.PlanHash {
		return nil, refuse("nothing was done, since the plan is another one by now: %s instead of %s", short(hash), short(o.PlanHash))
	}
	if len(plan.Steps) == 0 {
		return nil, refuse("the plan of run %s has no step 0", o.Run)
	}
	return &runRecord{accepted: accepted{
		Run: o.Run, Fence: o.Fence, Action: o.Action, Hash: o.PlanHash, Plan: plan,
	}}, nil
}

func (k *Keeper) intend(run *runRecord, step int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.record.intend(run, step, time.Now())
}

// conclude records what a step left behind. Where the disk does not take it,
// memory does, and the disk is tried again with the next step.
func (k *Keeper) conclude(run *runRecord, step int, result minikeeper.StepResult) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.record.conclude(run, step, result); err != nil {
		k.log.Error("cannot record a step's outcome; it will count as interrupted after a restart",
			"run", run.Run, "step", step, "error", err)
	}
}

// short is enough of a hash to tell two apart.
func short(hash string) string {
	if len(hash) > 12 {
		return hash[:12]
	}
	return hash
}
