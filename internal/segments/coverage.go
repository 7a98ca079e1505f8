package segments

import (
	"context"

	"github.com/minikeeper/minikeeper"
)

// Covered is the metric that tells which segments have a distribution point of
// their own.
const Covered = "minikeeper_segment_covered"

// CoveredFamily describes Covered. Whoever knows segments may export it.
func CoveredFamily() minikeeper.Family {
	return minikeeper.Family{
		Name: Covered, Type: minikeeper.Gauge, Labels: []string{"segment"},
		Help: "Whether the network segment has a distribution point of its own (1) or not (0).",
	}
}

// CoveredSample says whether segment is covered.
func CoveredSample(segment string, covered bool) minikeeper.Sample {
	s := minikeeper.Sample{Name: Covered, Labels: []minikeeper.Label{{Name: "segment", Value: segment}}}
	if covered {
		s.Value = 1
	}
	return s
}

// A Coverage exports which segments are covered.
type Coverage []Segment

// A Segment is one of the configuration, by the words that it has there.
type Segment struct {
	Name    string
	Covered bool
}

// Families lists every metric that Collect can return.
func (Coverage) Families() []minikeeper.Family { return []minikeeper.Family{CoveredFamily()} }

// Collect returns a sample for each segment.
func (c Coverage) Collect(context.Context) ([]minikeeper.Sample, error) {
	samples := make([]minikeeper.Sample, 0, len(c))
	for _, s := range c {
		samples = append(samples, CoveredSample(s.Name, s.Covered))
	}
	return samples, nil
}
