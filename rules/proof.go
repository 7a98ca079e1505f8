package rules

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/minikeeper/minikeeper"
)

// The exporter says with these of every collector how it fares.
const (
	lastSuccess = "minikeeper_collector_last_success_timestamp_seconds"
	success     = "minikeeper_collector_success"
)

// A proof looks at everything that a claim's expression reads.
type proof struct {
	store    *Store
	claim    minikeeper.Claim
	now      time.Time
	recorded map[string]bool
	ranges   []string // selectors that also count samples before claim.After
	stale    []string // what is too old or missing, in words
}

// inspect looks at what sel reads.
func (p *proof) inspect(ctx context.Context, sel selector) error {
	read, err := p.store.read(ctx, sel, p.now)
	if err != nil {
		return err
	}
	if len(read) == 0 {
		p.add("there is no series %s", sel.text)
	}
	if sel.window > 0 && p.now.Add(-sel.offset-sel.window).Before(p.claim.After) {
		p.ranges = append(p.ranges, sel.text)
	}
	for _, r := range read {
		if err := p.inspectReading(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (p *proof) inspectReading(ctx context.Context, r reading) error {
	metric := r.series.Get(model.MetricNameLabel)
	switch {
	case p.recorded[metric]:
		p.add("%s is made by a rule, from samples of unknown age", name(r.series))
		return nil
	case r.ended:
		p.add("%s has ended; its newest sample is of %s", name(r.series), clock(r.at))
		return nil
	case !r.at.After(p.claim.After):
		p.add("%s was last scraped at %s, not after %s", name(r.series), clock(r.at), clock(p.claim.After))
		return nil
	}
	collector, ok := p.store.opts.CollectorOf(metric)
	if !ok {
		return nil
	}
	return p.inspectCollector(ctx, r, collector)
}

// inspectCollector looks at how the collector behind r fared when r was
// scraped: the samples of one scrape have one timestamp.
func (p *proof) inspectCollector(ctx context.Context, r reading, collector string) error {
	server := r.series.Get("server")
	if server == "" {
		p.add("%s has no label server, so its collector is not known", name(r.series))
		return nil
	}
	server, err := p.reader(ctx, r, collector)
	if err != nil {
		return err
	}
	who := fmt.Sprintf("collector %s on %s", collector, server)
	same := append(target(r), equal("server", server), equal("collector", collector))
	well, err := p.alongside(ctx, r, success, same)
	if err != nil {
		return err
	}
	when, err := p.alongside(ctx, r, lastSuccess, same)
	if err != nil {
		return err
	}
	if len(well) == 0 || len(when) == 0 {
		p.add("%s does not say when it last succeeded", who)
		return nil
	}
	for _, w := range well {
		if w.value != 1 {
			p.add("%s fails", who)
		}
	}
	for _, w := range when {
		p.inspectSuccess(who, server, collector, w.value)
	}
	return nil
}

// target are the labels of the target that r was scraped from, if it was one.
func target(r reading) []*labels.Matcher {
	var same []*labels.Matcher
	for _, label := range []string{"job", "instance"} {
		if value := r.series.Get(label); value != "" {
			same = append(same, equal(label, value))
		}
	}
	return same
}

// reader returns the server on which the collector of r runs. It is the one
// that r is about, unless another one looked at it from outside: then the
// collector's own series came from the same target under that one's name.
func (p *proof) reader(ctx context.Context, r reading, collector string) (string, error) {
	server, same := r.series.Get("server"), target(r)
	if len(same) < 2 {
		return server, nil
	}
	found, err := p.alongside(ctx, r, success, append(same, equal("collector", collector)))
	if err != nil || len(found) == 0 || slices.ContainsFunc(found, func(f reading) bool { return f.series.Get("server") == server }) {
		return server, err
	}
	return found[0].series.Get("server"), nil
}

// alongside returns the readings of metric that came with r, or after
// claim.After before it.
func (p *proof) alongside(ctx context.Context, r reading, metric string, same []*labels.Matcher) ([]reading, error) {
	found, err := p.store.newest(ctx, p.claim.After, r.at, append(slices.Clone(same), equal(model.MetricNameLabel, metric))...)
	return slices.DeleteFunc(found, func(f reading) bool { return f.ended }), err
}

// inspectSuccess compares when a collector last succeeded with when it had to.
// Both are the target's own clock if the target said when it measured afresh.
func (p *proof) inspectSuccess(who, server, collector string, seconds float64) {
	succeeded := time.UnixMilli(int64(math.Round(seconds * 1000)))
	if m, ok := p.measurement(server, collector); ok {
		switch {
		case m.Error != "":
			p.add("%s failed to measure afresh: %s", who, m.Error)
		case succeeded.UnixMilli() < m.Start.UnixMilli():
			p.add("%s: the scrape shows its success of %s, not the fresh one of %s", who, clock(succeeded), clock(m.Start))
		}
		return
	}
	if !succeeded.After(p.claim.After) {
		p.add("%s last succeeded at %s, not after %s", who, clock(succeeded), clock(p.claim.After))
	}
}

func (p *proof) measurement(server, collector string) (minikeeper.Measurement, bool) {
	if server != p.claim.Server {
		return minikeeper.Measurement{}, false
	}
	i := slices.IndexFunc(p.claim.Measurements, func(m minikeeper.Measurement) bool { return m.Collector == collector })
	if i < 0 {
		return minikeeper.Measurement{}, false
	}
	return p.claim.Measurements[i], true
}

// add notes what is not fresh, once.
func (p *proof) add(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(p.stale, text) {
		p.stale = append(p.stale, text)
	}
}

// why puts the judgment in words.
func (p *proof) why(result promql.Vector) string {
	const most = 3
	var parts []string
	switch n := len(p.stale); {
	case n > most:
		parts = append(parts, "not fresh: "+strings.Join(p.stale[:most], "; ")+fmt.Sprintf("; and %d more", n-most))
	case n > 0:
		parts = append(parts, "not fresh: "+strings.Join(p.stale, "; "))
	default:
		parts = append(parts, "measured after "+clock(p.claim.After))
	}
	if len(result) > 0 {
		parts = append(parts, "it has a result: "+show(result))
	} else {
		parts = append(parts, "it has no result")
	}
	if len(p.ranges) > 0 {
		parts = append(parts, "older samples also count in "+strings.Join(p.ranges, ", ")+", of which the newest must be fresh")
	}
	return strings.Join(parts, "; ")
}
