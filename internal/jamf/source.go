package jamf

import (
	"context"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/segments"
)

// Names of the metrics. Labels say `distribution_point` and not `server`,
// because nobody knows which server of a site answers to its address.
const (
	pointInfo    = "minikeeper_jamf_distribution_point_info"
	pointMain    = "minikeeper_jamf_distribution_point_principal"
	pointSharing = "minikeeper_jamf_distribution_point_load_sharing"
	pointProblem = "minikeeper_jamf_distribution_point_problem"
	segmentInfo  = "minikeeper_jamf_segment_info"
)

// What can be wrong with a distribution point's record.
const (
	FailoverUnknown = "failover_unknown" // its failover is none that there is
	FailoverItself  = "failover_itself"  // it is its own failover
	SharesAlone     = "shares_alone"     // load sharing without a failover to share with
)

// A Source exports the inventory of a server.
type Source struct{ Client *Client }

// Families lists every metric that Collect can return.
func (Source) Families() []minikeeper.Family { return Families() }

// Families lists every metric that a Source can return.
func Families() []minikeeper.Family {
	gauge := func(name, help string, labels ...string) minikeeper.Family {
		return minikeeper.Family{Name: name, Help: help, Type: minikeeper.Gauge, Labels: labels}
	}
	const point = "distribution_point"
	return []minikeeper.Family{
		gauge(pointInfo, "Always 1; a distribution point that Jamf knows, its address and its failover.", point, "address", "failover"),
		gauge(pointMain, "Whether the distribution point is the principal one (1) or not (0).", point),
		gauge(pointSharing, "Whether clients get the distribution point or its failover at random (1) or not (0).", point),
		gauge(pointProblem, "Always 1; the label says what is wrong with the record of the distribution point.", point, "problem"),
		gauge(segmentInfo, "Always 1; a network segment, the distribution point that its clients get, and the failover.", "segment", point, "failover"),
		segments.CoveredFamily(),
	}
}

// Collect reads the inventory. What could be read is returned beside the error.
func (s Source) Collect(ctx context.Context) ([]minikeeper.Sample, error) {
	v, err := s.Client.Inventory(ctx)
	return samples(v), err
}

// samples is what is exported of v. It is pure.
func samples(v Inventory) []minikeeper.Sample {
	var all []minikeeper.Sample
	add := func(name string, value float64, pairs ...string) {
		sample := minikeeper.Sample{Name: name, Value: value}
		for i := 0; i < len(pairs); i += 2 {
			sample.Labels = append(sample.Labels, minikeeper.Label{Name: pairs[i], Value: pairs[i+1]})
		}
		all = append(all, sample)
	}
	names := make(map[string]bool)
	for _, d := range v.DistributionPoints {
		if d.Incomplete || names[d.Name] {
			continue // nothing but its name is known
		}
		names[d.Name] = true
		add(pointInfo, 1, "distribution_point", d.Name, "address", d.Address, "failover", d.Failover)
		add(pointMain, bool01(d.Principal), "distribution_point", d.Name)
		add(pointSharing, bool01(d.LoadSharing), "distribution_point", d.Name)
		for _, problem := range v.problems(d) {
			add(pointProblem, 1, "distribution_point", d.Name, "problem", problem)
		}
	}
	if v.DistributionPoints == nil {
		return all // they could not be read, so nobody knows who serves a segment
	}
	names = make(map[string]bool)
	for _, s := range v.Segments {
		name := s.Name
		if names[name] {
			name += " (" + s.ID + ")"
		}
		names[s.Name] = true
		point, own, found := v.Serving(s)
		if !point.Incomplete && (found || !v.incomplete()) {
			add(segmentInfo, 1, "segment", name, "distribution_point", point.Name, "failover", point.Failover)
		}
		all = append(all, segments.CoveredSample(name, own))
	}
	return all
}

// problems says what is wrong with the record of d.
func (v Inventory) problems(d DistributionPoint) []string {
	_, known := v.Point(d.Failover)
	switch {
	case d.Failover == "" && d.LoadSharing:
		return []string{SharesAlone}
	case d.Failover == "", d.Failover == Cloud:
		return nil
	case d.Failover == d.Name:
		return []string{FailoverItself}
	case !known:
		return []string{FailoverUnknown}
	default:
		return nil
	}
}

func bool01(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
