package exporter

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/minikeeper/minikeeper"
)

// scrapePatience is how long a scrape waits for the sources that are read at
// each scrape, unless the scraper says how long it waits itself. Prometheus's
// default is 10 s.
const scrapePatience = 9500 * time.Millisecond

var _ prometheus.Gatherer = (*Exporter)(nil)

// Gather implements prometheus.Gatherer: it reads the sources without an
// interval, and returns all there is to expose. A source that does not answer
// in time is represented by what it said before. It never returns an error.
func (e *Exporter) Gather() ([]*dto.MetricFamily, error) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapePatience)
	defer cancel()
	e.refresh(ctx, e.tasks)
	return e.families(e.tasks, true), nil
}

// WriteText writes what was read last from the named sources (all if none is
// named), with their self-metrics, in Prometheus's text format. It reads
// nothing: Collect does.
func (e *Exporter) WriteText(w io.Writer, names ...string) error {
	tasks, err := e.pick(names)
	if err != nil {
		return err
	}
	for _, family := range e.families(tasks, false) {
		if _, err := expfmt.MetricFamilyToText(w, family); err != nil {
			return fmt.Errorf("write metrics: %w", err)
		}
	}
	return nil
}

// refresh reads those of tasks that have no interval, all at once, and waits
// for them until ctx ends.
func (e *Exporter) refresh(ctx context.Context, tasks []*task) {
	var calls []*call
	for _, t := range tasks {
		if t.schedule.Every == 0 {
			calls = append(calls, t.request(current))
		}
	}
	for _, c := range calls {
		select {
		case <-c.done:
		case <-ctx.Done():
			return
		}
	}
}

// families returns what is exposed now, sorted by name.
func (e *Exporter) families(tasks []*task, all bool) []*dto.MetricFamily {
	now := time.Now()
	states := make([]state, len(tasks))
	for i, t := range tasks {
		states[i] = t.state(now)
	}
	found := e.self.build(states)
	for _, s := range states {
		found = append(found, s.families...)
	}
	if all {
		for _, g := range e.also {
			more, err := g.Gather() // what it could gather is good nevertheless
			if err != nil {
				e.log.Debug("gather library metrics", "err", err)
			}
			found = append(found, more...)
		}
	}
	slices.SortStableFunc(found, compareFamilies)
	return e.merge(found)
}

// merge joins neighbours of one name: families that several sources declare.
// Of other doublets, as of series that two sources both have, the first stays.
func (e *Exporter) merge(sorted []*dto.MetricFamily) []*dto.MetricFamily {
	merged := sorted[:0]
	for _, family := range sorted {
		if n := len(merged); n > 0 && merged[n-1].GetName() == family.GetName() {
			if e.shared[family.GetName()] {
				merged[n-1] = union(merged[n-1], family)
			}
			continue
		}
		merged = append(merged, family)
	}
	return merged
}

// union returns a family with the metrics of both, which it leaves alone.
func union(a, b *dto.MetricFamily) *dto.MetricFamily {
	seen := make(map[string]bool, len(a.Metric))
	for _, m := range a.Metric {
		seen[seriesKey("", m.Label)] = true
	}
	both := &dto.MetricFamily{Name: a.Name, Help: a.Help, Type: a.Type, Metric: slices.Clone(a.Metric)}
	for _, m := range b.Metric {
		if !seen[seriesKey("", m.Label)] {
			both.Metric = append(both.Metric, m)
		}
	}
	return both
}

// A state is a task at one moment.
type state struct {
	name     string
	families []*dto.MetricFamily // empty if nothing was read, or too long ago
	last     *outcome
	success  time.Time
	dataAge  time.Duration // -1 without data
}

func (t *task) state(now time.Time) state {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := state{name: t.name, last: t.last, success: t.success, dataAge: -1}
	if t.data == nil {
		return s
	}
	if age := max(now.Sub(t.data.start), 0); age <= t.schedule.maxAge() {
		s.families, s.dataAge = t.data.families, age
	}
	return s
}

// CollectorHealth is how a collector does, for the status page.
type CollectorHealth struct {
	Name        string        `json:"name"`
	Read        bool          `json:"read"` // false until the first reading has ended
	OK          bool          `json:"ok"`
	Error       string        `json:"error,omitempty"`
	LastSuccess time.Time     `json:"last_success,omitzero"` // when the last successful reading began
	Duration    time.Duration `json:"duration"`              // of the reading that ended last
}

// Health returns how each collector does, by name.
func (e *Exporter) Health() []CollectorHealth {
	health := make([]CollectorHealth, len(e.tasks))
	for i, t := range e.tasks {
		s := t.state(time.Now())
		h := CollectorHealth{Name: s.name, LastSuccess: s.success}
		if s.last != nil {
			h.Read, h.OK, h.Duration = true, s.last.err == nil, s.last.duration
			if s.last.err != nil {
				h.Error = oneLine(s.last.err)
			}
		}
		health[i] = h
	}
	return health
}

// selfPrefix begins the names of the metrics about collectors.
const selfPrefix = "minikeeper_collector_"

// selfFamilies makes the metrics that tell how far collectors can be trusted.
type selfFamilies struct{ labels []*dto.LabelPair }

func (f selfFamilies) build(states []state) []*dto.MetricFamily {
	success := f.family("success", "Whether the reading of the collector that ended last succeeded (1) or not (0).")
	duration := f.family("duration_seconds", "How long the reading of the collector that ended last took.")
	last := f.family("last_success_timestamp_seconds", "When the last successful reading of the collector began.")
	age := f.family("data_age_seconds", "How long ago the reading began whose samples are exposed.")
	for _, s := range states {
		if s.last != nil {
			ok := 0.0
			if s.last.err == nil {
				ok = 1
			}
			f.add(success, s.name, ok)
			f.add(duration, s.name, s.last.duration.Seconds())
		}
		if !s.success.IsZero() {
			f.add(last, s.name, float64(s.success.UnixNano())/1e9)
		}
		if s.dataAge >= 0 {
			f.add(age, s.name, s.dataAge.Seconds())
		}
	}
	return slices.DeleteFunc([]*dto.MetricFamily{success, duration, last, age}, func(f *dto.MetricFamily) bool {
		return len(f.Metric) == 0
	})
}

func (f selfFamilies) family(name, help string) *dto.MetricFamily {
	return newFamily(minikeeper.Family{Name: selfPrefix + name, Help: help, Type: minikeeper.Gauge})
}

func (f selfFamilies) add(to *dto.MetricFamily, collector string, value float64) {
	pairs := append([]*dto.LabelPair{labelPair("collector", collector)}, f.labels...)
	slices.SortFunc(pairs, func(a, b *dto.LabelPair) int { return cmp.Compare(a.GetName(), b.GetName()) })
	to.Metric = append(to.Metric, &dto.Metric{Label: pairs, Gauge: &dto.Gauge{Value: &value}})
}
