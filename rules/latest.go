package rules

import (
	"context"
	"time"

	"github.com/prometheus/common/model"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/minikeeper/minikeeper"
)

// Latest returns the present result of expr, which must be a vector or a
// scalar.
func (s *Store) Latest(ctx context.Context, expr string) ([]minikeeper.Sample, error) {
	vector, err := s.evaluateAt(ctx, expr, s.opts.Lookback, time.Now())
	if err != nil {
		return nil, err
	}
	samples := make([]minikeeper.Sample, 0, len(vector))
	for _, v := range vector {
		sample := minikeeper.Sample{Value: v.F}
		v.Metric.Range(func(l labels.Label) {
			if l.Name == model.MetricNameLabel {
				sample.Name = l.Value
				return
			}
			sample.Labels = append(sample.Labels, minikeeper.Label{Name: l.Name, Value: l.Value})
		})
		samples = append(samples, sample)
	}
	return samples, nil
}
