package rules

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	promrules "github.com/prometheus/prometheus/rules"

	"github.com/minikeeper/minikeeper"
)

// Changed receives a value some time after alerts may have changed. Several
// evaluations may share one value.
func (s *Store) Changed() <-chan struct{} { return s.changed }

// evaluate evaluates a group and lets listeners know.
func (s *Store) evaluate(ctx context.Context, g *promrules.Group, at time.Time) {
	promrules.DefaultEvalIterationFunc(ctx, g, at)
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Snapshot returns the alerts that are pending or firing, ordered by key, and
// the names of alerts about which the rules cannot be sure, so that the
// absence of one proves nothing: its rule has failed, has not been evaluated,
// or has not yet found back to the state before a restart.
func (s *Store) Snapshot(ctx context.Context) (alerts []minikeeper.Alert, unsure map[string]bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	unsure = make(map[string]bool)
	early := time.Since(s.opened) < 2*s.opts.Interval // not every target has been asked
	for _, rule := range s.rules.AlertingRules() {
		if early || rule.Health() != promrules.HealthGood || !rule.Restored() {
			unsure[rule.Name()] = true
		}
		for _, a := range rule.ActiveAlerts() {
			alerts = append(alerts, alertOf(rule.Name(), a))
		}
	}
	slices.SortFunc(alerts, func(a, b minikeeper.Alert) int { return cmp.Compare(a.Key(), b.Key()) })
	return alerts, unsure, nil
}

func alertOf(name string, a *promrules.Alert) minikeeper.Alert {
	state := minikeeper.AlertPending
	if a.State == promrules.StateFiring {
		state = minikeeper.AlertFiring
	}
	labels := a.Labels.Map()
	labels[model.AlertNameLabel] = name
	return minikeeper.Alert{
		Name:        name,
		Labels:      labels,
		Annotations: a.Annotations.Map(),
		State:       state,
		ActiveAt:    a.ActiveAt,
		FiredAt:     a.FiredAt,
		ResolvedAt:  a.ResolvedAt,
		Value:       a.Value,
	}
}
