package remediate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/minikeeper/minikeeper"
)

// errMoot ends an admission that nothing depends on any more.
var errMoot = errors.New("no longer needed")

// admit asks all guards again and enters the run, in one transaction. v holds
// what was found out just before.
func (e *Engine) admit(ctx context.Context, c candidate, plan minikeeper.Plan, v View) (Record, error) {
	var record Record
	var refusal *Refusal
	err := e.d.Journal.Update(ctx, orElse(c.who, engineName), func(tx Tx) (err error) {
		record, refusal, err = e.decide(tx, c, plan, v, time.Now())
		return err
	})
	switch {
	case errors.Is(err, errMoot):
		return Record{}, nil
	case err != nil:
		return Record{}, fmt.Errorf("admit %s on %s: %w", c.remedy.Name, c.server.Name, err)
	case refusal != nil:
		return Record{}, refusal
	default:
		return record, nil
	}
}

// decide is the inside of the transaction that admits.
func (e *Engine) decide(tx Tx, c candidate, plan minikeeper.Plan, v View, now time.Time) (Record, *Refusal, error) {
	v, err := e.view(tx, c, v, now)
	if err != nil {
		return Record{}, nil, err
	}
	if moot, err := c.moot(tx, v); err != nil || moot {
		return Record{}, nil, errors.Join(err, errMoot)
	}
	mode, err := effective(tx, c.remedy)
	if err != nil {
		return Record{}, nil, err
	}
	d := c.decision(plan)
	refusal := Early(d, v, now)
	if refusal == nil {
		refusal = Late(d, v, now)
	}
	if refusal == nil && mode == ModeShadow && !d.Manual {
		refusal = refuse(GateShadow, "the mode is shadow: %s would be done", steps(plan))
	}
	if refusal != nil {
		return Record{}, refusal, e.suppress(tx, c, plan, refusal, now)
	}
	record, err := e.enter(tx, c, plan, mode, now)
	return record, nil, err
}

// moot tells whether somebody else dealt with c since it was looked at.
func (c candidate) moot(tx Tx, v View) (bool, error) {
	if c.atWork(v) {
		return true, nil
	}
	if c.record != nil {
		fresh, err := tx.Run(c.record.ID)
		return fresh.State != minikeeper.RunPending || fresh.HoldsSlot || fresh.PlanHash != c.record.PlanHash, err
	}
	return c.outdated(tx)
}

// outdated tells whether c's incident is over, or another run of it has failed
// since c was chosen, so that another remedy may be next.
func (c candidate) outdated(r Reader) (bool, error) {
	if c.incident.ID == 0 {
		return false, nil
	}
	i, err := r.Incident(c.incident.ID)
	return !i.Closed.IsZero() || len(i.Failed) != len(c.incident.Failed), err
}

// effective returns the lower of the mode in r's file and the cap on it.
func effective(r Reader, remedy *Remedy) (Mode, error) {
	circuits, err := r.Circuits()
	if err != nil {
		return ModeShadow, err
	}
	return capped(remedy, circuits), nil
}

func capped(remedy *Remedy, circuits []Circuit) Mode {
	for _, c := range circuits {
		if c.Remedy == remedy.Name && c.Open() && remedy.Mode == ModeAuto {
			return ModePropose
		}
	}
	return remedy.Mode
}

// enter writes the run: with a slot, or waiting for approval.
func (e *Engine) enter(tx Tx, c candidate, plan minikeeper.Plan, mode Mode, now time.Time) (Record, error) {
	hash := e.d.PlanHash(plan)
	record := e.newRecord(c, plan, now)
	why, ask := asks(c.decision(plan), mode)
	if c.record != nil {
		record = *c.record
		ask = record.PlanHash != hash
		why = "the plan has changed since " + record.Approver + " approved it"
	}
	record.Plan, record.PlanHash, record.Gate = plan, hash, ""
	if ask {
		return record, e.propose(tx, &record, why, now)
	}
	fence, err := tx.NextFence(now)
	if err != nil {
		return record, err
	}
	record.State, record.Reason = minikeeper.RunPending, "admitted"
	record.Fence, record.Owner, record.HoldsSlot, record.Admitted = fence, e.owner, true, now
	return record, tx.SaveRun(record)
}

// propose writes that r waits for approval, and tells people.
func (e *Engine) propose(tx Tx, r *Record, why string, now time.Time) error {
	r.State, r.Reason = minikeeper.RunAwaitingApproval, "waits for approval: "+why
	r.Approver, r.Asked = "", now
	if err := tx.SaveRun(*r); err != nil {
		return err
	}
	if err := markTold(tx, r.Incident); err != nil {
		return err
	}
	return tx.Tell(minikeeper.Event{
		Kind: minikeeper.EventApproval, At: now, Key: r.Alert.Key(), NeedsPeople: true,
		Summary: fmt.Sprintf("%s: may %s do %s on %s? %s", summaryOf(r.Alert), r.Remedy, steps(r.Plan), r.Server, why),
		Alert:   r.Alert, Run: &r.Run,
	})
}

// newRecord returns a run of c that is in no state yet.
func (e *Engine) newRecord(c candidate, plan minikeeper.Plan, now time.Time) Record {
	r := Record{
		Run: minikeeper.Run{
			ID:     now.UTC().Format("20060102-150405-") + token(),
			Remedy: c.remedy.Name, Action: c.remedy.Action,
			Server: c.server.Name, Site: c.server.Site, With: c.with,
			Alert: c.alert, Plan: plan, Created: now,
		},
		Incident: c.incident.ID, Ladder: c.ladder, Asker: c.who, Proof: c.proof,
	}
	if len(plan.Steps) > 0 {
		r.PlanHash = e.d.PlanHash(plan)
	}
	return r
}

// steps says how much a plan does.
func steps(p minikeeper.Plan) string {
	if len(p.Steps) == 1 {
		return fmt.Sprintf("%q", p.Steps[0].Name)
	}
	return fmt.Sprintf("%d steps", len(p.Steps))
}
