package remediate

import (
	"context"
	"time"

	"github.com/minikeeper/minikeeper"
)

// A Journal is the durable record. No row, no action: the engine changes
// nothing in the world that is not in here first.
type Journal interface {
	// Update runs fn in one transaction. No other Update of any process runs
	// at the same time, and what fn wrote is on disk when Update returns nil.
	// An error of fn undoes everything and is returned. who is whose doing it
	// is, for the audit chain.
	Update(ctx context.Context, who string, fn func(Tx) error) error

	// Read runs fn on one consistent state of the journal.
	Read(ctx context.Context, fn func(Reader) error) error
}

// A Reader reads the journal within one transaction.
type Reader interface {
	Run(id string) (Record, error) // ErrNoRun if there is none
	Runs(q Query) ([]Record, error)
	Open() ([]Record, error) // that have not ended or still hold a slot; oldest first
	Past(remedy, server string, since time.Time) (Past, error)
	Incidents() ([]Incident, error)      // that are not over; oldest first
	Incident(id int64) (Incident, error) // ErrNoIncident if there is none
	Suppressions(incident int64) ([]Suppression, error)
	Circuits() ([]Circuit, error)
	Pauses() ([]Pause, error)
	Tally() (Tally, error)
}

// Tx writes to the journal. Each change of a run, step, suppression, pause and
// circuit is also a row of the audit chain.
type Tx interface {
	Reader

	// SaveRun inserts r or replaces what was there, steps aside. It fails if
	// another run holds a slot on the same server.
	SaveRun(r Record) error

	// NextFence returns a number that is greater than any before, also than
	// those of a journal that was lost.
	NextFence(now time.Time) (int64, error)

	Intend(run string, i int, s minikeeper.Step, at time.Time) error
	Conclude(run string, i int, r minikeeper.StepResult) error

	// SaveIncident inserts i if its ID is 0, and returns it with its ID.
	SaveIncident(i Incident) (Incident, error)

	Suppress(s Suppression) error // inserts, or updates what has the same incident, remedy and gate
	SaveCircuit(c Circuit) error
	Pause(p Pause) error
	Unpause(p Pause) error

	// Tell puts an event into the outbox.
	Tell(e minikeeper.Event) error
}

// A Record is a run as the journal keeps it: what people see of it, and what
// it takes to go on with it after a crash.
type Record struct {
	minikeeper.Run
	Incident int64     `json:"incident,omitempty"` // 0: a person started it, for no alert
	Ladder   string    `json:"ladder,omitempty"`   // the remedy that matched the alert; another one than Remedy after an escalation
	Asker    string    `json:"asker,omitempty"`    // the person who started it
	Proof    Proof     `json:"proof"`              // what will prove that it helped
	Admitted time.Time `json:"admitted,omitzero"`  // when it was given its slot
	Asked    time.Time `json:"asked,omitzero"`     // when approval was asked for
	Approver string    `json:"approver,omitempty"` // who approved the plan that it has
	Lost     time.Time `json:"lost,omitzero"`      // when it was left without an owner, or its step without an answer
	Forgiven bool      `json:"forgiven,omitempty"` // a person closed it: its loss bars no other run
}

// A Proof is a remedy's verification with the labels filled in.
type Proof struct {
	Expr      string        `json:"expr"`
	Within    time.Duration `json:"within"`
	StableFor time.Duration `json:"stable_for,omitempty"`
}

// uncertain tells whether nobody knows what r did: it was lost before each of
// its steps had an outcome.
func (r Record) uncertain() bool {
	if r.Lost.IsZero() || r.Forgiven {
		return false
	}
	for _, s := range r.Steps {
		if s.Result == nil {
			return true
		}
	}
	return len(r.Steps) < len(r.Plan.Steps)
}

// acts tells whether r holds a slot: from admission until it is certain that
// no step of it is being performed.
func (r Record) acts() bool { return r.HoldsSlot }

// A Query picks runs, the newest first. Empty fields pick all.
type Query struct {
	Remedy, Server string
	State          minikeeper.RunState
	Since          time.Time // created at or later
	Limit          int       // 0 is 100
}

// Past is what a remedy did on a server.
type Past struct {
	Attempts []time.Time // when runs began since the asked time, oldest first
	LastEnd  time.Time   // when the last of all that began ended; zero if none did
	Last     *Record     // the last that began, with its steps; nil if there is none
}

// An Incident is one alert from when it fired until it was over.
type Incident struct {
	ID      int64            `json:"id"`
	Key     string           `json:"key"` // of the alert
	Alert   minikeeper.Alert `json:"alert"`
	Opened  time.Time        `json:"opened"`
	Closed  time.Time        `json:"closed,omitzero"`
	Told    bool             `json:"told,omitempty"`    // people know of it, and will want to hear that it is over
	Alerted bool             `json:"alerted,omitempty"` // EventAlert went out
	Overdue bool             `json:"overdue,omitempty"` // EventOverdue went out
	Failed  []string         `json:"failed,omitempty"`  // remedies whose run did not help, in order
}

// A Suppression says that a remedy was not applied to an incident, and which
// gate stopped it. There is one for each incident, remedy and gate.
type Suppression struct {
	Incident int64     `json:"incident"`
	Remedy   string    `json:"remedy"`
	Server   string    `json:"server"`
	Gate     Gate      `json:"gate"`
	Reason   string    `json:"reason"`
	Run      string    `json:"run,omitempty"` // the suppressed run, in the history
	First    time.Time `json:"first"`
	Told     bool      `json:"told,omitempty"` // people were told of it
}

// A Circuit counts the ineffective runs of a remedy. An open one caps the
// remedy's mode at propose until a person lifts the cap.
type Circuit struct {
	Remedy   string    `json:"remedy"`
	Failures int       `json:"failures"` // in a row, on any server
	Opened   time.Time `json:"opened,omitzero"`
	Reason   string    `json:"reason,omitempty"`
}

// Open tells whether the cap holds.
func (c Circuit) Open() bool { return !c.Opened.IsZero() }

// A PauseScope is the kind of thing that a pause stops.
type PauseScope string

// What can be paused.
const (
	PauseAll    PauseScope = "all" // its name is empty
	PauseRemedy PauseScope = "remedy"
	PauseServer PauseScope = "server"
	PauseSite   PauseScope = "site"
)

// A Pause keeps new runs from starting until it is lifted.
type Pause struct {
	Scope  PauseScope `json:"scope"`
	Name   string     `json:"name,omitempty"`
	Who    string     `json:"who"`
	Reason string     `json:"reason,omitempty"`
	Since  time.Time  `json:"since"`
}

// A Tally is what the journal counts, for metrics.
type Tally struct {
	Outcomes     map[string]map[minikeeper.RunState]int64 // ended runs, by remedy
	Active       map[string]int64                         // runs that hold a slot, by remedy
	Suppressed   map[string]map[Gate]int64                // by remedy
	LastDuration map[string]time.Duration                 // of the last run that began and ended, by remedy
}
