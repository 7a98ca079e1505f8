package rules

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	promrules "github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/util/annotations"
)

func marshalled(v any) (json.RawMessage, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write result: %w", err)
	}
	return data, nil
}

// The shapes of Prometheus's API.
type (
	apiGroup struct {
		Name           string    `json:"name"`
		File           string    `json:"file"`
		Rules          []any     `json:"rules"`
		Interval       float64   `json:"interval"`
		Limit          int       `json:"limit"`
		EvaluationTime float64   `json:"evaluationTime"`
		LastEvaluation time.Time `json:"lastEvaluation"`
	}
	apiRule struct {
		Name           string        `json:"name"`
		Query          string        `json:"query"`
		Labels         labels.Labels `json:"labels"`
		Health         string        `json:"health"`
		LastError      string        `json:"lastError,omitempty"`
		EvaluationTime float64       `json:"evaluationTime"`
		LastEvaluation time.Time     `json:"lastEvaluation"`
		Type           string        `json:"type"`
	}
	apiAlertingRule struct {
		apiRule
		State         string        `json:"state"`
		Duration      float64       `json:"duration"`
		KeepFiringFor float64       `json:"keepFiringFor"`
		Annotations   labels.Labels `json:"annotations"`
		Alerts        []apiAlert    `json:"alerts"`
	}
	apiAlert struct {
		Labels          labels.Labels `json:"labels"`
		Annotations     labels.Labels `json:"annotations"`
		State           string        `json:"state"`
		ActiveAt        *time.Time    `json:"activeAt,omitempty"`
		KeepFiringSince *time.Time    `json:"keepFiringSince,omitempty"`
		Value           string        `json:"value"`
	}
)

func (s *Store) answerAlerts(*http.Request) (any, annotations.Annotations, error) {
	alerts := []apiAlert{}
	for _, rule := range s.rules.AlertingRules() {
		alerts = append(alerts, apiAlerts(rule)...)
	}
	return map[string]any{"alerts": alerts}, nil, nil
}

func apiAlerts(rule *promrules.AlertingRule) []apiAlert {
	alerts := []apiAlert{}
	for _, a := range rule.ActiveAlerts() {
		shown := apiAlert{
			Labels:      a.Labels,
			Annotations: a.Annotations,
			State:       a.State.String(),
			ActiveAt:    &a.ActiveAt,
			Value:       strconv.FormatFloat(a.Value, 'e', -1, 64),
		}
		if !a.KeepFiringSince.IsZero() {
			shown.KeepFiringSince = &a.KeepFiringSince
		}
		alerts = append(alerts, shown)
	}
	slices.SortFunc(alerts, func(a, b apiAlert) int { return labels.Compare(a.Labels, b.Labels) })
	return alerts
}

// answerRules lists the rule groups. Those who ask may narrow it by type and
// by the names of rules, groups and files.
func (s *Store) answerRules(r *http.Request) (any, annotations.Annotations, error) {
	kind := r.FormValue("type")
	if kind != "" && kind != "alert" && kind != "record" {
		return nil, nil, badData{fmt.Errorf("invalid parameter %q: want alert or record", "type")}
	}
	groups := []apiGroup{}
	for _, g := range s.rules.RuleGroups() {
		if !wanted(r, "rule_group[]", g.Name()) || !wanted(r, "file[]", g.File()) {
			continue
		}
		shown := apiGroup{
			Name: g.Name(), File: g.File(), Interval: g.Interval().Seconds(), Limit: g.Limit(), Rules: []any{},
			EvaluationTime: g.GetEvaluationTime().Seconds(), LastEvaluation: g.GetLastEvaluation(),
		}
		for _, rule := range g.Rules() {
			if data := apiRuleOf(rule, kind); data != nil && wanted(r, "rule_name[]", rule.Name()) {
				shown.Rules = append(shown.Rules, data)
			}
		}
		if len(shown.Rules) > 0 || (kind == "" && !r.Form.Has("rule_name[]")) {
			groups = append(groups, shown)
		}
	}
	return map[string]any{"groups": groups}, nil, nil
}

// wanted tells whether r asks for value by the parameter, or for all.
func wanted(r *http.Request, parameter, value string) bool {
	values := r.Form[parameter]
	return len(values) == 0 || slices.Contains(values, value)
}

// apiRuleOf returns nil for a rule that is not of the kind; empty is any.
func apiRuleOf(rule promrules.Rule, kind string) any {
	shown := apiRule{
		Name: rule.Name(), Query: rule.Query().String(), Labels: rule.Labels(), Health: string(rule.Health()),
		EvaluationTime: rule.GetEvaluationDuration().Seconds(), LastEvaluation: rule.GetEvaluationTimestamp(),
		Type: "recording",
	}
	if err := rule.LastError(); err != nil {
		shown.LastError = err.Error()
	}
	alerting, ok := rule.(*promrules.AlertingRule)
	switch {
	case ok && kind != "record":
		shown.Type = "alerting"
		return apiAlertingRule{
			apiRule: shown, State: alerting.State().String(), Duration: alerting.HoldDuration().Seconds(),
			KeepFiringFor: alerting.KeepFiringFor().Seconds(), Annotations: alerting.Annotations(), Alerts: apiAlerts(alerting),
		}
	case !ok && kind != "alert":
		return shown
	default:
		return nil
	}
}

// apiMetadata is what targets say of a metric.
type apiMetadata struct {
	Type model.MetricType `json:"type"`
	Help string           `json:"help"`
	Unit string           `json:"unit"`
}

// answerMetadata lists what targets say of metrics, each version once.
func (s *Store) answerMetadata(r *http.Request) (any, annotations.Annotations, error) {
	limit, err := limitParam(r)
	if err != nil {
		return nil, nil, err
	}
	if limit == 0 {
		limit = math.MaxInt
	}
	metric := r.FormValue("metric")
	found := make(map[string][]apiMetadata)
	for _, targets := range s.scrape.TargetsActive() {
		for _, target := range targets {
			collectMetadata(found, target, metric, limit)
		}
	}
	return found, nil, nil
}

func collectMetadata(found map[string][]apiMetadata, target *scrape.Target, metric string, limit int) {
	list := target.ListMetadata()
	slices.SortFunc(list, func(a, b scrape.MetricMetadata) int { return cmp.Compare(a.MetricFamily, b.MetricFamily) })
	for _, m := range list {
		if metric != "" && m.MetricFamily != metric {
			continue
		}
		data := apiMetadata{m.Type, m.Help, m.Unit}
		known, ok := found[m.MetricFamily]
		if (ok || len(found) < limit) && !slices.Contains(known, data) {
			found[m.MetricFamily] = append(known, data)
		}
	}
}
