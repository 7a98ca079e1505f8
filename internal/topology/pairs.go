package topology

import (
	"context"
	"strings"

	"github.com/minikeeper/minikeeper"
)

// PairInfo is the metric that tells which servers take over for each other.
const PairInfo = "minikeeper_server_pair_info"

// Pairs exports the pairs of sites, so that rules can ask whether anybody
// takes over for a server. A server that stands alone is a pair of its own.
type Pairs []Site

// Families lists every metric that Collect can return.
func (Pairs) Families() []minikeeper.Family {
	return []minikeeper.Family{{
		Name: PairInfo, Type: minikeeper.Gauge, Labels: []string{"site", "server", "pair"},
		Help: "Always 1; servers with the same pair take over for each other.",
	}}
}

// Collect returns a sample for each server of each pair.
func (p Pairs) Collect(context.Context) ([]minikeeper.Sample, error) {
	var samples []minikeeper.Sample
	for _, site := range p {
		paired := make(map[string]bool)
		for _, pair := range site.Pairs {
			for _, server := range pair {
				paired[server] = true
				samples = append(samples, pairSample(site.Name, server, strings.Join(pair, "+")))
			}
		}
		for _, server := range site.Servers {
			if !paired[server] {
				samples = append(samples, pairSample(site.Name, server, server))
			}
		}
	}
	return samples, nil
}

func pairSample(site, server, pair string) minikeeper.Sample {
	return minikeeper.Sample{Name: PairInfo, Value: 1, Labels: []minikeeper.Label{
		{Name: "site", Value: site}, {Name: "server", Value: server}, {Name: "pair", Value: pair},
	}}
}
