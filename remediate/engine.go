package remediate

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minikeeper/minikeeper"
)

// Deps are what the engine works with. All must be set.
type Deps struct {
	Journal   Journal
	Alerts    Alerts
	Prover    Prover
	Services  Services
	Fleet     Fleet
	Calendars Calendars
	PlanHash  func(minikeeper.Plan) string // the hash that targets use, too
	Log       *slog.Logger
}

// Options are the engine's own settings. What is zero has a default.
type Options struct {
	Every    time.Duration // how often it looks at the alerts; 1s
	Poll     time.Duration // how often it looks for evidence; 5s
	Grace    time.Duration // how long a step may finish after the end was asked for; 10s
	PageCap  time.Duration // healing that takes longer is told to people; 2h
	Approval time.Duration // how long a run waits for approval; 24h
	Failures int           // ineffective runs in a row that open a circuit; 3
	Patience time.Duration // how long a target may take to plan or to collect; 1m
}

func (o Options) withDefaults() Options {
	o.Every = cmp.Or(o.Every, time.Second)
	o.Poll = cmp.Or(o.Poll, 5*time.Second)
	o.Grace = cmp.Or(o.Grace, 10*time.Second)
	o.PageCap = cmp.Or(o.PageCap, 2*time.Hour)
	o.Approval = cmp.Or(o.Approval, 24*time.Hour)
	o.Failures = cmp.Or(o.Failures, 3)
	o.Patience = cmp.Or(o.Patience, time.Minute)
	return o
}

// An Engine turns alerts into runs, and moves each run to its end. Make one
// with [New]. Its methods may be called from several goroutines, and those
// that people call work whether or not Run has been called.
type Engine struct {
	d     Deps
	o     Options
	owner string

	remedies atomic.Pointer[[]*Remedy]
	wake     chan struct{}
	runs     sync.WaitGroup // one for each run that is being moved

	mu     sync.Mutex
	moving map[string]bool      // what has a goroutine
	after  map[string]time.Time // keys that are not to be looked at before
}

const (
	slotInterval = 15 * time.Second // how often a target is asked whether a step still runs
	planInterval = 30 * time.Second // how often a target is asked for a plan that came to nothing
)

// engineName is who the audit chain names for what no person did.
const engineName = "minikeeper"

// New returns an engine that applies remedies.
func New(d Deps, o Options, remedies []*Remedy) *Engine {
	e := &Engine{
		d: d, o: o.withDefaults(), owner: "e-" + token(),
		wake:   make(chan struct{}, 1),
		moving: make(map[string]bool),
		after:  make(map[string]time.Time),
	}
	e.SetRemedies(remedies)
	return e
}

// SetRemedies replaces the remedies. Runs that were admitted go on.
func (e *Engine) SetRemedies(remedies []*Remedy) {
	e.remedies.Store(&remedies)
	e.Wake()
}

// Remedies returns the remedies that apply, in the order of their files.
func (e *Engine) Remedies() []*Remedy { return *e.remedies.Load() }

// remedy returns the remedy called name, or nil.
func (e *Engine) remedy(name string) *Remedy {
	for _, r := range e.Remedies() {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// Wake has the engine look at the alerts at once.
func (e *Engine) Wake() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Run takes over what an earlier engine left, and then acts on alerts until
// ctx ends. It returns when nothing moves any more; a step that was being
// performed has had Options.Grace to end. It is to be called once.
func (e *Engine) Run(ctx context.Context) error {
	defer e.runs.Wait()
	if err := e.untilDone(ctx, "take over runs", e.takeOver); err != nil {
		return fmt.Errorf("take over runs: %w", err)
	}
	tick := time.NewTicker(e.o.Every)
	defer tick.Stop()
	for {
		if err := e.tick(ctx); err != nil && ctx.Err() == nil {
			e.d.Log.ErrorContext(ctx, "look at alerts", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-e.wake:
		}
	}
}

// tick is one look at the world. Each part is done even if another failed.
func (e *Engine) tick(ctx context.Context) error {
	now := time.Now()
	open, err := e.open(ctx)
	if err != nil {
		return fmt.Errorf("read runs: %w", err)
	}
	e.move(ctx, open, now)
	expired := e.expire(ctx, open, now)
	candidates, observed := e.observe(ctx, now)
	approved, read := e.approved(ctx, open)
	e.attemptAll(ctx, append(approved, candidates...))
	e.forget(now)
	return errors.Join(expired, observed, read)
}

// open returns the runs that have not ended or still hold a slot.
func (e *Engine) open(ctx context.Context) (open []Record, err error) {
	err = e.d.Journal.Read(ctx, func(r Reader) error {
		open, err = r.Open()
		return err
	})
	return open, err
}

// move sees to it that each run of this engine has a goroutine that moves it.
func (e *Engine) move(ctx context.Context, open []Record, now time.Time) {
	for _, r := range open {
		switch {
		case !r.HoldsSlot || r.Owner != e.owner && !r.State.Ended():
		case r.State == minikeeper.RunPending:
			e.spawn("run "+r.ID, func() { e.drive(ctx, r) })
		case r.State == minikeeper.RunUnknown:
			e.spawn("run "+r.ID, func() { e.settle(ctx, r) })
		case r.State.Ended() && e.due("slot "+r.ID, now, slotInterval):
			e.spawn("run "+r.ID, func() { e.freeSlot(ctx, r) })
		}
	}
}

// spawn runs f in a goroutine of its own, unless one called name runs.
func (e *Engine) spawn(name string, f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.moving[name] {
		return
	}
	e.moving[name] = true
	e.runs.Go(func() {
		defer func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			delete(e.moving, name)
		}()
		f()
	})
}

// untilDone calls f until it succeeds or ctx ends, and then once more. It is
// for what must be journaled, however long the disk is full.
func (e *Engine) untilDone(ctx context.Context, what string, f func(context.Context) error) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			return f(last)
		}
		e.d.Log.ErrorContext(ctx, what, "error", err, "again_in", wait)
		pause(ctx, wait)
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// due tells whether key may be looked at again, and sets when it next may be.
func (e *Engine) due(key string, now time.Time, again time.Duration) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now.Before(e.after[key]) {
		return false
	}
	e.after[key] = now.Add(again)
	return true
}

// forget drops what due has no more use for.
func (e *Engine) forget(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for key, t := range e.after {
		if now.After(t) {
			delete(e.after, key)
		}
	}
}

// token returns a short random name.
func token() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
