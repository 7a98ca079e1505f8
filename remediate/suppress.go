package remediate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/minikeeper/minikeeper"
)

// refused journals that r stopped c, and returns r.
func (e *Engine) refused(ctx context.Context, c candidate, plan minikeeper.Plan, r *Refusal) error {
	err := e.d.Journal.Update(ctx, orElse(c.who, engineName), func(tx Tx) error {
		return e.suppress(tx, c, plan, r, time.Now())
	})
	if err != nil {
		return fmt.Errorf("journal that %s is %w: %w", c.remedy.Name, r, err)
	}
	return r
}

// suppress writes that r stopped c: for each incident, remedy and gate once,
// and each time that a person asked. A run that was approved stays and waits.
func (e *Engine) suppress(tx Tx, c candidate, plan minikeeper.Plan, r *Refusal, now time.Time) error {
	if c.record != nil {
		return waits(tx, *c.record, r)
	}
	if c.incident.ID == 0 || c.who != "" {
		return tx.SaveRun(e.suppressed(c, plan, r, now))
	}
	if outdated, err := c.outdated(tx); err != nil || outdated {
		return err
	}
	all, err := tx.Suppressions(c.incident.ID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(s Suppression) bool { return s.Remedy == c.remedy.Name && s.Gate == r.Gate })
	var s Suppression
	if i >= 0 {
		s = all[i]
	} else {
		run := e.suppressed(c, plan, r, now)
		if err := tx.SaveRun(run); err != nil {
			return err
		}
		s = Suppression{
			Incident: c.incident.ID, Remedy: c.remedy.Name, Server: c.server.Name,
			Gate: r.Gate, Reason: r.Reason, Run: run.ID, First: now,
		}
	}
	tell := mustTell(s, now)
	s.Told = s.Told || tell
	if i < 0 || tell {
		if err := tx.Suppress(s); err != nil {
			return err
		}
	}
	if !tell {
		return nil
	}
	return e.tellBlocked(tx, c, s, now)
}

// mustTell tells whether people have to hear of s now.
func mustTell(s Suppression, now time.Time) bool {
	after, yes := s.Gate.needsPeople()
	return yes && !s.Told && now.Sub(s.First) >= after
}

// suppressed is the row of the history that says that c was not run.
func (e *Engine) suppressed(c candidate, plan minikeeper.Plan, r *Refusal, now time.Time) Record {
	rec := e.newRecord(c, plan, now)
	rec.State, rec.Gate, rec.Reason, rec.Ended = minikeeper.RunSuppressed, string(r.Gate), r.Reason, now
	return rec
}

// tellBlocked tells people that the repair cannot start.
func (e *Engine) tellBlocked(tx Tx, c candidate, s Suppression, now time.Time) error {
	if quiet(c.alert) {
		return nil
	}
	run, err := tx.Run(s.Run)
	if err != nil {
		return err
	}
	if err := markTold(tx, c.incident.ID); err != nil {
		return err
	}
	return tx.Tell(minikeeper.Event{
		Kind: minikeeper.EventFailed, At: now, Key: c.alert.Key(), NeedsPeople: true,
		Summary: fmt.Sprintf("%s: %s cannot start: %s", summaryOf(c.alert), c.remedy.Name, s.Reason),
		Alert:   c.alert, Run: &run.Run,
	})
}

// markTold notes that people heard of an incident, and so want to hear that it
// is over.
func markTold(tx Tx, incident int64) error {
	return changeIncident(tx, incident, func(i *Incident) { i.Told = true })
}

// changeIncident changes an incident if it is still open.
func changeIncident(tx Tx, id int64, f func(*Incident)) error {
	i, err := tx.Incident(id)
	if errors.Is(err, ErrNoIncident) || err == nil && !i.Closed.IsZero() {
		return nil
	}
	if err != nil {
		return err
	}
	f(&i)
	_, err = tx.SaveIncident(i)
	return err
}

// waits notes what an approved run waits for.
func waits(tx Tx, r Record, why *Refusal) error {
	reason := fmt.Sprintf("approved by %s; waits: %s", r.Approver, why.Reason)
	fresh, err := tx.Run(r.ID)
	if err != nil || fresh.State != minikeeper.RunPending || fresh.Gate == string(why.Gate) {
		return err
	}
	fresh.Reason, fresh.Gate = reason, string(why.Gate)
	return tx.SaveRun(fresh)
}
