package exporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/minikeeper/minikeeper"
)

const (
	// grace is what a source gets after its timeout to notice and to return
	// what it has.
	grace = time.Second

	// relogAfter is how often a failure is logged whose text keeps changing.
	relogAfter = 10 * time.Minute
)

var (
	errStuck  = errors.New("an earlier reading has not returned")
	errClosed = errors.New("the exporter is closed")
)

// A task is one source and the readings of it. At most one reading is under
// way, and at most one more is waiting for it to end.
type task struct {
	name     string
	source   Source
	schedule Schedule
	families map[string]minikeeper.Family
	labels   []*dto.LabelPair
	log      *slog.Logger
	reads    context.Context    // of all readings
	start    func(func()) error // runs a reading, unless the exporter is closed

	mu      sync.Mutex
	current *call     // under way; nil if none
	next    *call     // begins when current ends; nil if nobody asked
	stuck   *call     // was abandoned and has not returned; nil if none
	data    *reading  // what is exposed; nil before the first
	last    *outcome  // of the reading that ended last; nil before the first
	success time.Time // when the last successful reading began
	logged  string    // the failure that was logged last; "" after a success
	logTime time.Time
}

// A call is one reading and those who wait for it. measured may be read once
// done is closed.
type call struct {
	done     chan struct{}
	measured minikeeper.Measurement
}

// An outcome is how a reading ended.
type outcome struct {
	err      error
	duration time.Duration
}

// A result is what a source returned.
type result struct {
	samples []minikeeper.Sample
	err     error
	stack   string // where it panicked
}

type freshness bool

const (
	current freshness = false // a reading that is under way will do
	fresh   freshness = true  // it must begin now or later
)

// request returns a reading to wait for. While a reading that was abandoned
// has not returned, it fails at once: no goroutine is added to the stuck one.
func (t *task) request(f freshness) *call {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.current == nil:
		c := t.newCall()
		t.begin(c)
		return c
	case f == current:
		return t.current
	default:
		if t.next == nil {
			t.next = t.newCall()
		}
		return t.next
	}
}

func (t *task) newCall() *call {
	return &call{done: make(chan struct{}), measured: minikeeper.Measurement{Collector: t.name}}
}

// begin starts c, or ends it with an error. The caller holds t.mu.
func (t *task) begin(c *call) {
	c.measured.Start = time.Now()
	err := error(nil)
	if t.stuck != nil {
		err = fmt.Errorf("%w: it began at %s", errStuck, t.stuck.measured.Start.UTC().Format(time.RFC3339))
	} else {
		err = t.start(func() { t.read(c) })
	}
	if err != nil {
		c.measured.Error = err.Error()
		close(c.done)
		return
	}
	t.current = c
}

// read performs c: it waits for the source, but not for ever.
func (t *task) read(c *call) {
	ctx, cancel := context.WithTimeout(t.reads, t.schedule.timeout())
	defer cancel()
	answer := make(chan result, 1)
	go func() {
		answer <- collect(ctx, t.source)
		t.returned(c)
	}()

	var res result
	select {
	case res = <-answer:
	case <-ctx.Done():
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case res = <-answer:
		case <-timer.C:
			t.abandon(c, answer)
			return
		}
	}
	slow := res.err != nil && ctx.Err() != nil && len(res.samples) == 0
	if res.err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		res.err = fmt.Errorf("timeout of %v: %w", t.schedule.timeout(), res.err)
	}
	t.end(c, res, slow)
}

// abandon gives c up, unless its source returned at the last moment.
func (t *task) abandon(c *call, answer <-chan result) {
	t.mu.Lock()
	select {
	case res := <-answer:
		t.mu.Unlock()
		t.end(c, res, false)
		return
	default:
		t.stuck = c
	}
	t.mu.Unlock()
	t.end(c, result{err: fmt.Errorf("timeout of %v: it does not return", t.schedule.timeout())}, true)
}

// returned notes that the source of c has returned; what it brought after
// being abandoned is too old to be told from what came after.
func (t *task) returned(c *call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stuck == c {
		t.stuck = nil
	}
}

// collect calls the source and turns a panic into an error.
func collect(ctx context.Context, s Source) (res result) {
	defer func() {
		if p := recover(); p != nil {
			res = result{err: fmt.Errorf("panic: %v", p), stack: string(debug.Stack())}
		}
	}()
	samples, err := s.Collect(ctx)
	return result{samples: samples, err: err}
}

// end publishes what c brought and starts the reading that waits for it. A
// slow source, one that gave no answer at all, leaves what was read before in
// place; one that answered with an error takes it away.
func (t *task) end(c *call, res result, slow bool) {
	now := time.Now()
	read := build(t.families, t.labels, res.samples)
	err := errors.Join(res.err, read.problem)
	read.start = c.measured.Start

	t.mu.Lock()
	defer t.mu.Unlock()
	if !slow {
		t.data = read
	}
	t.last = &outcome{err: err, duration: now.Sub(c.measured.Start)}
	if err == nil {
		t.success = c.measured.Start
	} else {
		c.measured.Error = oneLine(err)
	}
	t.logChange(err, res.stack, now)
	t.current = nil
	close(c.done)
	if next := t.next; next != nil {
		t.next = nil
		t.begin(next)
	}
}

// logChange logs when the source fails, fails in another way, or works again;
// never the same failure twice. The caller holds t.mu.
func (t *task) logChange(err error, stack string, now time.Time) {
	switch {
	case errors.Is(t.reads.Err(), context.Canceled):
		// Everything fails while the process stops.
	case err == nil && t.logged != "":
		t.log.Info("collector works again", "collector", t.name)
		t.logged = ""
	case err != nil && (t.logged == "" || t.logged != err.Error() && now.Sub(t.logTime) >= relogAfter):
		log := t.log
		if stack != "" {
			log = log.With("stack", stack)
		}
		log.Warn("collector failed", "collector", t.name, "err", oneLine(err))
		t.logged, t.logTime = err.Error(), now
	}
}

// repeat reads the source at its interval until ctx ends. A reading that
// takes longer than the interval is waited for.
func (t *task) repeat(ctx context.Context) {
	for ctx.Err() == nil {
		begun := time.Now()
		c := t.request(current)
		select {
		case <-c.done:
		case <-ctx.Done():
			return
		}
		timer := time.NewTimer(max(t.schedule.Every-time.Since(begun), 0))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}
