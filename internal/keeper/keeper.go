// Package keeper carries out what the runner asks of a server, on that server:
// it is the one door through which anything is changed. It plans by itself and
// does nothing but the plan that was admitted, it does each step of a run at
// most once, and it finishes a step although the asker went away.
//
// It judges neither whether nor when to act; it only refuses: actions that the
// machine's own config does not allow, a plan that is not its own present one,
// a second run while one is at work, and orders that are older than others it
// has seen. Users and roles are checked before an order gets here.
package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/remediate/actions"
)

// planTimeout bounds the reading of the machine before a first step: a
// program that hangs must not keep the server busy for ever.
const planTimeout = 15 * time.Minute

// Config is what a Keeper needs.
type Config struct {
	Machine  actions.Machine
	Actions  map[string]actions.Action // that exist, by name
	Allow    []string                  // names of those that may be done on this machine
	StateDir string                    // where the record of steps is kept; made if it is missing

	// Collect has collectors read afresh, as minikeeper.Target.Collect.
	Collect func(ctx context.Context, names ...string) ([]minikeeper.Measurement, error)

	Log *slog.Logger // nil for none
}

// A Keeper is one server as the runner reaches it.
type Keeper struct {
	log *slog.Logger

	mu     sync.Mutex
	cfg    Config // read through settings where mu is not held
	record *record
	active *attempt // nil while no step is being performed
	closed bool
}

var _ minikeeper.Target = (*Keeper)(nil)

// New returns a Keeper that goes on from the record in cfg.StateDir. It fails
// if another process keeps that record, or if the record cannot be read: what
// was done is not known then, so nothing may be done.
func New(cfg Config) (*Keeper, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	rec, err := openRecord(cfg.StateDir)
	if err != nil {
		return nil, fmt.Errorf("open record of steps: %w", err)
	}
	for _, s := range rec.interrupted() {
		log.Warn("a step was interrupted; what it did is not known", "run", s.Run, "step", s.Step, "began", s.At)
	}
	return &Keeper{cfg: cfg, log: log, record: rec}, nil
}

// check refuses an allow-list with actions that do not exist.
func (c Config) check() error {
	for _, name := range c.Allow {
		if c.Actions[name] == nil {
			return fmt.Errorf("allow action %q: there is no such action (have %s)", name, list(keys(c.Actions)))
		}
	}
	return nil
}

// Configure replaces the machine and the allow-list, for what is asked from
// now on. A step that is being performed goes on as it began.
func (k *Keeper) Configure(m actions.Machine, allow []string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	changed := k.cfg
	changed.Machine, changed.Allow = m, allow
	if err := changed.check(); err != nil {
		return err
	}
	k.cfg = changed
	return nil
}

// settings returns the configuration that holds at the moment.
func (k *Keeper) settings() Config {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cfg
}

// Close waits until no step is being performed, or ctx ends, and closes the
// record. A step that outlives ctx will count as interrupted.
func (k *Keeper) Close(ctx context.Context) error {
	k.mu.Lock()
	k.closed = true
	a := k.active
	k.mu.Unlock()
	if a != nil {
		select {
		case <-a.done:
		case <-ctx.Done():
			return fmt.Errorf("close keeper: step %d of run %s is still being performed: %w", a.step, a.order.Run, context.Cause(ctx))
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.record.close()
}

// Plan implements minikeeper.Target. The error is a Refused if the action is
// not allowed or the order is wrong.
func (k *Keeper) Plan(ctx context.Context, o minikeeper.Order) (minikeeper.Plan, error) {
	action, err := k.settings().allowed(o)
	if err != nil {
		return minikeeper.Plan{}, err
	}
	return k.plan(ctx, action, o)
}

// Running implements minikeeper.Target.
func (k *Keeper) Running(context.Context) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.active == nil {
		return "", nil
	}
	return k.active.order.Run, nil
}

// Collect implements minikeeper.Target.
func (k *Keeper) Collect(ctx context.Context, collectors ...string) ([]minikeeper.Measurement, error) {
	collect := k.settings().Collect
	if collect == nil {
		return nil, errors.New("collect: this server has no collectors")
	}
	return collect(ctx, collectors...)
}

// allowed returns the action that o asks for.
func (c Config) allowed(o minikeeper.Order) (actions.Action, error) {
	if !slices.Contains(c.Allow, o.Action) {
		return nil, refuse("action %q is not allowed on this server (allowed: %s)", o.Action, list(c.Allow))
	}
	return c.Actions[o.Action], nil
}

// plan has action plan, and checks what the keeper relies on.
func (k *Keeper) plan(ctx context.Context, action actions.Action, o minikeeper.Order) (p minikeeper.Plan, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = k.panicked("plan "+o.Action, cause)
		}
	}()
	p, err = action.Plan(ctx, k.settings().Machine, o.With)
	if errors.Is(err, actions.ErrRefused) {
		return minikeeper.Plan{}, Refused{Reason: err.Error()}
	}
	if err != nil {
		return minikeeper.Plan{}, err
	}
	for i, s := range p.Steps {
		if s.Timeout <= 0 {
			return minikeeper.Plan{}, fmt.Errorf("plan %s: step %d (%s) has no timeout", o.Action, i, s.Name)
		}
	}
	return p, nil
}

// list shows names in a message.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(slices.Values(names)), ", ")
}

func keys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	return names
}
