package remediate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper"
)

// Start has who try a remedy now, for the firing alert that has labels, or for
// labels alone if there is none. The guards hold as always; only the mode does
// not ask. The error is a *Refusal if a guard, or errors.Is ErrNoRemedy.
// The run is returned as it was admitted: it goes on in [Engine.Run].
func (e *Engine) Start(ctx context.Context, remedy string, labels map[string]string, who string) (Record, error) {
	c, err := e.byHand(ctx, remedy, labels, who)
	if err != nil {
		return Record{}, err
	}
	r, err := e.attempt(ctx, c)
	if err == nil && r.ID == "" {
		return r, fmt.Errorf("start %s on %s: a run of it is under way: %w", remedy, c.server.Name, ErrNotNow)
	}
	return r, err
}

// A Preview is what a remedy would do now.
type Preview struct {
	Remedy   string           `json:"remedy"`
	Mode     Mode             `json:"mode"` // the effective one
	Server   string           `json:"server"`
	Order    minikeeper.Order `json:"order"`
	Plan     minikeeper.Plan  `json:"plan"`
	PlanHash string           `json:"plan_hash,omitempty"`
	Proof    Proof            `json:"proof"`
	Asks     string           `json:"asks,omitempty"` // why a person would have to approve; "" if none would
	Refusal  *Refusal         `json:"refusal,omitempty"`
}

// Preview returns what Start would do. It changes nothing, in the journal
// neither.
func (e *Engine) Preview(ctx context.Context, remedy string, labels map[string]string, who string) (Preview, error) {
	c, err := e.byHand(ctx, remedy, labels, who)
	if err != nil {
		return Preview{}, err
	}
	p := Preview{
		Remedy: remedy, Server: c.server.Name, Proof: c.proof, Refusal: c.refusal,
		Order: minikeeper.Order{Action: c.remedy.Action, With: c.with},
	}
	err = e.d.Journal.Read(ctx, func(r Reader) (err error) {
		p.Mode, err = effective(r, c.remedy)
		return err
	})
	if err != nil || c.refusal != nil {
		return p, err
	}
	var refusal *Refusal
	if p.Plan, refusal = e.plan(ctx, c); len(p.Plan.Steps) > 0 {
		p.PlanHash = e.d.PlanHash(p.Plan)
	}
	d := c.decision(p.Plan)
	serving, why := e.serving(ctx, d)
	err = e.d.Journal.Read(ctx, func(r Reader) error {
		now := time.Now()
		v, err := e.view(r, c, View{Serving: serving, Why: why}, now)
		if err != nil {
			return err
		}
		if p.Refusal = Early(d, v, now); p.Refusal == nil && refusal == nil {
			p.Refusal = Late(d, v, now)
		}
		return nil
	})
	if p.Refusal == nil {
		p.Refusal = refusal
	}
	p.Asks, _ = asks(d, p.Mode)
	return p, err
}

// byHand returns what a person asks for.
func (e *Engine) byHand(ctx context.Context, remedy string, labels map[string]string, who string) (candidate, error) {
	r := e.remedy(remedy)
	if r == nil {
		return candidate{}, fmt.Errorf("remedy %q: %w (have %s)", remedy, ErrNoRemedy, e.names())
	}
	if who == "" {
		return candidate{}, errors.New("a run by hand needs the name of who asks")
	}
	now := time.Now()
	c := candidate{remedy: r, ladder: r.Name, who: who, alert: minikeeper.Alert{
		Name: "manual", Labels: labels, State: minikeeper.AlertFiring, ActiveAt: now, FiredAt: now,
	}}
	err := e.d.Journal.Read(ctx, func(rd Reader) error {
		open, err := rd.Incidents()
		i := slices.IndexFunc(open, func(i Incident) bool { return r.matches(i.Alert.Labels) && contains(i.Alert.Labels, labels) })
		if i >= 0 {
			c.incident, c.alert = open[i], open[i].Alert
		}
		return err
	})
	return e.prepare(c), err
}

// contains tells whether labels has all of wanted.
func contains(labels, wanted map[string]string) bool {
	for name, value := range wanted {
		if labels[name] != value {
			return false
		}
	}
	return true
}

func (e *Engine) names() string {
	var names []string
	for _, r := range e.Remedies() {
		names = append(names, r.Name)
	}
	return orElse(strings.Join(names, ", "), "none")
}

// Close has a person end a run that is unknown, or give back the slot of one
// that ended as such, and vouch that nothing of it still runs.
func (e *Engine) Close(ctx context.Context, run, who string) error {
	err := e.d.Journal.Update(ctx, who, func(tx Tx) error {
		r, err := tx.Run(run)
		if err != nil {
			return err
		}
		if r.Lost.IsZero() || r.Forgiven || r.State != minikeeper.RunUnknown && r.State != minikeeper.RunFailed {
			return fmt.Errorf("it is %s and was not lost: %w", r.State, ErrNotNow)
		}
		if r.State == minikeeper.RunUnknown {
			if err := e.end(tx, run, ending{state: minikeeper.RunFailed, gate: "closed", reason: "closed by " + who}, time.Now()); err != nil {
				return err
			}
			if r, err = tx.Run(run); err != nil {
				return err
			}
		}
		r.HoldsSlot, r.Forgiven = false, true
		return tx.SaveRun(r)
	})
	if err != nil {
		return fmt.Errorf("close run %s: %w", run, err)
	}
	e.Wake()
	return nil
}

// Pause keeps new runs within scope from starting, until Resume. Runs that
// have begun go on. The error is ErrScope if there is no such scope.
func (e *Engine) Pause(ctx context.Context, scope PauseScope, name, reason, who string) error {
	if err := checkScope(scope, name); err != nil {
		return err
	}
	return e.d.Journal.Update(ctx, who, func(tx Tx) error {
		return tx.Pause(Pause{Scope: scope, Name: name, Who: who, Reason: reason, Since: time.Now()})
	})
}

// Resume lifts a pause. For a remedy it also closes the circuit.
func (e *Engine) Resume(ctx context.Context, scope PauseScope, name, who string) error {
	if err := checkScope(scope, name); err != nil {
		return err
	}
	err := e.d.Journal.Update(ctx, who, func(tx Tx) error {
		if err := tx.Unpause(Pause{Scope: scope, Name: name}); err != nil || scope != PauseRemedy {
			return err
		}
		return tx.SaveCircuit(Circuit{Remedy: name})
	})
	e.Wake()
	return err
}

func checkScope(scope PauseScope, name string) error {
	switch scope {
	case PauseAll:
		if name != "" {
			return fmt.Errorf("all has no name, such as %q: %w", name, ErrScope)
		}
		return nil
	case PauseRemedy, PauseServer, PauseSite:
		if name == "" {
			return fmt.Errorf("which %s? %w", scope, ErrScope)
		}
		return nil
	default:
		return fmt.Errorf("%q (have all, remedy, server, site): %w", scope, ErrScope)
	}
}
