package remediate

import "time"

// A Mode is how much a remedy may do by itself.
type Mode string

// The modes, from the most careful to the most trusting.
const (
	ModeShadow  Mode = "shadow"  // only say what would be done
	ModePropose Mode = "propose" // ask first
	ModeAuto    Mode = "auto"    // act
)

// Modes returns all modes, the most careful first.
func Modes() []Mode { return []Mode{ModeShadow, ModePropose, ModeAuto} }

// A PartnerRule is what a remedy asks of the server that takes over.
type PartnerRule string

// What may be asked of the partner.
const (
	PartnerAuto    PartnerRule = "auto"    // healthy if the action interrupts service, else idle
	PartnerHealthy PartnerRule = "healthy" // serves, and is in no run
	PartnerIdle    PartnerRule = "idle"    // is in no run
	PartnerAny     PartnerRule = "any"     // nothing
)

// What a remedy does about a server that has no partner.
const (
	AloneAllow = "allow" // act as if there were one
	AloneAsk   = "ask"   // a person has to approve
)

// A Matcher judges the labels of an alert.
type Matcher interface {
	Matches(labels map[string]string) bool
}

// A Remedy is a policy: which alert leads to which action, on what, under
// which guards, and verified how. It is immutable once it is loaded.
type Remedy struct {
	Name     string
	Match    []Matcher // all must match the alert's labels; none: reached by escalation or by hand only
	Action   string
	Target   Template            // the server
	With     map[string]Template // parameters of the action
	Mode     Mode                // the ceiling; the effective mode may be lower
	Guards   Guards
	Verify   Verify
	Escalate []string // remedies to try next, in order, if this one did not help
	Asks     bool     // approval: required
	Source   string   // FILE:LINE, for messages
}

// Guards are the limits within which a remedy may act.
type Guards struct {
	For        time.Duration // the alert must have fired for so long
	Calendar   string        // act only while it is open; "" is always
	Cooldown   time.Duration // rest after a run on one server
	Attempts   Attempts
	Concurrent Concurrent
	Partner    PartnerRule
	Alone      string // AloneAllow, AloneAsk, or "" for: ask if the action interrupts service
}

// Attempts bounds how often a remedy is tried on one server.
type Attempts struct {
	Max int
	Per time.Duration
}

// Concurrent bounds how many runs, of whatever remedies, may hold a slot.
type Concurrent struct {
	Site, Total int
}

// Verify says what proves that a run helped: Expr must have a non-empty result
// on fresh samples for StableFor without a break, at most Within after the
// last step.
type Verify struct {
	Expr      Template
	Within    time.Duration
	StableFor time.Duration
}

// DefaultGuards are the guards of a remedy whose file does not mention them.
func DefaultGuards() Guards {
	return Guards{
		Cooldown:   15 * time.Minute,
		Attempts:   Attempts{Max: 3, Per: 24 * time.Hour},
		Concurrent: Concurrent{Site: 1, Total: 4},
		Partner:    PartnerAuto,
	}
}

// matches tells whether r is meant for an alert with labels.
func (r *Remedy) matches(labels map[string]string) bool {
	for _, m := range r.Match {
		if !m.Matches(labels) {
			return false
		}
	}
	return len(r.Match) > 0
}
