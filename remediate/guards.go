package remediate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper"
)

// A Gate is the name of what can stop a run.
type Gate string

// The gates, in the order in which they are asked.
const (
	GateTemplate   Gate = "template"   // the alert lacks a label that the remedy names
	GateTarget     Gate = "target"     // the target is not in the topology, or cannot be reached by design
	GatePaused     Gate = "paused"     // a person paused it
	GateFor        Gate = "for"        // has not fired for long enough
	GateCalendar   Gate = "calendar"   // the window is closed
	GateLost       Gate = "lost"       // an earlier run was lost half-way, and the action must not be done twice
	GateAttempts   Gate = "attempts"   // tried too often
	GateCooldown   Gate = "cooldown"   // tried a moment ago
	GateBusy       Gate = "busy"       // the server is in a run
	GateConcurrent Gate = "concurrent" // too many runs at the site, or in total
	GatePartner    Gate = "partner"    // the partner is in a run
	GateServing    Gate = "serving"    // the partner does not serve
	GatePlan       Gate = "plan"       // the target refused to plan, or could not
	GateNothing    Gate = "nothing"    // the plan has no steps: nothing to repair
	GateDenied     Gate = "denied"     // a person said no, or nobody said yes in time
	GateShadow     Gate = "shadow"     // the mode is shadow: everything else agreed
)

// A Refusal says which gate stopped a run, and why.
type Refusal struct {
	Gate   Gate      `json:"gate"`
	Reason string    `json:"reason"`
	Until  time.Time `json:"until,omitzero"` // when asking again may help; zero if that is not known
}

// Error shows r as one sentence.
func (r *Refusal) Error() string { return fmt.Sprintf("refused by %s: %s", r.Gate, r.Reason) }

// needsPeople tells whether waiting alone will not open the gate, so that
// people must hear that the repair cannot start; and after how long.
func (g Gate) needsPeople() (after time.Duration, yes bool) {
	switch g {
	case GateTemplate, GateTarget, GateAttempts, GateLost:
		return 0, true
	case GateServing, GatePlan:
		return time.Minute, true
	case GateNothing:
		return 10 * time.Minute, true
	default:
		return 0, false
	}
}

// A Case is what is about to be decided: a remedy for an alert on a server.
type Case struct {
	Remedy *Remedy
	Alert  minikeeper.Alert
	Server minikeeper.Server
	Plan   minikeeper.Plan
	Run    string // the run that asks, if it has a row already
	Manual bool   // a person asks, so nothing has to have fired
}

// A View is everything that guards may look at: what the journal says within
// the transaction that admits, and what was found out just before it.
type View struct {
	Active  []Record // runs that have not ended or still hold a slot
	Past    Past     // of this remedy on this server, within its attempts' window
	Pauses  []Pause
	Opened  bool            // the remedy's calendar is open, or it has none
	Serving map[string]bool // partners that serve what the plan interrupts
	Why     map[string]string
}

// Early are the guards that need no plan. They return the first refusal.
func Early(c Case, v View, now time.Time) *Refusal {
	return first(c, v, now, paused, young, closed, attempts, coolingDown, busy, crowded, partnerBusy)
}

// Late are the guards that judge the plan. They return the first refusal.
func Late(c Case, v View, now time.Time) *Refusal {
	return first(c, v, now, lost, partnerDown)
}

type guard func(c Case, v View, now time.Time) *Refusal

func first(c Case, v View, now time.Time, guards ...guard) *Refusal {
	for _, g := range guards {
		if r := g(c, v, now); r != nil {
			return r
		}
	}
	return nil
}

func refuse(g Gate, format string, args ...any) *Refusal {
	return &Refusal{Gate: g, Reason: fmt.Sprintf(format, args...)}
}

func paused(c Case, v View, _ time.Time) *Refusal {
	for _, p := range v.Pauses {
		hit := p.Scope == PauseAll ||
			p.Scope == PauseRemedy && p.Name == c.Remedy.Name ||
			p.Scope == PauseServer && p.Name == c.Server.Name ||
			p.Scope == PauseSite && p.Name == c.Server.Site
		if hit {
			why := ""
			if p.Reason != "" {
				why = ": " + p.Reason
			}
			return refuse(GatePaused, "%s paused %s%s", p.Who, strings.TrimSpace(string(p.Scope)+" "+p.Name), why)
		}
	}
	return nil
}

func young(c Case, _ View, now time.Time) *Refusal {
	since := c.Alert.FiredAt
	if c.Manual || c.Remedy.Guards.For == 0 {
		return nil
	}
	if end := since.Add(c.Remedy.Guards.For); now.Before(end) {
		r := refuse(GateFor, "fires since %s, and must for %s", stamp(since), c.Remedy.Guards.For)
		r.Until = end
		return r
	}
	return nil
}

