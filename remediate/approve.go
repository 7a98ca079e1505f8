package remediate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/minikeeper/minikeeper"
)

// Approve lets a run that waits for approval start as soon as its guards
// agree. planHash is the plan that who has seen; if it is not the run's, the
// error is ErrWrongPlan. The plan is made again before the run starts, and
// another one needs another approval.
func (e *Engine) Approve(ctx context.Context, run, planHash, who string) error {
	err := e.d.Journal.Update(ctx, who, func(tx Tx) error {
		r, err := awaiting(tx, run)
		if err != nil {
			return err
		}
		if planHash != r.PlanHash {
			return fmt.Errorf("plan %s: %w", planHash, ErrWrongPlan)
		}
		if time.Since(r.Asked) > e.o.Approval {
			return fmt.Errorf("asked at %s, for %s: %w", stamp(r.Asked), e.o.Approval, ErrNotNow)
		}
		r.State, r.Approver, r.Reason = minikeeper.RunPending, who, "approved by "+who
		return tx.SaveRun(r)
	})
	if err != nil {
		return fmt.Errorf("approve run %s: %w", run, err)
	}
	e.Wake()
	return nil
}

// Deny cancels a run that waits for approval, or for its guards after it. Its
// remedy asks no more about this incident.
func (e *Engine) Deny(ctx context.Context, run, who string) error {
	err := e.d.Journal.Update(ctx, who, func(tx Tx) error {
		r, err := awaiting(tx, run)
		if err != nil {
			return err
		}
		return deny(tx, r, "denied by "+who, time.Now())
	})
	if err != nil {
		return fmt.Errorf("deny run %s: %w", run, err)
	}
	return nil
}

// awaiting returns a run that a person may still decide about.
func awaiting(tx Tx, run string) (Record, error) {
	r, err := tx.Run(run)
	if err != nil {
		return r, err
	}
	approved := r.State == minikeeper.RunPending && r.Approver != "" && !r.HoldsSlot
	if r.State != minikeeper.RunAwaitingApproval && !approved {
		return r, fmt.Errorf("it is %s: %w", r.State, ErrNotNow)
	}
	return r, nil
}

// deny ends r, and keeps its remedy from asking again about the incident.
func deny(tx Tx, r Record, reason string, now time.Time) error {
	r.State, r.Gate, r.Reason, r.Ended = minikeeper.RunCancelled, string(GateDenied), reason, now
	if err := tx.SaveRun(r); err != nil || r.Incident == 0 {
		return err
	}
	return tx.Suppress(Suppression{
		Incident: r.Incident, Remedy: r.Remedy, Server: r.Server,
		Gate: GateDenied, Reason: reason, Run: r.ID, First: now, Told: true,
	})
}

// expire cancels what nobody approved in time, and tells people.
func (e *Engine) expire(ctx context.Context, open []Record, now time.Time) error {
	late := func(r Record) bool {
		return r.State == minikeeper.RunAwaitingApproval && now.Sub(r.Asked) > e.o.Approval
	}
	var errs []error
	for _, r := range open {
		if !late(r) {
			continue
		}
		errs = append(errs, e.d.Journal.Update(ctx, engineName, func(tx Tx) error {
			fresh, err := tx.Run(r.ID)
			if err != nil || !late(fresh) {
				return err
			}
			return e.lapse(tx, fresh, now)
		}))
	}
	return errors.Join(errs...)
}

func (e *Engine) lapse(tx Tx, r Record, now time.Time) error {
	if err := deny(tx, r, "nobody approved it within "+e.o.Approval.String(), now); err != nil {
		return err
	}
	return tx.Tell(minikeeper.Event{
		Kind: minikeeper.EventFailed, At: now, Key: r.Alert.Key(), NeedsPeople: true,
		Summary: fmt.Sprintf("%s: %s was not approved within %s", summaryOf(r.Alert), r.Remedy, e.o.Approval),
		Alert:   r.Alert, Run: &r.Run,
	})
}

// approved returns those of open that a person approved and that wait for
// their guards.
func (e *Engine) approved(ctx context.Context, open []Record) ([]candidate, error) {
	var all []candidate
	var errs []error
	for _, r := range open {
		if r.State != minikeeper.RunPending || r.Approver == "" || r.HoldsSlot {
			continue
		}
		c := candidate{record: &r, alert: r.Alert, ladder: r.Ladder, with: r.With, proof: r.Proof}
		if c.remedy = e.remedy(r.Remedy); c.remedy == nil || c.remedy.Action != r.Action {
			errs = append(errs, e.dropApproved(ctx, r.ID))
			continue
		}
		incident, err := e.incident(ctx, r.Incident)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c.incident = incident
		c.server, c.refusal, _ = e.target(c.remedy, c.alert)
		all = append(all, c)
	}
	return all, errors.Join(errs...)
}

// incident returns the incident with an id; none for 0.
func (e *Engine) incident(ctx context.Context, id int64) (i Incident, err error) {
	if id == 0 {
		return Incident{}, nil
	}
	err = e.d.Journal.Read(ctx, func(r Reader) error {
		i, err = r.Incident(id)
		return err
	})
	return i, err
}

// dropApproved cancels a run whose remedy is no longer what was approved.
func (e *Engine) dropApproved(ctx context.Context, run string) error {
	return e.d.Journal.Update(ctx, engineName, func(tx Tx) error {
		r, err := awaiting(tx, run)
		if err != nil {
			return err
		}
		r.State, r.Reason, r.Ended = minikeeper.RunCancelled, "its remedy is no longer the one that was approved", time.Now()
		return tx.SaveRun(r)
	})
}
