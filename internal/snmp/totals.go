package snmp

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/snmp/poll"
)

// totals are counted over all scrapes of a process.
type totals struct {
	mu        sync.Mutex
	scrapes   map[string]int // by result
	truncated map[poll.Reason]int
	flawed    map[Flaw]int
	stats     poll.Stats
}

// The results of scrapes.
const (
	resultWhole   = "whole"
	resultPartial = "partial"
	resultFailed  = "failed" // the target answered nothing
)

// note counts a scrape.
func (t *totals) note(r *Result, s poll.Stats) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.scrapes == nil {
		t.scrapes = map[string]int{resultWhole: 0, resultPartial: 0, resultFailed: 0}
		t.truncated = make(map[poll.Reason]int)
	}
	failed := false
	for _, m := range r.modules {
		for i, whole := range m.whole {
			if !whole {
				failed = true
				t.truncated[m.reasons[i]]++
			}
		}
	}
	switch {
	case !failed:
		t.scrapes[resultWhole]++
	case r.answered:
		t.scrapes[resultPartial]++
	default:
		t.scrapes[resultFailed]++
	}
	t.stats.Packets += s.Packets
	t.stats.Repeated += s.Repeated
}

// flaw counts values that were left out or mended.
func (t *totals) flaw(flaws map[Flaw]int) {
	if len(flaws) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.flawed == nil {
		t.flawed = make(map[Flaw]int)
	}
	for flaw, n := range flaws {
		t.flawed[flaw] += n
	}
}

// Names of the metrics about all scrapes.
const (
	scrapesTotal   = "minikeeper_snmp_scrapes_total"
	truncatedTotal = "minikeeper_snmp_truncated_tables_total"
	flawedTotal    = "minikeeper_snmp_flawed_values_total"
	packetsTotal   = "minikeeper_snmp_packets_total"
	repeatedTotal  = "minikeeper_snmp_packets_repeated_total"
)

// Families implements exporter.Source.
func (s *Scraper) Families() []minikeeper.Family {
	return []minikeeper.Family{
		{Name: scrapesTotal, Help: "SNMP scrapes: whole, partial, or failed because the target answered nothing.", Type: minikeeper.Counter, Labels: []string{"result"}},
		{Name: truncatedTotal, Help: "Tables that were left out of SNMP scrapes, by reason.", Type: minikeeper.Counter, Labels: []string{"reason"}},
		{Name: flawedTotal, Help: "Values that were left out of SNMP scrapes, or labels that were mended, by reason.", Type: minikeeper.Counter, Labels: []string{"reason"}},
		{Name: packetsTotal, Help: "SNMP requests sent, with repetitions.", Type: minikeeper.Counter},
		{Name: repeatedTotal, Help: "SNMP requests sent again because no answer came.", Type: minikeeper.Counter},
	}
}

// Collect implements exporter.Source.
func (s *Scraper) Collect(context.Context) ([]minikeeper.Sample, error) {
	t := &s.totals
	t.mu.Lock()
	defer t.mu.Unlock()
	var samples []minikeeper.Sample
	for _, result := range slices.Sorted(maps.Keys(t.scrapes)) {
		samples = append(samples, labelled(scrapesTotal, "result", result, t.scrapes[result]))
	}
	for _, reason := range slices.Sorted(maps.Keys(t.truncated)) {
		samples = append(samples, labelled(truncatedTotal, "reason", string(reason), t.truncated[reason]))
	}
	for _, flaw := range slices.Sorted(maps.Keys(t.flawed)) {
		samples = append(samples, labelled(flawedTotal, "reason", string(flaw), t.flawed[flaw]))
	}
	return append(samples,
		minikeeper.Sample{Name: packetsTotal, Value: float64(t.stats.Packets)},
		minikeeper.Sample{Name: repeatedTotal, Value: float64(t.stats.Repeated)},
	), nil
}

func labelled(name, label, value string, n int) minikeeper.Sample {
	return minikeeper.Sample{Name: name, Labels: []minikeeper.Label{{Name: label, Value: value}}, Value: float64(n)}
}
