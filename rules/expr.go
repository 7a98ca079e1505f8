package rules

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// CheckExpr reports why expr cannot prove anything, or nil. An expression that
// verifies a repair reads at least one series, has a result only where the
// claim holds, and reads what was measured rather than what rules made of it.
func CheckExpr(expr string) error {
	_, err := parseClaim(expr)
	return err
}

// parseClaim parses expr and returns what it reads.
func parseClaim(expr string) ([]selector, error) {
	parsed, err := newParser().ParseExpr(expr)
	if err != nil {
		return nil, fmt.Errorf("parse expression: %w", err)
	}
	if t := parsed.Type(); t != parser.ValueTypeVector {
		return nil, fmt.Errorf("expression is a %s; want an instant vector, which is empty where the claim does not hold", parser.DocumentedType(t))
	}
	if comparesWithBool(parsed) {
		return nil, errors.New("expression compares with bool, so it has a result even where the claim does not hold")
	}
	found := selectors(parsed)
	if len(found) == 0 {
		return nil, errors.New("expression reads no series")
	}
	return found, findUnprovable(parsed)
}

// Collectors implements remediate.Prover: it returns the collectors whose
// metrics expr reads, sorted. It returns none if expr also reads a metric that
// it cannot place, or none that it can.
func (s *Store) Collectors(expr string) []string {
	found, err := parseClaim(expr)
	if err != nil {
		return nil
	}
	var names []string
	for _, sel := range found {
		metric := sel.metric()
		if metric == "up" { // every scrape measures it
			continue
		}
		name, known := s.opts.CollectorOf(metric)
		if !known {
			return nil
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func comparesWithBool(e parser.Expr) bool {
	for {
		paren, ok := e.(*parser.ParenExpr)
		if !ok {
			break
		}
		e = paren.Expr
	}
	binary, ok := e.(*parser.BinaryExpr)
	return ok && binary.ReturnBool
}

// findUnprovable looks for parts that hold where nothing was measured, or
// whose measurement cannot be dated.
func findUnprovable(e parser.Expr) error {
	var problem error
	parser.Inspect(e, func(node parser.Node, _ []parser.Node) error {
		if problem == nil {
			problem = unprovable(node)
		}
		return problem
	})
	return problem
}

func unprovable(node parser.Node) error {
	switch n := node.(type) {
	case *parser.Call:
		if n.Func.Name == "absent" || n.Func.Name == "absent_over_time" {
			return fmt.Errorf("%s() holds where nothing is measured, which proves nothing", n.Func.Name)
		}
	case *parser.BinaryExpr:
		if n.Op == parser.LOR && (len(selectors(n.LHS)) == 0 || len(selectors(n.RHS)) == 0) {
			return fmt.Errorf("%q has a side that reads no series, so it always has a result", n)
		}
	case *parser.SubqueryExpr:
		if n.Timestamp != nil || n.StartOrEnd != 0 {
			return fmt.Errorf("%q names a fixed time; a claim is about now", n)
		}
	case *parser.VectorSelector:
		if n.Timestamp != nil || n.StartOrEnd != 0 {
			return fmt.Errorf("%q names a fixed time; a claim is about now", n)
		}
		if n.Name == "ALERTS" || n.Name == "ALERTS_FOR_STATE" {
			return fmt.Errorf("%s is what rules say, not a measurement: name the metric that the alert is about", n.Name)
		}
	}
	return nil
}

// A selector is one place where an expression reads series.
type selector struct {
	text     string // as the expression has it
	matchers []*labels.Matcher
	offset   time.Duration // how far before the evaluation it looks
	window   time.Duration // how far back its range goes; zero for an instant
}

// metric is the name that sel asks for; "" if it asks by a pattern.
func (sel selector) metric() string {
	for _, m := range sel.matchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			return m.Value
		}
	}
	return ""
}

// selectors finds all that e reads, in the order it is written.
func selectors(e parser.Expr) []selector {
	var found []selector
	parser.Inspect(e, func(node parser.Node, path []parser.Node) error {
		if vector, ok := node.(*parser.VectorSelector); ok {
			found = append(found, selectorOf(vector, path))
		}
		return nil
	})
	return found
}

func selectorOf(v *parser.VectorSelector, path []parser.Node) selector {
	s := selector{text: v.String(), matchers: v.LabelMatchers, offset: v.OriginalOffset}
	for _, p := range slices.Backward(path) {
		switch n := p.(type) {
		case *parser.MatrixSelector:
			s.text = n.String()
			s.window += n.Range
		case *parser.SubqueryExpr:
			s.text = n.String()
			s.window += n.Range
			s.offset += n.OriginalOffset
		}
	}
	return s
}
