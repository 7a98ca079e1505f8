package remediate

import (
	"context"
	"fmt"
	"time"

	"github.com/minikeeper/minikeeper"
)

// takeOver claims what an earlier engine left. A run that had begun is now
// unknown; one that had not is cancelled, since nothing was done. It is done
// before the first alert is looked at, so nothing is run again blindly.
func (e *Engine) takeOver(ctx context.Context) error {
	return e.d.Journal.Update(ctx, engineName, func(tx Tx) error {
		open, err := tx.Open()
		if err != nil {
			return err
		}
		now := time.Now()
		for _, r := range open {
			if r.Owner == e.owner || !r.HoldsSlot || r.State.Ended() {
				continue
			}
			if err := tx.SaveRun(e.orphan(r, now)); err != nil {
				return err
			}
		}
		return nil
	})
}

// orphan returns r, whose owner is gone, as this engine takes it over.
func (e *Engine) orphan(r Record, now time.Time) Record {
	if r.State == minikeeper.RunPending {
		r.State, r.Reason = minikeeper.RunCancelled, "its owner was gone before its first step"
		r.Ended, r.HoldsSlot = now, false
		return r
	}
	if r.State != minikeeper.RunUnknown {
		r.Reason = fmt.Sprintf("its owner was gone while it was %s", r.State)
		r.State, r.Lost = minikeeper.RunUnknown, now
	}
	r.Owner = e.owner
	return r
}

// settle finds out what became of a run that was lost: first that no step of
// it is being performed any more, then whether the fault is gone.
func (e *Engine) settle(ctx context.Context, r Record) {
	target, err := e.d.Fleet.Target(r.Server)
	why := ""
	if err != nil {
		why = err.Error()
	}
	deadline := r.Lost.Add(r.Proof.Within)
	for target != nil {
		runs, err := e.stillRuns(ctx, target, r.ID)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			why = err.Error()
		case runs:
			deadline = time.Now().Add(r.Proof.Within)
		default:
			e.watch(ctx, target, r, claim{after: time.Now()})
			return
		}
		if !time.Now().Before(deadline) {
			break
		}
		pause(ctx, e.o.Poll)
	}
	if ctx.Err() != nil {
		return
	}
	e.finish(ctx, r.ID, ending{
		state: minikeeper.RunFailed, gate: "unproven", keepSlot: true,
		reason: "unproven, and its server does not say whether a step still runs: " + why,
	})
}

// stillRuns asks the target whether it is performing a step of a run.
func (e *Engine) stillRuns(ctx context.Context, target minikeeper.Target, run string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, e.o.Patience)
	defer cancel()
	running, err := target.Running(ctx)
	return running == run, err
}

// freeSlot gives back the slot of a run that ended while it was not known
// whether a step still ran, once the target says that none does.
func (e *Engine) freeSlot(ctx context.Context, r Record) {
	target, err := e.d.Fleet.Target(r.Server)
	if err != nil {
		return
	}
	if runs, err := e.stillRuns(ctx, target, r.ID); err != nil || runs {
		return
	}
	err = e.d.Journal.Update(ctx, engineName, func(tx Tx) error {
		fresh, err := tx.Run(r.ID)
		if err != nil || !fresh.HoldsSlot {
			return err
		}
		fresh.HoldsSlot = false
		return tx.SaveRun(fresh)
	})
	if err != nil {
		e.d.Log.ErrorContext(ctx, "free slot", "run", r.ID, "error", err)
	}
}
