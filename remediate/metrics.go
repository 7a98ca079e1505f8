package remediate

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/minikeeper/minikeeper"
)

// Metrics shows what the journal counts. It is read from there each time, so a
// restart resets nothing.
type Metrics struct{ e *Engine }

// Metrics returns the source of the runner's own metrics.
func (e *Engine) Metrics() Metrics { return Metrics{e} }

// Families lists the metrics.
func (Metrics) Families() []minikeeper.Family {
	return []minikeeper.Family{
		{Name: "minikeeper_remediation_runs_total", Help: "Runs that ended, by how.", Type: minikeeper.Counter, Labels: []string{"remedy", "outcome"}},
		{Name: "minikeeper_remediation_active", Help: "Runs that hold a slot.", Type: minikeeper.Gauge, Labels: []string{"remedy"}},
		{Name: "minikeeper_remediation_suppressed_total", Help: "Runs that a gate stopped, once for each incident and gate.", Type: minikeeper.Counter, Labels: []string{"remedy", "gate"}},
		{Name: "minikeeper_remediation_duration_seconds", Help: "How long the last run took, from its first step to its end.", Type: minikeeper.Gauge, Labels: []string{"remedy"}},
		{Name: "minikeeper_remedy_circuit_open", Help: "Whether runs failed so often that the remedy has to ask first (1) or not (0).", Type: minikeeper.Gauge, Labels: []string{"remedy"}},
		{Name: "minikeeper_remedy_mode", Help: "The mode that the remedy is in (1), and those that it is not in (0).", Type: minikeeper.Gauge, Labels: []string{"remedy", "mode"}},
	}
}

// Collect reads the journal. Remedies that have done nothing yet are shown
// with zeros: that is known of them.
func (m Metrics) Collect(ctx context.Context) ([]minikeeper.Sample, error) {
	var tally Tally
	var circuits []Circuit
	err := m.e.d.Journal.Read(ctx, func(r Reader) (err error) {
		if tally, err = r.Tally(); err != nil {
			return err
		}
		circuits, err = r.Circuits()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count runs: %w", err)
	}
	remedies := m.e.Remedies()
	return append(counts(tally, remedies), modes(remedies, circuits)...), nil
}

// counts shows t, and zeros for remedies that it does not mention.
func counts(t Tally, remedies []*Remedy) []minikeeper.Sample {
	names := make(map[string]bool)
	for _, r := range remedies {
		names[r.Name] = true
	}
	for name := range t.Outcomes {
		names[name] = true
	}
	for name := range t.Active {
		names[name] = true
	}
	var samples []minikeeper.Sample
	add := func(name string, value float64, labels ...minikeeper.Label) {
		samples = append(samples, minikeeper.Sample{Name: name, Labels: labels, Value: value})
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		remedy := minikeeper.Label{Name: "remedy", Value: name}
		for _, outcome := range outcomes() {
			add("minikeeper_remediation_runs_total", float64(t.Outcomes[name][outcome]), remedy,
				minikeeper.Label{Name: "outcome", Value: string(outcome)})
		}
		add("minikeeper_remediation_active", float64(t.Active[name]), remedy)
		if d, ok := t.LastDuration[name]; ok {
			add("minikeeper_remediation_duration_seconds", d.Seconds(), remedy)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Suppressed)) {
		for _, gate := range slices.Sorted(maps.Keys(t.Suppressed[name])) {
			add("minikeeper_remediation_suppressed_total", float64(t.Suppressed[name][gate]),
				minikeeper.Label{Name: "remedy", Value: name}, minikeeper.Label{Name: "gate", Value: string(gate)})
		}
	}
	return samples
}

// outcomes are the states that count as the end of a run. What was suppressed
// is counted by its gate.
func outcomes() []minikeeper.RunState {
	return []minikeeper.RunState{minikeeper.RunSucceeded, minikeeper.RunFailed, minikeeper.RunCancelled}
}

func modes(remedies []*Remedy, circuits []Circuit) []minikeeper.Sample {
	var samples []minikeeper.Sample
	for _, r := range remedies {
		remedy := minikeeper.Label{Name: "remedy", Value: r.Name}
		open := slices.ContainsFunc(circuits, func(c Circuit) bool { return c.Remedy == r.Name && c.Open() })
		samples = append(samples, minikeeper.Sample{
			Name: "minikeeper_remedy_circuit_open", Labels: []minikeeper.Label{remedy}, Value: number(open),
		})
		for _, mode := range Modes() {
			samples = append(samples, minikeeper.Sample{
				Name:   "minikeeper_remedy_mode",
				Labels: []minikeeper.Label{remedy, {Name: "mode", Value: string(mode)}},
				Value:  number(mode == capped(r, circuits)),
			})
		}
	}
	return samples
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
