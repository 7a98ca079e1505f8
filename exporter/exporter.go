// Package exporter runs collectors on their schedules and publishes what they
// read: on /metrics, once for the collect command, and afresh for the runner
// that has to prove a repair. It also holds the HTTP server.
//
// One bad collector never delays or hides another. Each is read in its own
// goroutine, with a timeout; one that ignores it is abandoned and not started
// again before it has returned; a panic is an error; a sample that would spoil
// the exposition is left out and reported.
//
// It judges nothing and keeps no history: rules and the store do.
package exporter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	promcollectors "github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/minikeeper/minikeeper"
)

// A Source reads one kind of fact from this machine. collectors.Collector is
// one.
type Source interface {
	// Families lists every metric that Collect can return.
	Families() []minikeeper.Family

	// Collect reads once. It may return samples and an error together.
	Collect(ctx context.Context) ([]minikeeper.Sample, error)
}

// A Schedule says when a source is read.
type Schedule struct {
	// Every is the time from the start of one reading in the background to
	// the start of the next. 0: it is read when somebody scrapes.
	Every time.Duration

	// Timeout ends a reading. 0: 30 s, or Every if that is longer.
	Timeout time.Duration
}

const (
	defaultTimeout = 30 * time.Second

	// keepAtLeast is how long the samples of a source that does not answer
	// stay exposed at least: Prometheus itself looks back as far.
	keepAtLeast = 5 * time.Minute
)

func (s Schedule) timeout() time.Duration {
	return cmp.Or(s.Timeout, max(defaultTimeout, s.Every))
}

// maxAge is how old exposed samples may be: three readings missed.
func (s Schedule) maxAge() time.Duration { return max(3*s.Every, keepAtLeast) }

// An Entry is a source and its schedule.
type Entry struct {
	Source   Source
	Schedule Schedule
}

// Options are what all sources share. The zero value is useful.
type Options struct {
	Labels            map[string]string     // added to everything that is exposed
	Version, Revision string                // shown by minikeeper_build_info
	Also              []prometheus.Gatherer // metrics of libraries, exposed as they are
	Log               *slog.Logger          // nil: nothing is logged
}

// An Exporter holds sources and what was last read from each. It is safe for
// concurrent use.
type Exporter struct {
	tasks  []*task // by name
	also   []prometheus.Gatherer
	self   selfFamilies
	shared map[string]bool // families that several sources declare
	log    *slog.Logger

	cancel context.CancelFunc // of all readings

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup // readings that were not abandoned
}

// New returns an Exporter of sources, by name. It reads nothing yet. Invalid
// names of metrics and labels, and two sources that declare one metric
// differently, are errors, all at once.
func New(o Options, sources map[string]Entry) (*Exporter, error) {
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	declared, err := declare(o.Labels, sources)
	if err != nil {
		return nil, err
	}
	runtimeMetrics, err := newRuntimeMetrics(o)
	if err != nil {
		return nil, err
	}
	labels := labelPairs(o.Labels)
	e := &Exporter{
		also:   append([]prometheus.Gatherer{runtimeMetrics}, o.Also...),
		self:   selfFamilies{labels: labels},
		shared: declared.shared,
		log:    log,
	}
	reads, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		e.tasks = append(e.tasks, &task{
			name:     name,
			source:   sources[name].Source,
			schedule: sources[name].Schedule,
			families: declared.families[name],
			labels:   labels,
			log:      log,
			reads:    reads,
			start:    e.start,
		})
	}
	return e, nil
}

func newRuntimeMetrics(o Options) (*prometheus.Registry, error) {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "minikeeper_build_info",
		Help: "Always 1; the labels tell which build of minikeeper this is.",
		ConstLabels: prometheus.Labels{
			"version": cmp.Or(o.Version, "unknown"), "revision": cmp.Or(o.Revision, "unknown"),
			"goversion": runtime.Version(), "goos": runtime.GOOS, "goarch": runtime.GOARCH,
		},
	})
	build.Set(1)
	with := prometheus.WrapRegistererWith(o.Labels, registry)
	for _, c := range []prometheus.Collector{
		build,
		promcollectors.NewGoCollector(),
		promcollectors.NewProcessCollector(promcollectors.ProcessCollectorOpts{}),
	} {
		if err := with.Register(c); err != nil {
			return nil, fmt.Errorf("register runtime metrics: %w", err)
		}
	}
	return registry, nil
}

// Run reads the sources that have an interval until ctx ends, and then stops
// all readings. Without Run every source can still be read by Collect and
// Gather.
func (e *Exporter) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, t := range e.tasks {
		if t.schedule.Every > 0 {
			wg.Go(func() { t.repeat(ctx) })
		}
	}
	<-ctx.Done()
	e.Close()
	wg.Wait()
	return nil
}

// Close ends all readings and waits until those have returned that were not
// abandoned. Later readings fail.
func (e *Exporter) Close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.cancel()
	e.wg.Wait()
}

// start runs read, and has Close wait for it.
func (e *Exporter) start(read func()) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errClosed
	}
	e.wg.Go(read)
	return nil
}

// Collect has the named sources (all if none is named) read afresh, and waits
// until they have: a reading that was already under way when Collect was
// called does not count, since it may have looked before the call. Callers
// that wait for the same source share one reading.
//
// The measurements are in the order of the names. One that failed says why in
// its Error. The error is about the call: an unknown name, or ctx ended.
func (e *Exporter) Collect(ctx context.Context, names ...string) ([]minikeeper.Measurement, error) {
	tasks, err := e.pick(names)
	if err != nil {
		return nil, err
	}
	calls := make([]*call, len(tasks))
	for i, t := range tasks {
		calls[i] = t.request(fresh)
	}
	measured := make([]minikeeper.Measurement, len(calls))
	for i, c := range calls {
		select {
		case <-c.done:
			measured[i] = c.measured
		case <-ctx.Done():
			err = fmt.Errorf("collect: %w", context.Cause(ctx))
			measured[i] = minikeeper.Measurement{Collector: tasks[i].name, Error: "not awaited to its end"}
		}
	}
	return measured, err
}

// Names returns the names of the sources, sorted.
func (e *Exporter) Names() []string {
	names := make([]string, len(e.tasks))
	for i, t := range e.tasks {
		names[i] = t.name
	}
	return names
}

// pick returns the tasks called names; all of them if names is empty.
func (e *Exporter) pick(names []string) ([]*task, error) {
	if len(names) == 0 {
		return e.tasks, nil
	}
	var tasks []*task
	var bad []error
	for _, name := range names {
		i, ok := slices.BinarySearchFunc(e.tasks, name, func(t *task, name string) int { return cmp.Compare(t.name, name) })
		if !ok {
			bad = append(bad, fmt.Errorf("unknown collector %q (have %s)", name, strings.Join(e.Names(), ", ")))
			continue
		}
		if !slices.Contains(tasks, e.tasks[i]) {
			tasks = append(tasks, e.tasks[i])
		}
	}
	return tasks, errors.Join(bad...)
}
