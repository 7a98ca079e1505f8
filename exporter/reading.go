package exporter

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/minikeeper/minikeeper"
)

const (
	// maxSamples bounds one reading: a source that finds more names than any
	// machine should have must not take the exporter's memory.
	maxSamples = 100_000

	// showProblems is how many bad samples an error names.
	showProblems = 3
)

// A reading is what a source returned, ready to be encoded. It is not changed
// once it is built, so scrapes share it.
type reading struct {
	start    time.Time
	families []*dto.MetricFamily // sorted by name; metrics sorted by labels
	problem  error               // samples that were left out, and why
}

// build turns samples into families. It is pure. A sample that cannot be
// exposed without spoiling the others is left out and named in problem.
func build(declared map[string]minikeeper.Family, labels []*dto.LabelPair, samples []minikeeper.Sample) *reading {
	var bad []error
	if len(samples) > maxSamples {
		bad = append(bad, fmt.Errorf("%d samples, of which the first %d are taken", len(samples), maxSamples))
		samples = samples[:maxSamples]
	}
	seen := make(map[string]bool, len(samples))
	byName := make(map[string][]keyed, len(declared))
	for _, s := range samples {
		m, err := metric(declared, labels, s)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		key := seriesKey(s.Name, m.Label)
		if seen[key] {
			bad = append(bad, fmt.Errorf("sample %s: there is one with the same labels already", s))
			continue
		}
		seen[key] = true
		byName[s.Name] = append(byName[s.Name], keyed{key, m})
	}
	r := &reading{problem: summary(bad)}
	for name, metrics := range byName {
		slices.SortFunc(metrics, func(a, b keyed) int { return strings.Compare(a.key, b.key) })
		family := newFamily(declared[name])
		family.Metric = make([]*dto.Metric, len(metrics))
		for i, m := range metrics {
			family.Metric[i] = m.metric
		}
		r.families = append(r.families, family)
	}
	slices.SortFunc(r.families, compareFamilies)
	return r
}

type keyed struct {
	key    string
	metric *dto.Metric
}

// metric turns s into the form that encoders take.
func metric(declared map[string]minikeeper.Family, labels []*dto.LabelPair, s minikeeper.Sample) (*dto.Metric, error) {
	family, ok := declared[s.Name]
	if !ok {
		return nil, fmt.Errorf("sample %s: its collector does not declare this metric", s)
	}
	switch {
	case math.IsNaN(s.Value):
		return nil, fmt.Errorf("sample %s: not a number; a missing value is left out", s)
	case family.Type == minikeeper.Counter && s.Value < 0:
		return nil, fmt.Errorf("sample %s: a counter below zero", s)
	}
	pairs := make([]*dto.LabelPair, 0, len(s.Labels)+len(labels))
	for _, l := range s.Labels {
		if !slices.Contains(family.Labels, l.Name) {
			return nil, fmt.Errorf("sample %s: label %q is not declared", s, l.Name)
		}
		pairs = append(pairs, labelPair(l.Name, l.Value))
	}
	pairs = append(pairs, labels...)
	slices.SortFunc(pairs, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	for i := 1; i < len(pairs); i++ {
		if pairs[i].GetName() == pairs[i-1].GetName() {
			return nil, fmt.Errorf("sample %s: label %q twice", s, pairs[i].GetName())
		}
	}
	m := &dto.Metric{Label: pairs}
	if family.Type == minikeeper.Counter {
		m.Counter = &dto.Counter{Value: &s.Value}
	} else {
		m.Gauge = &dto.Gauge{Value: &s.Value}
	}
	return m, nil
}

// seriesKey is equal for equal series: for Prometheus an empty label is no
// label.
func seriesKey(name string, labels []*dto.LabelPair) string {
	key := make([]byte, 0, 128)
	key = append(key, name...)
	for _, l := range labels {
		if l.GetValue() != "" {
			key = append(key, 0xff)
			key = append(key, l.GetName()...)
			key = append(key, '=')
			key = append(key, l.GetValue()...)
		}
	}
	return string(key)
}

// labelPair replaces what is not UTF-8: file names and device models hold
// anything, and one such byte would end the scrape.
func labelPair(name, value string) *dto.LabelPair {
	value = strings.ToValidUTF8(value, "\uFFFD")
	return &dto.LabelPair{Name: &name, Value: &value}
}

func labelPairs(labels map[string]string) []*dto.LabelPair {
	pairs := make([]*dto.LabelPair, 0, len(labels))
	for name, value := range labels {
		pairs = append(pairs, labelPair(name, value))
	}
	slices.SortFunc(pairs, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	return pairs
}

func newFamily(f minikeeper.Family) *dto.MetricFamily {
	kind := dto.MetricType_GAUGE
	if f.Type == minikeeper.Counter {
		kind = dto.MetricType_COUNTER
	}
	return &dto.MetricFamily{Name: &f.Name, Help: &f.Help, Type: &kind}
}

func compareFamilies(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) }

// summary joins the first few of bad and counts the rest.
func summary(bad []error) error {
	if len(bad) <= showProblems {
		return errors.Join(bad...)
	}
	more := errors.New("and " + strconv.Itoa(len(bad)-showProblems) + " more samples that cannot be exposed")
	return errors.Join(append(slices.Clone(bad[:showProblems]), more)...)
}

// oneLine shows errors that were joined as one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