func closed(c Case, v View, _ time.Time) *Refusal {
	if c.Remedy.Guards.Calendar != "" && !v.Opened {
		return refuse(GateCalendar, "calendar %q is closed", c.Remedy.Guards.Calendar)
	}
	return nil
}

func attempts(c Case, v View, now time.Time) *Refusal {
	limit := c.Remedy.Guards.Attempts
	recent := slices.DeleteFunc(slices.Clone(v.Past.Attempts), func(t time.Time) bool {
		return !t.After(now.Add(-limit.Per))
	})
	if len(recent) < limit.Max {
		return nil
	}
	r := refuse(GateAttempts, "%s was tried %d times on %s within %s, and at most %d are allowed",
		c.Remedy.Name, len(recent), c.Server.Name, limit.Per, limit.Max)
	r.Until = recent[len(recent)-limit.Max].Add(limit.Per)
	return r
}

func coolingDown(c Case, v View, now time.Time) *Refusal {
	if v.Past.LastEnd.IsZero() {
		return nil
	}
	if end := v.Past.LastEnd.Add(c.Remedy.Guards.Cooldown); now.Before(end) {
		r := refuse(GateCooldown, "the last run on %s ended at %s, and it rests for %s",
			c.Server.Name, stamp(v.Past.LastEnd), c.Remedy.Guards.Cooldown)
		r.Until = end
		return r
	}
	return nil
}

func busy(c Case, v View, _ time.Time) *Refusal {
	for _, r := range v.acting(c.Run) {
		if r.Server == c.Server.Name {
			return refuse(GateBusy, "%s is in run %s of %s", c.Server.Name, r.ID, r.Remedy)
		}
	}
	return nil
}

func crowded(c Case, v View, _ time.Time) *Refusal {
	limit, site, total := c.Remedy.Guards.Concurrent, 0, 0
	for _, r := range v.acting(c.Run) {
		total++
		if r.Site == c.Server.Site {
			site++
		}
	}
	switch {
	case total >= limit.Total:
		return refuse(GateConcurrent, "%d of at most %d runs are active", total, limit.Total)
	case c.Server.Site != "" && site >= limit.Site:
		return refuse(GateConcurrent, "%d of at most %d runs are active at site %s", site, limit.Site, c.Server.Site)
	default:
		return nil
	}
}

func partnerBusy(c Case, v View, _ time.Time) *Refusal {
	if c.Remedy.Guards.Partner == PartnerAny {
		return nil
	}
	for _, r := range v.acting(c.Run) {
		if slices.Contains(c.Server.Partners, r.Server) {
			return refuse(GatePartner, "its partner %s is in run %s of %s", r.Server, r.ID, r.Remedy)
		}
	}
	return nil
}

// partnerDown holds back what interrupts a service until a partner serves it.
func partnerDown(c Case, v View, _ time.Time) *Refusal {
	if len(c.Server.Partners) == 0 || !wantsServing(c) {
		return nil
	}
	var why []string
	for _, p := range c.Server.Partners {
		if v.Serving[p] {
			return nil
		}
		why = append(why, fmt.Sprintf("%s (%s)", p, orElse(v.Why[p], "not known")))
	}
	return refuse(GateServing, "no partner serves %s: %s", orElse(c.Plan.Interrupts, "what this server does"), strings.Join(why, ", "))
}

// wantsServing tells whether c needs a partner that serves.
func wantsServing(c Case) bool {
	switch c.Remedy.Guards.Partner {
	case PartnerHealthy:
		return true
	case PartnerAuto, "":
		return c.Plan.Interrupts != ""
	default:
		return false
	}
}

// lost bars what must not be done twice after a run of which nobody knows how
// far it came.
func lost(c Case, v View, _ time.Time) *Refusal {
	last := v.Past.Last
	if last == nil || last.ID == c.Run || c.Plan.Idempotent || last.State == minikeeper.RunSucceeded || !last.uncertain() {
		return nil
	}
	return refuse(GateLost, "run %s was lost half-way, and %s must not be done twice: look, then close that run", last.ID, c.Plan.Action)
}

// asks tells whether a person has to approve c.
func asks(c Case, mode Mode) (why string, yes bool) {
	alone := c.Remedy.Guards.Alone
	switch {
	case c.Remedy.Asks:
		return "the remedy asks for approval", true
	case !c.Manual && mode == ModePropose:
		return "the mode is propose", true
	case len(c.Server.Partners) > 0 || alone == AloneAllow:
		return "", false
	case alone == AloneAsk || c.Plan.Interrupts != "":
		return c.Server.Name + " has no partner", true
	default:
		return "", false
	}
}

// acting returns the runs that hold a slot, other than the one called self.
func (v View) acting(self string) []Record {
	var acting []Record
	for _, r := range v.Active {
		if r.acts() && r.ID != self {
			acting = append(acting, r)
		}
	}
	return acting
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
