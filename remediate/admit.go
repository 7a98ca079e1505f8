package remediate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/minikeeper/minikeeper"
)

// A candidate is a remedy that may be tried.
type candidate struct {
	remedy   *Remedy
	ladder   string // the remedy that matched
	alert    minikeeper.Alert
	incident Incident
	record   *Record // the run that was approved; nil for a new one
	who      string  // the person who asks; "" if an alert does
	server   minikeeper.Server
	with     map[string]string
	proof    Proof
	refusal  *Refusal // why it cannot even be asked for
}

// candidates returns what may be tried for the incidents that go on.
func (e *Engine) candidates(w world, open []Incident, changes []change) []candidate {
	incidents := make(map[string]Incident)
	for _, i := range open {
		incidents[i.Key] = i
	}
	for _, c := range changes {
		incidents[c.incident.Key] = c.incident
	}
	var all []candidate
	for key, alert := range w.firing {
		i := incidents[key]
		alert.FiredAt = firstSet(alert.FiredAt, i.Opened)
		for _, r := range e.Remedies() {
			if r.matches(alert.Labels) {
				rung, _ := e.rung(r.Name, i.Failed)
				if rung == nil { // it was taken away a moment ago
					continue
				}
				all = append(all, e.prepare(candidate{remedy: rung, ladder: r.Name, alert: alert, incident: i}))
			}
		}
	}
	// Of a pair that both need it, the first by name goes first.
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.server.Name, b.server.Name), cmp.Compare(a.incident.ID, b.incident.ID),
			cmp.Compare(e.order(a.ladder), e.order(b.ladder)))
	})
	return all
}

// order is where the remedy called name stands in the files.
func (e *Engine) order(name string) int {
	return slices.IndexFunc(e.Remedies(), func(r *Remedy) bool { return r.Name == name })
}

func firstSet(a, b time.Time) time.Time {
	if a.IsZero() {
		return b
	}
	return a
}

// prepare fills in what the alert's labels say about c.
func (e *Engine) prepare(c candidate) candidate {
	c.server, c.refusal, _ = e.target(c.remedy, c.alert)
	if c.refusal != nil {
		return c
	}
	c.with = make(map[string]string, len(c.remedy.With))
	for name, t := range c.remedy.With {
		value, err := t.Render(c.alert.Labels)
		if err != nil {
			c.refusal = refuse(GateTemplate, "with %s: %v", name, err)
			return c
		}
		c.with[name] = value
	}
	expr, err := c.remedy.Verify.Expr.RenderExpr(c.alert.Labels)
	if err != nil {
		c.refusal = refuse(GateTemplate, "verify: %v", err)
		return c
	}
	c.proof = Proof{Expr: expr, Within: c.remedy.Verify.Within, StableFor: c.remedy.Verify.StableFor}
	return c
}

// target returns the server that r would act on for a.
func (e *Engine) target(r *Remedy, a minikeeper.Alert) (minikeeper.Server, *Refusal, minikeeper.Target) {
	name, err := r.Target.Render(a.Labels)
	if err != nil {
		return minikeeper.Server{}, refuse(GateTemplate, "target: %v", err), nil
	}
	server, ok := e.d.Fleet.Server(name)
	if !ok {
		return minikeeper.Server{Name: name}, refuse(GateTarget, "server %q is in no site", name), nil
	}
	target, err := e.d.Fleet.Target(name)
	if err != nil {
		return server, refuse(GateTarget, "%v", err), nil
	}
	return server, nil, target
}

// attemptAll tries all candidates. Those of one site are tried one after the
// other, in their order; a slow site delays no other.
func (e *Engine) attemptAll(ctx context.Context, all []candidate) {
	bySite := make(map[string][]candidate)
	for _, c := range all {
		bySite[c.server.Site] = append(bySite[c.server.Site], c)
	}
	for site, candidates := range bySite {
		e.spawn("site "+site, func() {
			for _, c := range candidates {
				if _, err := e.attempt(ctx, c); err != nil && ctx.Err() == nil {
					if _, refused := errors.AsType[*Refusal](err); !refused {
						e.d.Log.ErrorContext(ctx, "try remedy", "remedy", c.remedy.Name, "server", c.server.Name, "error", err)
					}
				}
			}
		})
	}
}

// attempt admits a run for c, or finds the gate that stops it and journals
// that. An error that is a *Refusal names the gate.
func (e *Engine) attempt(ctx context.Context, c candidate) (Record, error) {
	refusal, skip, err := e.early(ctx, c)
	if err != nil || skip {
		return Record{}, err
	}
	if refusal != nil {
		return Record{}, e.refused(ctx, c, minikeeper.Plan{}, refusal)
	}
	key := fmt.Sprintf("plan %d %s %s", c.incident.ID, c.remedy.Name, c.decision(minikeeper.Plan{}).Run)
	if c.who == "" && !e.due(key, time.Now(), planInterval) {
		return Record{}, nil
	}
	plan, refusal := e.plan(ctx, c)
	if ctx.Err() != nil {
		return Record{}, ctx.Err()
	}
	if refusal != nil {
		return Record{}, e.refused(ctx, c, plan, refusal)
	}
	serving, why := e.serving(ctx, c.decision(plan))
	record, err := e.admit(ctx, c, plan, View{Serving: serving, Why: why})
	if err == nil {
		e.mu.Lock()
		delete(e.after, key)
		e.mu.Unlock()
		e.Wake()
	}
	return record, err
}

