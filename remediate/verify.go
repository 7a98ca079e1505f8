package remediate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/minikeeper/minikeeper"
)

// recollect is how often a collector that failed is asked again.
const recollect = 15 * time.Second

// A claim is when evidence of a run begins to count.
type claim struct {
	after time.Time // the end of the last step, by this process's clock
	end   time.Time // the same by the target's clock; zero if nobody knows it
}

// watch waits for the proof that r helped, and ends it either way.
func (e *Engine) watch(ctx context.Context, target minikeeper.Target, r Record, c claim) {
	w := &witness{e: e, target: target, run: r, claim: c, deadline: c.after.Add(r.Proof.Within)}
	proven, why := w.wait(ctx)
	switch {
	case proven:
		e.finish(ctx, r.ID, ending{state: minikeeper.RunSucceeded, reason: why})
	case ctx.Err() == nil:
		e.finish(ctx, r.ID, ending{
			state: minikeeper.RunFailed, gate: "unproven",
			reason: fmt.Sprintf("unproven within %s: %s", r.Proof.Within, why),
		})
	}
}

// A witness gathers what is measured after a run's last step.
type witness struct {
	e        *Engine
	target   minikeeper.Target
	run      Record
	claim    claim
	deadline time.Time

	measured []minikeeper.Measurement // by the clock of this process
	asked    time.Time                // when the target was last asked to collect
	trouble  string                   // why it could not
}

// wait returns once the claim has been proven without a break for as long as
// it must be, once it is too late for that, or once ctx ends.
func (w *witness) wait(ctx context.Context) (proven bool, why string) {
	var since time.Time
	for {
		w.collect(ctx)
		evidence := w.prove(ctx)
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			return false, "stopped while waiting for proof"
		case !evidence.Proven || !evidence.Fresh:
			since = time.Time{}
		case since.IsZero():
			since = now
		}
		if !since.IsZero() && now.Sub(since) >= w.run.Proof.StableFor {
			return true, evidence.Why
		}
		if !now.Before(w.deadline) {
			return false, evidence.Why
		}
		next := min(w.e.o.Poll, w.deadline.Sub(now))
		if !since.IsZero() {
			next = min(next, since.Add(w.run.Proof.StableFor).Sub(now))
		}
		pause(ctx, next)
	}
}

// prove asks the samples. Before the target has measured afresh nothing counts.
func (w *witness) prove(ctx context.Context) minikeeper.Evidence {
	if len(w.measured) == 0 {
		return minikeeper.Evidence{Why: "the target has not collected afresh: " + orElse(w.trouble, "it measured nothing")}
	}
	evidence, err := w.e.d.Prover.Prove(ctx, minikeeper.Claim{
		Expr: w.run.Proof.Expr, Server: w.run.Server, After: w.claim.after, Measurements: w.measured,
	})
	if err != nil {
		return minikeeper.Evidence{Why: err.Error()}
	}
	return evidence
}

// collect has the target read afresh what it has not read since the last step,
// or could not.
func (w *witness) collect(ctx context.Context) {
	missing := w.missing()
	if w.measured == nil {
		missing = w.e.d.Prover.Collectors(w.run.Proof.Expr)
	}
	now := time.Now()
	if w.measured != nil && len(missing) == 0 || !w.asked.IsZero() && now.Sub(w.asked) < recollect {
		return
	}
	w.asked = now
	ctx, cancel := context.WithDeadline(ctx, w.deadline.Add(time.Second))
	defer cancel()
	measured, err := w.target.Collect(ctx, missing...)
	if err != nil {
		w.trouble = err.Error()
	}
	for _, m := range measured {
		if !w.claim.end.IsZero() && m.Start.Before(w.claim.end) {
			m.Error = orElse(m.Error, "it was measured before the last step ended")
		}
		w.keep(w.local(m, now, measured))
	}
}

// missing returns the collectors that have not measured afresh.
func (w *witness) missing() []string {
	var names []string
	for _, m := range w.measured {
		if m.Error != "" {
			names = append(names, m.Collector)
		}
	}
	return names
}

func (w *witness) keep(m minikeeper.Measurement) {
	w.measured = slices.DeleteFunc(w.measured, func(old minikeeper.Measurement) bool { return old.Collector == m.Collector })
	w.measured = append(w.measured, m)
}

// local returns m with its time by the clock of this process, which the times
// of samples have too. The clocks are compared by the end of the last step,
// which both saw; where that is not known, by asked, since no collector began
// to read before it was asked to.
func (w *witness) local(m minikeeper.Measurement, asked time.Time, all []minikeeper.Measurement) minikeeper.Measurement {
	here, there := w.claim.after, w.claim.end
	if there.IsZero() {
		here, there = asked, m.Start
		for _, other := range all {
			if other.Start.Before(there) {
				there = other.Start
			}
		}
	}
	m.Start = here.Add(m.Start.Sub(there))
	return m
}
