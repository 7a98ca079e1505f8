package remediate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/minikeeper/minikeeper"
)

// An ending is how a run ends.
type ending struct {
	state    minikeeper.RunState // succeeded or failed
	gate     string              // the kind of failure: step, refused, unproven, closed
	reason   string
	keepSlot bool // it is not certain that no step runs
}

// finish ends a run: its row, its incident, its remedy's circuit, and what
// people hear of it, in one transaction.
func (e *Engine) finish(ctx context.Context, run string, end ending) {
	err := e.untilDone(ctx, "journal end of "+run, func(ctx context.Context) error {
		return e.d.Journal.Update(ctx, engineName, func(tx Tx) error { return e.end(tx, run, end, time.Now()) })
	})
	if err != nil {
		e.d.Log.ErrorContext(ctx, "journal end of run", "run", run, "error", err)
	}
	e.Wake()
}

func (e *Engine) end(tx Tx, run string, end ending, now time.Time) error {
	r, err := tx.Run(run)
	if err != nil || r.State.Ended() {
		return err
	}
	r.State, r.Gate, r.Reason, r.Ended, r.HoldsSlot = end.state, end.gate, end.reason, now, end.keepSlot
	if err := tx.SaveRun(r); err != nil {
		return err
	}
	if end.state == minikeeper.RunSucceeded {
		return e.endWell(tx, r, now)
	}
	return e.endBadly(tx, r, now)
}

func (e *Engine) endWell(tx Tx, r Record, now time.Time) error {
	if err := changeIncident(tx, r.Incident, func(i *Incident) { i.Told = false }); err != nil {
		return err
	}
	if c, err := circuitOf(tx, r.Remedy); err != nil {
		return err
	} else if c.Failures > 0 && !c.Open() {
		if err := tx.SaveCircuit(Circuit{Remedy: r.Remedy}); err != nil {
			return err
		}
	}
	return tx.Tell(minikeeper.Event{
		Kind: minikeeper.EventSucceeded, At: now, Key: r.Alert.Key(),
		Summary: fmt.Sprintf("%s: healed by %s, proven %s after its last step", summaryOf(r.Alert), r.Remedy, sinceActed(r, now)),
		Alert:   r.Alert, Run: &r.Run,
	})
}

func sinceActed(r Record, now time.Time) time.Duration {
	return now.Sub(firstSet(r.Acted, r.Lost)).Round(time.Second)
}

// endBadly counts a failure, and tells people unless another remedy is next.
func (e *Engine) endBadly(tx Tx, r Record, now time.Time) error {
	opened, err := e.countFailure(tx, r, now)
	if err != nil {
		return err
	}
	next := ""
	err = changeIncident(tx, r.Incident, func(i *Incident) {
		i.Failed = append(i.Failed, r.Remedy)
		if rung, exhausted := e.rung(orElse(r.Ladder, r.Remedy), i.Failed); !exhausted {
			next = rung.Name
		}
		i.Told = i.Told || next == "" || opened
	})
	if err != nil {
		return err
	}
	summary := fmt.Sprintf("%s: %s did not help: %s", summaryOf(r.Alert), r.Remedy, r.Reason)
	if next != "" {
		summary += "; next is " + next
	}
	if opened {
		summary += fmt.Sprintf("; %s will ask first from now on", r.Remedy)
	}
	return tx.Tell(minikeeper.Event{
		Kind: minikeeper.EventFailed, At: now, Key: r.Alert.Key(), NeedsPeople: next == "" || opened,
		Summary: summary, Alert: r.Alert, Run: &r.Run,
	})
}

// countFailure counts r against its remedy, and tells whether that opened the
// remedy's circuit.
func (e *Engine) countFailure(tx Tx, r Record, now time.Time) (opened bool, err error) {
	c, err := circuitOf(tx, r.Remedy)
	if err != nil {
		return false, err
	}
	c.Failures++
	if c.Failures >= e.o.Failures && !c.Open() {
		c.Opened, opened = now, true
		c.Reason = fmt.Sprintf("%d runs in a row did not help, the last of them %s on %s", c.Failures, r.ID, r.Server)
	}
	return opened, tx.SaveCircuit(c)
}

// circuitOf returns the circuit of a remedy.
func circuitOf(r Reader, remedy string) (Circuit, error) {
	all, err := r.Circuits()
	if i := slices.IndexFunc(all, func(c Circuit) bool { return c.Remedy == remedy }); i >= 0 {
		return all[i], err
	}
	return Circuit{Remedy: remedy}, err
}