// decision is c as the guards see it.
func (c candidate) decision(plan minikeeper.Plan) Case {
	d := Case{Remedy: c.remedy, Alert: c.alert, Server: c.server, Plan: plan, Manual: c.who != ""}
	if c.record != nil {
		d.Run, d.Manual = c.record.ID, d.Manual || c.record.Asker != ""
	}
	return d
}

// early asks the guards that need no plan. skip is true if there is nothing to
// decide: the remedy is at work on the incident, or has had its say.
func (e *Engine) early(ctx context.Context, c candidate) (refusal *Refusal, skip bool, err error) {
	now := time.Now()
	err = e.d.Journal.Read(ctx, func(r Reader) error {
		v, err := e.view(r, c, View{}, now)
		if err != nil {
			return err
		}
		suppressed, err := r.Suppressions(c.incident.ID)
		if err != nil {
			return err
		}
		if refusal = c.refusal; refusal == nil {
			refusal = Early(c.decision(minikeeper.Plan{}), v, now)
		}
		outdated, err := c.outdated(r)
		skip = outdated || c.atWork(v) || c.settled(v, now) || c.hadItsSay(suppressed) ||
			refusal != nil && c.journaled(suppressed, refusal, now)
		return err
	})
	return refusal, skip, err
}

// view fills v with what the journal and the calendar say.
func (e *Engine) view(r Reader, c candidate, v View, now time.Time) (View, error) {
	var err error
	if v.Active, err = r.Open(); err != nil {
		return v, err
	}
	if v.Pauses, err = r.Pauses(); err != nil {
		return v, err
	}
	v.Past, err = r.Past(c.remedy.Name, c.server.Name, now.Add(-c.remedy.Guards.Attempts.Per))
	v.Opened = e.opened(c.remedy, now)
	return v, err
}

// atWork tells whether a run of c's remedy for c's incident has not ended.
func (c candidate) atWork(v View) bool {
	if c.record != nil || c.incident.ID == 0 {
		return false
	}
	return slices.ContainsFunc(v.Active, func(r Record) bool {
		return r.Incident == c.incident.ID && r.Remedy == c.remedy.Name && !r.State.Ended()
	})
}

// settled tells whether the fault was healed a moment ago, so that its alert
// has not had the time to go away.
func (c candidate) settled(v View, now time.Time) bool {
	last := v.Past.Last
	return c.who == "" && last != nil && last.State == minikeeper.RunSucceeded &&
		last.Incident == c.incident.ID && now.Sub(last.Ended) < min(2*time.Minute, c.remedy.Guards.Cooldown)
}

// hadItsSay tells whether c was denied, or its shadow cast, for this incident.
func (c candidate) hadItsSay(suppressed []Suppression) bool {
	return c.who == "" && c.record == nil && slices.ContainsFunc(suppressed, func(s Suppression) bool {
		return s.Remedy == c.remedy.Name && (s.Gate == GateDenied || s.Gate == GateShadow && c.remedy.Mode == ModeShadow)
	})
}

// journaled tells whether the journal has nothing to add about r.
func (c candidate) journaled(suppressed []Suppression, r *Refusal, now time.Time) bool {
	if c.who != "" || c.record != nil {
		return false
	}
	i := slices.IndexFunc(suppressed, func(s Suppression) bool { return s.Remedy == c.remedy.Name && s.Gate == r.Gate })
	return i >= 0 && !mustTell(suppressed[i], now)
}

// plan asks the target what it would do.
func (e *Engine) plan(ctx context.Context, c candidate) (minikeeper.Plan, *Refusal) {
	ctx, cancel := context.WithTimeout(ctx, e.o.Patience)
	defer cancel()
	_, refusal, target := e.target(c.remedy, c.alert)
	if refusal != nil {
		return minikeeper.Plan{}, refusal
	}
	plan, err := target.Plan(ctx, minikeeper.Order{Action: c.remedy.Action, With: c.with})
	switch {
	case err != nil:
		return minikeeper.Plan{}, refuse(GatePlan, "plan %s on %s: %v", c.remedy.Action, c.server.Name, err)
	case len(plan.Steps) == 0:
		return plan, refuse(GateNothing, "%s finds nothing to repair on %s", c.remedy.Action, c.server.Name)
	default:
		return plan, nil
	}
}

// serving asks which partners serve what the plan interrupts.
func (e *Engine) serving(ctx context.Context, c Case) (serving map[string]bool, why map[string]string) {
	serving, why = make(map[string]bool), make(map[string]string)
	if !wantsServing(c) {
		return serving, why
	}
	ctx, cancel := context.WithTimeout(ctx, e.o.Patience)
	defer cancel()
	for _, p := range c.Server.Partners {
		ok, reason, err := e.d.Services.Serves(ctx, p, c.Plan.Interrupts)
		if err != nil {
			ok, reason = false, err.Error()
		}
		serving[p], why[p] = ok, reason
	}
	return serving, why
}
