package probes

import (
	"context"
	"slices"
	"time"

	"github.com/minikeeper/minikeeper"
)

// Once looks at one service whenever it is asked, for callers that know
// themselves whose it is. The names of its first two metrics are those of
// blackbox_exporter.
type Once struct{ Prober Prober }

const (
	onceSuccess  = "probe_success"
	onceDuration = "probe_duration_seconds"
)

// Families lists every metric that Collect can return.
func (Once) Families() []minikeeper.Family {
	all := []minikeeper.Family{
		{Name: onceSuccess, Help: "Whether the service serves its clients (1) or not (0).", Type: minikeeper.Gauge},
		{Name: onceDuration, Help: "How long it took to look at the service.", Type: minikeeper.Gauge},
	}
	for _, f := range Families() {
		if f.Name == success || f.Name == duration {
			continue
		}
		f.Labels = slices.DeleteFunc(slices.Clone(f.Labels), func(name string) bool { return name != "problem" })
		all = append(all, f)
	}
	return all
}

// Collect looks once. A service that does not serve before ctx ends is one
// that does not serve.
func (o Once) Collect(ctx context.Context) ([]minikeeper.Sample, error) {
	begun := time.Now()
	r := o.Prober.Probe(ctx)
	all := samples(Target{}, r, time.Since(begun))
	for i := range all {
		s := &all[i]
		switch s.Name {
		case success:
			s.Name = onceSuccess
		case duration:
			s.Name = onceDuration
		}
		s.Labels = slices.DeleteFunc(s.Labels, func(l minikeeper.Label) bool { return l.Name != "problem" })
	}
	return all, nil
}
