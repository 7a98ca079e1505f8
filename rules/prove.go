package rules

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	promrules "github.com/prometheus/prometheus/rules"

	"github.com/minikeeper/minikeeper"
)

// Prove says whether c holds now, and whether what it rests on was measured
// after c.After. An error means that the store could not tell.
//
// The evidence is fresh only if every selector of the expression finds a
// series, if the newest sample of each such series is later than c.After, and,
// for a metric of a known collector, if that sample was scraped when the
// collector on the series' server had succeeded anew: for c.Server in a
// reading that began no earlier than c.Measurements says, elsewhere after
// c.After. The result of a recording rule is never fresh, because nobody knows
// how old what it was made from is.
func (s *Store) Prove(ctx context.Context, c minikeeper.Claim) (minikeeper.Evidence, error) {
	found, err := parseClaim(c.Expr)
	if err != nil {
		return minikeeper.Evidence{}, err
	}
	now := time.Now()
	e := minikeeper.Evidence{At: now}
	if !now.After(c.After) {
		e.Why = fmt.Sprintf("nothing can be later than %s yet", clock(c.After))
		return e, nil
	}
	p := proof{store: s, claim: c, now: now, recorded: s.recorded()}
	for _, sel := range found {
		if err := p.inspect(ctx, sel); err != nil {
			return minikeeper.Evidence{}, err
		}
	}
	// Whatever was measured before c.After must not hold the claim up, not
	// even where fresh and old samples are summed.
	result, err := s.evaluateAt(ctx, c.Expr, min(s.opts.Lookback, now.Sub(c.After)), now)
	if err != nil {
		return minikeeper.Evidence{}, err
	}
	e.Proven = len(result) > 0
	e.Fresh = len(p.stale) == 0
	e.Why = p.why(result)
	return e, nil
}

// Holds says whether expr has a result now, whatever its samples' age within
// the lookback, and why in words. Unlike for [Store.Prove] any expression will
// do.
func (s *Store) Holds(ctx context.Context, expr string) (holds bool, why string, err error) {
	parsed, err := s.parser.ParseExpr(expr)
	if err != nil {
		return false, "", fmt.Errorf("parse expression: %w", err)
	}
	now := time.Now()
	result, err := s.evaluateAt(ctx, expr, s.opts.Lookback, now)
	if err != nil {
		return false, "", err
	}
	if len(result) > 0 {
		return true, "it has a result: " + show(result), nil
	}
	for _, sel := range selectors(parsed) {
		read, err := s.read(ctx, sel, now)
		if err != nil {
			return false, "", err
		}
		if len(read) == 0 {
			return false, "it has no result: there is no series " + sel.text, nil
		}
	}
	return false, "it has no result", nil
}

// evaluateAt evaluates expr as a rule would. A scalar is a vector of one.
func (s *Store) evaluateAt(ctx context.Context, expr string, lookback time.Duration, at time.Time) (promql.Vector, error) {
	opts := promql.NewPrometheusQueryOpts(false, max(lookback, time.Millisecond))
	query, err := s.engine.NewInstantQuery(ctx, s.db, opts, expr, at)
	if err != nil {
		return nil, fmt.Errorf("evaluate expression: %w", err)
	}
	defer query.Close()
	result := query.Exec(ctx)
	if result.Err != nil {
		return nil, fmt.Errorf("evaluate expression: %w", result.Err)
	}
	switch v := result.Value.(type) {
	case promql.Vector:
		return append(promql.Vector(nil), v...), nil // Close takes v back
	case promql.Scalar:
		return promql.Vector{{T: v.T, F: v.V}}, nil
	default:
		return nil, fmt.Errorf("evaluate expression: its result is a %s, want a vector", v.Type())
	}
}

// read returns the newest samples that sel reads at now. Series that have
// ended are left out where the expression does not see them either.
func (s *Store) read(ctx context.Context, sel selector, now time.Time) ([]reading, error) {
	to := now.Add(-sel.offset)
	span := sel.window
	if span == 0 {
		span = s.opts.Lookback
	}
	found, err := s.newest(ctx, to.Add(-span), to, sel.matchers...)
	if err != nil || sel.window > 0 {
		return found, err
	}
	living := found[:0]
	for _, r := range found {
		if !r.ended {
			living = append(living, r)
		}
	}
	return living, nil
}

// recorded returns the names of the metrics that rules write.
func (s *Store) recorded() map[string]bool {
	names := map[string]bool{"ALERTS": true, "ALERTS_FOR_STATE": true}
	for _, rule := range s.rules.Rules() {
		if r, ok := rule.(*promrules.RecordingRule); ok {
			names[r.Name()] = true
		}
	}
	return names
}

// show names the series of a result with their values, some of them if many.
func show(result promql.Vector) string {
	const most = 3
	var b strings.Builder
	for i, sample := range result {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(result)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %v", name(sample.Metric), sample.F)
	}
	return b.String()
}

// name shows a series as PromQL writes it.
func name(series labels.Labels) string {
	var pairs []string
	series.Range(func(l labels.Label) {
		if l.Name != model.MetricNameLabel {
			pairs = append(pairs, fmt.Sprintf("%s=%q", l.Name, l.Value))
		}
	})
	metric := series.Get(model.MetricNameLabel)
	if len(pairs) == 0 && metric != "" {
		return metric
	}
	return metric + "{" + strings.Join(pairs, ",") + "}"
}

// clock shows t with the precision that samples have.
func clock(t time.Time) string { return t.UTC().Format("15:04:05.000Z") }

func equal(name, value string) *labels.Matcher {
	return &labels.Matcher{Type: labels.MatchEqual, Name: name, Value: value}
}
