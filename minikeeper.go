// Package minikeeper holds the nouns of the program: what is watched, what was
// read, what is wrong, what was done about it, and the seams between the parts.
//
// It performs no I/O and imports nothing but the standard library, so that
// every package may import it. Implementations live in the packages that own
// them: collectors read, exporter publishes, rules judge, remediate repairs.
package minikeeper

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Site is a place. Its servers share a LAN and are each other's failover.
type Site struct {
	Name    string
	Servers []Server
}

// A Server is one watched machine.
type Server struct {
	Name     string
	Site     string
	Partners []string // servers that take over when this one is down; empty if it stands alone
}

// A Label tells samples of one name apart.
type Label struct{ Name, Value string }

// A Sample is one number that was read.
type Sample struct {
	Name   string // full metric name, such as "minikeeper_raid_redundant"
	Labels []Label
	Value  float64
}

// Label returns the value of the label called name, or "".
func (s Sample) Label(name string) string {
	for _, l := range s.Labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// String shows s as a scrape would, with its labels in the order they have.
func (s Sample) String() string {
	if len(s.Labels) == 0 {
		return fmt.Sprintf("%s %v", s.Name, s.Value)
	}
	pairs := make([]string, len(s.Labels))
	for i, l := range s.Labels {
		pairs[i] = fmt.Sprintf("%s=%q", l.Name, l.Value)
	}
	return fmt.Sprintf("%s{%s} %v", s.Name, strings.Join(pairs, ","), s.Value)
}

// A MetricType is how a metric's value moves.
type MetricType string

// The types of metric that minikeeper exports.
const (
	Gauge   MetricType = "gauge"   // goes up and down
	Counter MetricType = "counter" // only grows, or starts again from zero
)

// A Family describes one metric to the people who read it.
type Family struct {
	Name   string
	Help   string
	Type   MetricType
	Labels []string // names of the labels that tell its samples apart
}

// A Command is a program and its arguments. It is never a shell line.
type Command struct {
	Path string   `json:"path"`
	Args []string `json:"args,omitempty"`
}

// String shows c for people; it is not quoted for a shell.
func (c Command) String() string {
	return strings.Join(append([]string{c.Path}, c.Args...), " ")
}

// A Result is what a command left behind.
type Result struct {
	Stdout, Stderr []byte
	Exit           int
}

// A Runner runs commands on one machine.
//
// A non-zero exit status is a Result, not an error: an error means that the
// command did not run to its end, so nothing is known about what it did.
type Runner interface {
	Run(ctx context.Context, c Command) (Result, error)
}

// A Measurement says when a collector last read its source, by the clock of
// the machine that it ran on.
type Measurement struct {
	Collector string    `json:"collector"`
	Start     time.Time `json:"start"`           // when the reading began
	Error     string    `json:"error,omitempty"` // why it failed; empty if it succeeded
}

// An AlertState is how sure a rule is.
type AlertState string

// The states of an alert, as Prometheus has them.
const (
	AlertPending  AlertState = "pending"
	AlertFiring   AlertState = "firing"
	AlertResolved AlertState = "resolved"
)

// An Alert is what a rule says about one thing.
type Alert struct {
	Name        string            `json:"name"`   // the alertname
	Labels      map[string]string `json:"labels"` // with alertname
	Annotations map[string]string `json:"annotations,omitempty"`
	State       AlertState        `json:"state"`
	ActiveAt    time.Time         `json:"active_at"`            // when its expression first held
	FiredAt     time.Time         `json:"fired_at,omitzero"`    // when it began to fire
	ResolvedAt  time.Time         `json:"resolved_at,omitzero"` // when it ceased
	Value       float64           `json:"value"`
}

// Key identifies the alert over time: its labels, sorted and quoted. Two
// alerts with equal labels are the same alert.
func (a Alert) Key() string {
	names := make([]string, 0, len(a.Labels))
	for name := range a.Labels {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s=%q", name, a.Labels[name])
	}
	return b.String()
}

// An Order asks a server to plan or perform an action.
type Order struct {
	Run      string            `json:"run,omitempty"`   // the run's id; empty when only a plan is wanted
	Fence    int64             `json:"fence,omitempty"` // grows with every run; a server refuses an older one than it has seen
	Action   string            `json:"action"`
	With     map[string]string `json:"with,omitempty"`
	PlanHash string            `json:"plan_hash,omitempty"` // the plan that was admitted; another one is refused
}

// A Plan is what an action would do on one server, and what must be known to
// judge whether it may.
type Plan struct {
	Action     string `json:"action"`
	Idempotent bool   `json:"idempotent"`           // doing it twice is as good as once
	Interrupts string `json:"interrupts,omitempty"` // the service that stops for a moment, such as "smtp"; empty if none
	Steps      []Step `json:"steps"`
}

// A Step is one thing that is done: a program that is run, or an operation
// that minikeeper performs itself.
type Step struct {
	Name    string            `json:"name"`              // what people call it, such as "restart postfix"
	Command *Command          `json:"command,omitempty"` // the program; nil for an operation
	Op      string            `json:"op,omitempty"`      // the operation, such as "reindex"
	Args    map[string]string `json:"args,omitempty"`    // of the operation
	Revert  string            `json:"revert,omitempty"`  // how to undo it, in words; empty if it cannot or need not be undone
	Timeout time.Duration     `json:"timeout"`
}

// String shows s on one line of a plan.
func (s Step) String() string {
	if s.Command != nil {
		return s.Name + ": " + s.Command.String()
	}
	names := make([]string, 0, len(s.Args))
	for name := range s.Args {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteString(s.Name + ": " + s.Op)
	for _, name := range names {
		fmt.Fprintf(&b, " %s=%q", name, s.Args[name])
	}
	return b.String()
}

// A StepResult is what a step left behind.
type StepResult struct {
	Start  time.Time `json:"start"` // by the target's clock
	End    time.Time `json:"end"`
	Output string    `json:"output,omitempty"` // the end of what it printed
	Error  string    `json:"error,omitempty"`  // why it failed; empty if it succeeded
}

// A Target is one server as the runner reaches it. Each method may be called
// again with the same arguments: a step that was already performed for a run
// answers with what it left behind and is not performed twice.
//
// An error means that it is not known what happened on the server; that a
// step failed is a StepResult.
type Target interface {
	// Plan returns what Order.Action would do now. It changes nothing.
	Plan(ctx context.Context, o Order) (Plan, error)

	// Do performs step number i of the plan that has o.PlanHash.
	Do(ctx context.Context, o Order, i int) (StepResult, error)

	// Running returns the id of the run whose step is being performed at the
	// moment, or "".
	Running(ctx context.Context) (string, error)

	// Collect has the named collectors (all if none is named) read their
	// sources now and waits until they have.
	Collect(ctx context.Context, collectors ...string) ([]Measurement, error)
}

// A RunState is how far a run has come.
type RunState string

// The states of a run. Suppressed, succeeded, failed and cancelled are ends.
const (
	RunPending          RunState = "pending"           // admitted, no step begun
	RunAwaitingApproval RunState = "awaiting_approval" // waits for a person
	RunRunning          RunState = "running"           // a step is being performed
	RunVerifying        RunState = "verifying"         // steps are done, evidence is awaited
	RunUnknown          RunState = "unknown"           // lost its owner; what its step did is not known
	RunSucceeded        RunState = "succeeded"         // proven on fresh samples
	RunFailed           RunState = "failed"            // a step failed, or nothing proved that it helped
	RunCancelled        RunState = "cancelled"         // no longer needed, or denied by a person
	RunSuppressed       RunState = "suppressed"        // a gate stopped it, or its mode is shadow
)

// Ended tells whether a run in state s will not move again.
func (s RunState) Ended() bool {
	switch s {
	case RunSucceeded, RunFailed, RunCancelled, RunSuppressed:
		return true
	default:
		return false
	}
}

// A Run is one attempt of a remedy on one server, and a row in the journal.
type Run struct {
	ID        string            `json:"id"`
	Remedy    string            `json:"remedy"`
	Action    string            `json:"action"`
	Server    string            `json:"server"`
	Site      string            `json:"site,omitempty"`
	With      map[string]string `json:"with,omitempty"`
	Alert     Alert             `json:"alert"`
	State     RunState          `json:"state"`
	Gate      string            `json:"gate,omitempty"`   // what stopped it, when suppressed
	Reason    string            `json:"reason,omitempty"` // why it is in this state, in words
	Plan      Plan              `json:"plan"`
	PlanHash  string            `json:"plan_hash,omitempty"`
	Fence     int64             `json:"fence,omitempty"`
	Owner     string            `json:"owner,omitempty"`      // the process that moves it
	HoldsSlot bool              `json:"holds_slot,omitempty"` // counts against the concurrency budget
	Created   time.Time         `json:"created"`
	Started   time.Time         `json:"started,omitzero"` // when its first step began
	Acted     time.Time         `json:"acted,omitzero"`   // when its last step ended
	Ended     time.Time         `json:"ended,omitzero"`
	Steps     []StepRecord      `json:"steps,omitempty"`
}

// A StepRecord is a step as the journal has it: intent first, outcome later.
type StepRecord struct {
	Index  int         `json:"index"`
	Step   Step        `json:"step"`
	Intent time.Time   `json:"intent"`           // written before the step began
	Result *StepResult `json:"result,omitempty"` // nil while it runs, or if nobody knows
}

// An EventKind says what people are told.
type EventKind string

// The kinds of event. NeedsPeople of an event says whether somebody has to act.
const (
	EventAlert     EventKind = "alert"     // fires, and no remedy will deal with it
	EventResolved  EventKind = "resolved"  // an alert that people were told of is over
	EventApproval  EventKind = "approval"  // a run waits for approval
	EventStarted   EventKind = "started"   // a run began
	EventSucceeded EventKind = "succeeded" // a run is proven to have helped
	EventFailed    EventKind = "failed"    // a run failed or could not start
	EventOverdue   EventKind = "overdue"   // healing takes longer than its cap
	EventTest      EventKind = "test"      // notify test
)

// An Event is something that people should hear of. It is written to the
// outbox in the same transaction as the change that it tells about.
type Event struct {
	ID          int64     `json:"id"`
	Kind        EventKind `json:"kind"`
	At          time.Time `json:"at"`
	Key         string    `json:"key"` // the incident: equal for all events about one alert
	NeedsPeople bool      `json:"needs_people,omitempty"`
	Summary     string    `json:"summary"` // one line
	Alert       Alert     `json:"alert,omitzero"`
	Run         *Run      `json:"run,omitempty"`
}

// Evidence is what the store says about a claim.
type Evidence struct {
	Proven bool      `json:"proven"`
	Fresh  bool      `json:"fresh"` // every sample that was read is later than it had to be
	At     time.Time `json:"at"`
	Why    string    `json:"why"` // the reason in words, whatever the answer
}

// A Claim is an expression that must have a non-empty result, on samples that
// were measured later than After.
type Claim struct {
	Expr         string
	Server       string        // the server that was acted on
	After        time.Time     // end of the last step
	Measurements []Measurement // what that server measured afresh
}

// CompareLabels orders labels by name, then value.
func CompareLabels(a, b Label) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value))
}

// An Attempt is one try to deliver an event over one channel.
type Attempt struct {
	Channel string    `json:"channel"`
	At      time.Time `json:"at"`
	Outcome string    `json:"outcome"` // one of the Attempt constants
	Error   string    `json:"error,omitempty"`
	Next    time.Time `json:"next,omitzero"` // when to try again, after AttemptRetry
}

// What became of an attempt.
const (
	AttemptDelivered = "delivered" // the channel took it
	AttemptRetry     = "retry"     // it may work later
	AttemptGaveUp    = "gave-up"   // it will not work on this channel
	AttemptSkipped   = "skipped"   // the channel depends on what the event is about
)

// Pending is an event that people have not heard of yet, with what was tried.
type Pending struct {
	Event    Event
	Attempts []Attempt // oldest first
}
