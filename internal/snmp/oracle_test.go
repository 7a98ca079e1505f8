package snmp_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/snmp"
	"github.com/minikeeper/minikeeper/internal/snmp/poll"
	"github.com/minikeeper/minikeeper/internal/snmpsim"
)

// constants is a sink that has Prometheus's own library make the metrics. It
// is what the text is held against.
type constants struct {
	t          testing.TB
	name, help string
	kind       prometheus.ValueType
	metrics    []prometheus.Metric
}

func (c *constants) Family(name, help string, kind minikeeper.MetricType) {
	c.name, c.help, c.kind = name, help, prometheus.GaugeValue
	if kind == minikeeper.Counter {
		c.kind = prometheus.CounterValue
	}
}

func (c *constants) Sample(l snmp.Labels, value float64) {
	desc := prometheus.NewDesc(c.name, c.help, slices.Clone(l.Names), nil)
	m, err := prometheus.NewConstMetric(desc, c.kind, value, slices.Clone(l.Values)...)
	if err != nil {
		c.t.Error(err)
		return
	}
	c.metrics = append(c.metrics, m)
}

// Describe says nothing: the metrics are not known before.
func (c *constants) Describe(chan<- *prometheus.Desc) {}

func (c *constants) Collect(ch chan<- prometheus.Metric) {
	for _, m := range c.metrics {
		ch <- m
	}
}

// text is what the library writes.
func (c *constants) text() []byte {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		c.t.Fatal(err)
	}
	var b bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			c.t.Fatal(err)
		}
	}
	return b.Bytes()
}

func scraper(t testing.TB, limits poll.Limits, files ...string) *snmp.Scraper {
	t.Helper()
	modules, err := snmp.Load(files, snmp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := snmp.NewScraper(modules, limits)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func scrape(t testing.TB, s *snmp.Scraper, r snmp.Request) *snmp.Result {
	t.Helper()
	result, err := s.Scrape(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// TestOracle holds the text of every module, and of several at once, against
// what Prometheus's own library makes of the same samples.
func TestOracle(t *testing.T) {
	s := scraper(t, poll.Limits{}, "testdata/compat.yml")
	for _, recording := range []string{"kinds", "switch"} {
		target := agent(t, "testdata/"+recording+".snmprec", snmpsim.Faults{})
		for _, modules := range [][]string{{"system", "if_mib"}, {"kinds", "nothing"}, {"ip_addresses,if_mib,system_get"}, {"if_filtered", "if_one"}} {
			result := scrape(t, s, snmp.Request{Target: target, Modules: modules})
			var text snmp.Text
			oracle := &constants{t: t}
			result.Write(&text)
			result.Write(oracle)
			if diff := cmp.Diff(read(t, oracle.text()), read(t, text.Bytes()), cmp.AllowUnexported(exposition{})); diff != "" {
				t.Errorf("%s, %v (-library +text):\n%s", recording, modules, diff)
			}
		}
	}
}

// TestOwnMetricsAreClean lints what is ours.
func TestOwnMetricsAreClean(t *testing.T) {
	s := scraper(t, poll.Limits{}, "testdata/compat.yml")
	target := agent(t, "testdata/switch.snmprec", snmpsim.Faults{Status: snmpsim.GenErr, StatusBelow: "1.3.6.1.2.1.31"})
	result := scrape(t, s, snmp.Request{Target: target, Modules: []string{"system"}})
	oracle := &constants{t: t}
	result.Write(oracle)
	var own constants
	for _, m := range oracle.metrics {
		if name := m.Desc().String(); bytes.Contains([]byte(name), []byte("minikeeper_")) {
			own.metrics = append(own.metrics, m)
		}
	}
	own.t = t
	problems, err := promlint.New(bytes.NewReader(own.text())).Lint()
	if err != nil || len(problems) > 0 || len(own.metrics) == 0 {
		t.Errorf("%v, %v, %d metrics", problems, err, len(own.metrics))
	}
}
