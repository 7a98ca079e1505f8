package rules_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper/rules"
)

const benchSeries = 10_000

// BenchmarkStoreMemory reports what a store with ten thousand series needs,
// after it has scraped them thirty times from ten servers and evaluated the
// shipped rules. Memory of the servers, in the same process, counts too.
func BenchmarkStoreMemory(b *testing.B) {
	const servers = 10
	lines := make([]string, benchSeries/servers)
	for i := range lines {
		lines[i] = fmt.Sprintf(`minikeeper_bench_value{number="%d",kind="a label of ordinary length"} %d`, i, i)
	}
	files, err := rules.Files("", []string{rules.Builtin})
	if err != nil {
		b.Fatal(err)
	}
	o := fast(rules.Inputs{RuleFiles: files})
	for i := range servers {
		target := newFakeKeeper(b, lines...).target()
		target.Labels["server"] = fmt.Sprintf("server-%d", i)
		o.Inputs.Targets = append(o.Inputs.Targets, target)
	}
	for b.Loop() {
		o.Dir = filepath.Join(b.TempDir(), "store")
		s, stop := run(b, o)
		eventually(b, "thirty scrapes", func() bool {
			return holds(b, s, fmt.Sprintf(`count(count_over_time(minikeeper_bench_value[1m]) >= 30) == %d`, benchSeries))
		})
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/1e6, "heap-MB")
		b.ReportMetric(residentMB(b), "rss-MB")
		stop()
	}
	debug.FreeOSMemory()
}

// residentMB returns the memory of this process as the kernel counts it, or 0
// where the kernel does not say.
func residentMB(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var kB float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kB); err == nil {
			return kB / 1e3
		}
	}
	b.Fatal("the kernel does not say how much memory is used")
	return 0
}

// BenchmarkStart measures from opening an empty store to its first sample.
func BenchmarkStart(b *testing.B) {
	keeper := newFakeKeeper(b, "service_up 1")
	for b.Loop() {
		s, stop := run(b, rules.Options{
			Dir: filepath.Join(b.TempDir(), "store"), Interval: time.Second,
			Inputs: rules.Inputs{Targets: []rules.ScrapeTarget{keeper.target()}},
		})
		eventually(b, "sample", func() bool {
			ok, _, err := s.Holds(context.Background(), "service_up")
			return err == nil && ok
		})
		stop()
	}
}

// BenchmarkEvaluate measures the query behind an alert on ten thousand series.
func BenchmarkEvaluate(b *testing.B) {
	s := open(b, rules.Options{})
	now := time.Now()
	for server := range 100 {
		samples := scrape(fmt.Sprint("server-", server), 0, 1, now)
		for i := range benchSeries/100 - len(samples) {
			samples = append(samples, sample("minikeeper_replica_drift_files", 0, "server", fmt.Sprint("server-", server), "share", strconv.Itoa(i)))
		}
		if err := s.Append(b.Context(), samples, now); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.Holds(b.Context(), `sum by (server, share) (minikeeper_replica_drift_files) > 0`); err != nil {
			b.Fatal(err)
		}
	}
}
