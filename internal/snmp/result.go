package snmp

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/snmp/poll"
)

// A Result is what a scrape came to.
type Result struct {
	target   string
	modules  []*moduleResult
	answered bool
	totals   *totals
}

type moduleResult struct {
	*module
	begin   time.Time
	walked  time.Duration
	stats   poll.Stats
	columns []column
	whole   []bool // by table
	reasons []poll.Reason
	errs    []error
	flaws   map[Flaw]int // once it is rendered
}

// Answered tells whether the target answered anything.
func (r *Result) Answered() bool { return r.answered }

// Err says which tables are not whole, and why; nil if all are.
func (r *Result) Err() error {
	var errs []error
	for _, m := range r.modules {
		for i, t := range m.tables {
			if !m.whole[i] {
				errs = append(errs, fmt.Errorf("module %s, table %s: %w", m.name, t.name, m.errs[i]))
			}
		}
	}
	return errors.Join(errs...)
}

// Cause is the first of Err, for a target that failed as a whole.
func (r *Result) Cause() error {
	for _, m := range r.modules {
		for _, err := range m.errs {
			if err != nil {
				return fmt.Errorf("scrape %s: %w", r.target, err)
			}
		}
	}
	return nil
}

// Flaws says how many values were left out after Write; nil if none were.
func (r *Result) Flaws() error {
	var errs []error
	for _, m := range r.modules {
		for _, flaw := range slices.Sorted(maps.Keys(m.flaws)) {
			if !flaw.harmless() {
				errs = append(errs, fmt.Errorf("module %s: %d values left out: %s", m.name, m.flaws[flaw], flaw))
			}
		}
	}
	return errors.Join(errs...)
}

// Write writes all samples to sink: first those of the tables that are whole,
// then those about the scrape itself.
func (r *Result) Write(sink Sink) {
	renderers := make([]*renderer, len(r.modules))
	for i, m := range r.modules {
		renderers[i] = newRenderer(m.module, m.columns, m.whole)
	}
	render(sink, renderers)
	for i, m := range r.modules {
		m.flaws = renderers[i].flaws
		r.totals.flaw(m.flaws)
	}
	r.writeOwn(sink)
}

// writeOwn writes what snmp_exporter says of a scrape, and what it does not.
func (r *Result) writeOwn(sink Sink) {
	byModule := []string{"module"}
	each := func(name, help string, value func(*moduleResult) float64) {
		sink.Family(name, help, minikeeper.Gauge)
		for _, m := range r.modules {
			sink.Sample(Labels{Names: byModule, Values: []string{m.name}}, value(m))
		}
	}
	if len(r.modules) == 0 {
		return
	}
	each("snmp_scrape_walk_duration_seconds", "Time SNMP walk/bulkwalk took.",
		func(m *moduleResult) float64 { return m.walked.Seconds() })
	each("snmp_scrape_packets_sent", "Packets sent for get, bulkget, and walk; including retries.",
		func(m *moduleResult) float64 { return float64(m.stats.Packets) })
	each("snmp_scrape_packets_retried", "Packets retried for get, bulkget, and walk.",
		func(m *moduleResult) float64 { return float64(m.stats.Repeated) })
	each("snmp_scrape_pdus_returned", "PDUs returned from get, bulkget, and walk.",
		func(m *moduleResult) float64 { return float64(m.stats.PDUs) })
	r.writeTables(sink)
	r.writeFlaws(sink)
	each("snmp_scrape_duration_seconds", "Total SNMP time scrape took (walk and processing).",
		func(m *moduleResult) float64 { return time.Since(m.begin).Seconds() })
}

func (r *Result) writeTables(sink Sink) {
	if !slices.ContainsFunc(r.modules, func(m *moduleResult) bool { return len(m.tables) > 0 }) {
		return
	}
	names := []string{"module", "table"}
	sink.Family("minikeeper_snmp_table_success", "Whether all of a table's metrics are there (1) or none (0).", minikeeper.Gauge)
	failed := false
	for _, m := range r.modules {
		for i, t := range m.tables {
			value := 0.0
			if m.whole[i] {
				value = 1
			}
			failed = failed || !m.whole[i]
			sink.Sample(Labels{Names: names, Values: []string{m.name, t.name}}, value)
		}
	}
	if !failed {
		return
	}
	names = []string{"module", "reason", "table"}
	sink.Family("minikeeper_snmp_table_error", "Why a table is absent; 1 for the reason.", minikeeper.Gauge)
	for _, m := range r.modules {
		for i, t := range m.tables {
			if !m.whole[i] {
				sink.Sample(Labels{Names: names, Values: []string{m.name, string(m.reasons[i]), t.name}}, 1)
			}
		}
	}
}

func (r *Result) writeFlaws(sink Sink) {
	names, begun := []string{"module", "reason"}, false
	for _, m := range r.modules {
		for _, flaw := range slices.Sorted(maps.Keys(m.flaws)) {
			if !begun {
				sink.Family("minikeeper_snmp_flawed_values", "Values that were left out, or labels that were mended, by reason.", minikeeper.Gauge)
				begun = true
			}
			sink.Sample(Labels{Names: names, Values: []string{m.name, string(flaw)}}, float64(m.flaws[flaw]))
		}
	}
}

// Summary says in one line how the scrape went, for logs.
func (r *Result) Summary() string {
	whole, all := 0, 0
	for _, m := range r.modules {
		all += len(m.tables)
		for _, w := range m.whole {
			if w {
				whole++
			}
		}
	}
	return strconv.Itoa(whole) + " of " + strconv.Itoa(all) + " tables"
}
