package exporter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/exporter"
)

// A source is made of a function; reads counts its readings.
type source struct {
	families []minikeeper.Family
	collect  func(ctx context.Context) ([]minikeeper.Sample, error)
	reads    atomic.Int64
}

func (s *source) Families() []minikeeper.Family { return s.families }

func (s *source) Collect(ctx context.Context) ([]minikeeper.Sample, error) {
	s.reads.Add(1)
	return s.collect(ctx)
}

// gauge returns a source of one gauge, whose value is what read returns.
func gauge(name string, read func(ctx context.Context) (float64, error)) *source {
	return &source{
		families: []minikeeper.Family{{Name: name, Help: "A number.", Type: minikeeper.Gauge, Labels: []string{"of"}}},
		collect: func(ctx context.Context) ([]minikeeper.Sample, error) {
			v, err := read(ctx)
			if err != nil {
				return nil, err
			}
			return []minikeeper.Sample{{Name: name, Value: v}}, nil
		},
	}
}

// counting returns a source that takes d and reads 1, 2, 3, ….
func counting(name string, d time.Duration) *source {
	var n atomic.Int64
	return gauge(name, func(ctx context.Context) (float64, error) {
		v := float64(n.Add(1))
		select {
		case <-time.After(d):
			return v, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
}

func newExporter(t *testing.T, o exporter.Options, sources map[string]exporter.Entry) *exporter.Exporter {
	t.Helper()
	e, err := exporter.New(o, sources)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// scrape returns the exposition without the runtime's own metrics, comments
// and durations.
func scrape(t *testing.T, e *exporter.Exporter) string {
	t.Helper()
	families, err := e.Gather()
	if err != nil {
		t.Error(err)
	}
	var b bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Error(err)
		}
	}
	return interesting(b.String())
}

func interesting(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "#"), strings.HasPrefix(line, "go_"), strings.HasPrefix(line, "process_"),
			strings.HasPrefix(line, "minikeeper_build_info"), strings.Contains(line, "_duration_seconds"):
		default:
			b.WriteString(line)
		}
	}
	return b.String()
}

func equal(t *testing.T, what, got, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestReadAtEachScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newExporter(t, exporter.Options{Labels: map[string]string{"site": "london"}}, map[string]exporter.Entry{
			"a": {Source: counting("a_value", time.Second)},
		})
		equal(t, "first scrape", scrape(t, e), `
a_value{site="london"} 1
minikeeper_collector_data_age_seconds{collector="a",site="london"} 1
minikeeper_collector_last_success_timestamp_seconds{collector="a",site="london"} 9.466848e+08
minikeeper_collector_success{collector="a",site="london"} 1`)
		if got := scrape(t, e); !strings.Contains(got, `a_value{site="london"} 2`) {
			t.Errorf("the second scrape did not read again:\n%s", got)
		}
	})
}

func TestBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := counting("a_value", 10*time.Second)
		e := newExporter(t, exporter.Options{}, map[string]exporter.Entry{
			"a": {Source: slow, Schedule: exporter.Schedule{Every: time.Minute}},
		})
		equal(t, "before the first reading", scrape(t, e), "")
		go func() {
			if err := e.Run(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(25 * time.Second)
		equal(t, "after 25 s", scrape(t, e), `
a_value 1
minikeeper_collector_data_age_seconds{collector="a"} 25
minikeeper_collector_last_success_timestamp_seconds{collector="a"} 9.466848e+08
minikeeper_collector_success{collector="a"} 1`)
		time.Sleep(10*time.Minute - 25*time.Second + time.Second)
		if got := slow.reads.Load(); got != 11 {
			t.Errorf("%d readings in 10 minutes and a second, want 11", got)
		}
	})
}

func TestSlowSourceIsServedWithItsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var delay atomic.Int64
		e := newExporter(t, exporter.Options{}, map[string]exporter.Entry{
			"a": {Source: gauge("a_value", func(ctx context.Context) (float64, error) {
				select {
				case <-time.After(time.Duration(delay.Load())):
					return 7, nil
				case <-ctx.Done():
					return 0, ctx.Err()
				}
			})},
			"b": {Source: counting("b_value", 0)},
		})
		scrape(t, e)
		delay.Store(int64(time.Hour))
		begun := time.Now()
		got := scrape(t, e)
		if waited := time.Since(begun); waited != 9500*time.Millisecond {
			t.Errorf("the scrape took %v, want 9.5s", waited)
		}
		equal(t, "while a is slow", got, `
a_value 7
b_value 2
minikeeper_collector_data_age_seconds{collector="a"} 9.5
minikeeper_collector_data_age_seconds{collector="b"} 9.5
minikeeper_collector_last_success_timestamp_seconds{collector="a"} 9.466848e+08
minikeeper_collector_last_success_timestamp_seconds{collector="b"} 9.466848e+08
minikeeper_collector_success{collector="a"} 1
minikeeper_collector_success{collector="b"} 1`)
		time.Sleep(21 * time.Second) // a's timeout of 30 s has passed
		if got := scrape(t, e); !strings.Contains(got, `success{collector="a"} 0`) || !strings.Contains(got, "a_value 7") {
			t.Errorf("after the timeout a must be marked and still be shown:\n%s", got)
		}
		time.Sleep(5 * time.Minute)
		if got := scrape(t, e); strings.Contains(got, "a_value") || strings.Contains(got, `age_seconds{collector="a"}`) {
			t.Errorf("samples of a are shown although they are too old:\n%s", got)
		}
	})
}

func TestStuckSourceIsAbandonedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		stuck := gauge("a_value", func(context.Context) (float64, error) { <-release; return 1, nil })
		e := newExporter(t, exporter.Options{}, map[string]exporter.Entry{
			"a": {Source: stuck, Schedule: exporter.Schedule{Timeout: 5 * time.Second}},
			"b": {Source: counting("b_value", 0)},
		})
		for range 20 {
			got := scrape(t, e)
			if !strings.Contains(got, `success{collector="a"} 0`) || !strings.Contains(got, "b_value") {
				t.Fatalf("a must fail and b must be shown:\n%s", got)
			}
		}
		if got := stuck.reads.Load(); got != 1 {
			t.Errorf("the stuck source was called %d times", got)
		}
		measured, err := e.Collect(t.Context(), "a")
		if err != nil || !strings.Contains(measured[0].Error, "has not returned") {
			t.Errorf("Collect of a stuck source: %+v, %v", measured, err)
		}
		close(release)
		synctest.Wait()
		if got := scrape(t, e); !strings.Contains(got, `success{collector="a"} 1`) {
			t.Errorf("a returned, but is not read again:\n%s", got)
		}
	})
}

func TestCollectIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := counting("a_value", 10*time.Second)
		e := newExporter(t, exporter.Options{}, map[string]exporter.Entry{"a": {Source: src}})
		go scrape(t, e) // begins a reading at once
		time.Sleep(4 * time.Second)
		called := time.Now()
		var wg sync.WaitGroup
		for range 3 { // these share one reading
			wg.Go(func() {
				measured, err := e.Collect(t.Context())
				if err != nil || len(measured) != 1 || measured[0].Error != "" {
					t.Errorf("measured %+v, error %v", measured, err)
				} else if measured[0].Start.Before(called) {
					t.Errorf("the reading began %v before the call", called.Sub(measured[0].Start))
				}
			})
		}
		wg.Wait()
		if took := time.Since(called); took != 16*time.Second {
			t.Errorf("took %v, want the rest of the old reading and a new one: 16s", took)
		}
		if got := src.reads.Load(); got != 2 {
			t.Errorf("%d readings, want 2", got)
		}
	})
}

func TestCollectEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newExporter(t, exporter.Options{}, map[string]exporter.Entry{
			"fast": {Source: counting("f_value", 0)},
			"slow": {Source: counting("s_value", time.Hour)},
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		measured, err := e.Collect(ctx, "fast", "slow")
		if !errors.Is(err, context.DeadlineExceeded) || len(measured) != 2 || measured[0].Error != "" || measured[1].Error == "" {
			t.Errorf("measured %+v, error %v", measured, err)
		}
		_, err = e.Collect(t.Context(), "slw", "fast", "fsat")
		if err == nil || err.Error() != "unknown collector \"slw\" (have fast, slow)\nunknown collector \"fsat\" (have fast, slow)" {
			t.Errorf("unknown names: %v", err)
		}
		e.Close()
		measured, err = e.Collect(t.Context(), "fast")
		if err != nil || measured[0].Error != "the exporter is closed" {
			t.Errorf("after Close: %+v, %v", measured, err)
		}
	})
}

func TestFailureReplacesSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := false
		src := &source{
			families: []minikeeper.Family{
				{Name: "a_value", Help: "A number.", Type: minikeeper.Gauge},
				{Name: "b_total", Help: "A sum.", Type: minikeeper.Counter},
			},
			collect: func(context.Context) ([]minikeeper.Sample, error) {
				if broken {
					return []minikeeper.Sample{{Name: "a_value", Value: 2}}, errors.New("half of it cannot be read")
				}
				return []minikeeper.Sample{{Name: "a_value", Value: 1}, {Name: "b_total", Value: 5}}, nil
			},
		}
		e := newExporter(t, exporter.Options{}, map[string]exporter.Entry{"a": {Source: src}})
		scrape(t, e)
		broken = true
		time.Sleep(time.Minute)
		equal(t, "half read", scrape(t, e), `
a_value 2
minikeeper_collector_data_age_seconds{collector="a"} 0
minikeeper_collector_last_success_timestamp_seconds{collector="a"} 9.466848e+08
minikeeper_collector_success{collector="a"} 0`)
		want := []exporter.CollectorHealth{{
			Name: "a", Read: true, Error: "half of it cannot be read", LastSuccess: time.Now().Add(-time.Minute),
		}}
		health := e.Health()
		health[0].LastSuccess = health[0].LastSuccess.Round(0) // without the monotonic clock
		want[0].LastSuccess = want[0].LastSuccess.Round(0)
		if diff := cmp.Diff(want, health); diff != "" {
			t.Errorf("health (-want +got):\n%s", diff)
		}
	})
}

func TestPanicIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		e := newExporter(t, exporter.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, map[string]exporter.Entry{
			"a": {Source: gauge("a_value", func(context.Context) (float64, error) { panic("index out of range") })},
			"b": {Source: counting("b_value", 0)},
		})
		got := scrape(t, e)
		if !strings.Contains(got, `success{collector="a"} 0`) || !strings.Contains(got, "b_value 1") {
			t.Errorf("exposition:\n%s", got)
		}
		if !strings.Contains(log.String(), "panic: index out of range") || !strings.Contains(log.String(), "exporter_test.go") {
			t.Errorf("the log does not tell where it panicked: %s", log.String())
		}
		if h := e.Health()[0]; strings.Contains(h.Error, "goroutine") {
			t.Errorf("the status page would show a stack: %s", h.Error)
		}
	})
}

func TestFailuresAreLoggedWhenTheyChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		fault := errors.New("disk is gone")
		n := 0
		e := newExporter(t, exporter.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, map[string]exporter.Entry{
			"a": {Source: gauge("a_value", func(context.Context) (float64, error) { n++; return 1, fault })},
		})
		lines := func() int { return strings.Count(log.String(), "\n") }
		for _, step := range []struct {
			name  string
			fault error
			want  int
		}{
			{"fails", fault, 1},
			{"fails again", fault, 1},
			{"fails in another way at once", errors.New("pid 17"), 1},
			{"works", nil, 2},
			{"works again", nil, 2},
			{"fails anew", fault, 3},
		} {
			fault = step.fault
			scrape(t, e)
			if got := lines(); got != step.want {
				t.Errorf("%s: %d lines, want %d:\n%s", step.name, got, step.want, log.String())
			}
		}
		time.Sleep(10 * time.Minute)
		fault = errors.New("pid 18")
		if scrape(t, e); lines() != 4 {
			t.Errorf("another failure after ten minutes: %d lines, want 4", lines())
		}
	})
}

func TestBadSamplesAreLeftOut(t *testing.T) {
	s := func(name string, value float64, labels ...string) minikeeper.Sample {
		sample := minikeeper.Sample{Name: name, Value: value}
		for i := 0; i < len(labels); i += 2 {
			sample.Labels = append(sample.Labels, minikeeper.Label{Name: labels[i], Value: labels[i+1]})
		}
		return sample
	}
	tests := []struct {
		name    string
		samples []minikeeper.Sample
		want    string // what is exposed of the samples
		problem string
	}{
		{"good", []minikeeper.Sample{s("a_value", 1, "of", "x", "and", "y"), s("a_value", math.Inf(1))}, "a_value +Inf\na_value{and=\"y\",of=\"x\"} 1", ""},
		{"not declared", []minikeeper.Sample{s("a_value", 1), s("b_value", 2)}, "a_value 1", `sample b_value 2: its collector does not declare this metric`},
		{"label not declared", []minikeeper.Sample{s("a_value", 1, "to", "x")}, "", `label "to" is not declared`},
		{"label twice", []minikeeper.Sample{s("a_value", 1, "of", "x", "of", "y")}, "", `label "of" twice`},
		{"series twice", []minikeeper.Sample{s("a_value", 1, "of", "x"), s("a_value", 2, "of", "x")}, `a_value{of="x"} 1`, "same labels already"},
		{"series twice, for an empty label is none", []minikeeper.Sample{s("a_value", 1, "of", ""), s("a_value", 2)}, `a_value{of=""} 1`, "same labels already"},
		{"not UTF-8", []minikeeper.Sample{s("a_value", 1, "of", "Mac\xffHD")}, "a_value{of=\"Mac\uFFFDHD\"} 1", ""},
		{"the same after repair", []minikeeper.Sample{s("a_value", 1, "of", "\xff"), s("a_value", 2, "of", "\xfe")}, "a_value{of=\"\uFFFD\"} 1", "same labels already"},
		{"hostile label", []minikeeper.Sample{s("a_value", 1, "of", "x\"} 1\nb_value 7 # \\")}, `a_value{of="x\"} 1\nb_value 7 # \\"} 1`, ""},
		{"not a number", []minikeeper.Sample{s("a_value", math.NaN())}, "", "not a number"},
		{"counter below zero", []minikeeper.Sample{s("a_total", -1), s("a_value", -1)}, "a_value -1", "counter below zero"},
		{"many", []minikeeper.Sample{s("b", 1), s("c", 1), s("d", 1), s("e", 1), s("f", 1)}, "", "and 2 more"},
		{"too many", make([]minikeeper.Sample, 100_001), "", "100001 samples, of which the first 100000 are taken"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := &source{
				families: []minikeeper.Family{
					{Name: "a_value", Help: "A number.", Type: minikeeper.Gauge, Labels: []string{"of", "and"}},
					{Name: "a_total", Help: "A sum.", Type: minikeeper.Counter},
				},
				collect: func(context.Context) ([]minikeeper.Sample, error) { return tt.samples, nil },
			}
			e := newExporter(t, exporter.Options{}, map[string]exporter.Entry{
				"a": {Source: src},
				"b": {Source: counting("other_value", 0)},
			})
			got := scrape(t, e)
			own, _, _ := strings.Cut(got, "minikeeper_")
			equal(t, "exposition", own, tt.want)
			if !strings.Contains(got, "other_value 1") {
				t.Errorf("the other collector is hidden:\n%s", got)
			}
			h := e.Health()[0]
			if !strings.Contains(h.Error, tt.problem) || h.OK != (tt.problem == "") {
				t.Errorf("health %+v, want error %q", h, tt.problem)
			}
		})
	}
}

func TestSourcesMayShareAFamily(t *testing.T) {
	family := minikeeper.Family{Name: "probe_value", Help: "A probe.", Type: minikeeper.Gauge, Labels: []string{"of"}}
	of := func(values ...string) *source {
		return &source{families: []minikeeper.Family{family}, collect: func(context.Context) ([]minikeeper.Sample, error) {
			var samples []minikeeper.Sample
			for _, v := range values {
				samples = append(samples, minikeeper.Sample{Name: family.Name, Labels: []minikeeper.Label{{Name: "of", Value: v}}, Value: float64(len(values))})
			}
			return samples, nil
		}}
	}
	e := newExporter(t, exporter.Options{}, map[string]exporter.Entry{"tcp": {Source: of("x", "y")}, "smtp": {Source: of("y")}})
	for range 2 { // joining must not change what is cached
		_, got, _ := strings.Cut(scrape(t, e), "minikeeper_collector_success{collector=\"tcp\"} 1\n")
		equal(t, "joined", got, "probe_value{of=\"y\"} 1\nprobe_value{of=\"x\"} 2")
	}
}

func TestNewRefuses(t *testing.T) {
	family := func(name, help string, kind minikeeper.MetricType, labels ...string) exporter.Entry {
		return exporter.Entry{Source: &source{families: []minikeeper.Family{{Name: name, Help: help, Type: kind, Labels: labels}}}}
	}
	tests := []struct {
		name    string
		labels  map[string]string
		sources map[string]exporter.Entry
		want    string
	}{
		{"metric name", nil, map[string]exporter.Entry{"a": family("1st", "Help.", minikeeper.Gauge)}, `collector a: "1st" is no metric name`},
		{"label name", nil, map[string]exporter.Entry{"a": family("a", "Help.", minikeeper.Gauge, "a-b")}, `"a-b" is no label name`},
		{"no help", nil, map[string]exporter.Entry{"a": family("a", "", minikeeper.Gauge)}, "needs a help text"},
		{"type", nil, map[string]exporter.Entry{"a": family("a", "Help.", "histogram")}, `unknown type "histogram"`},
		{"own metric", nil, map[string]exporter.Entry{"a": family("minikeeper_collector_success", "Help.", minikeeper.Gauge)}, "is minikeeper's own"},
		{"runtime metric", nil, map[string]exporter.Entry{"a": family("go_goroutines", "Help.", minikeeper.Gauge)}, "is minikeeper's own"},
		{"declared differently", nil, map[string]exporter.Entry{"a": family("a", "Help.", minikeeper.Gauge), "b": family("a", "Else.", minikeeper.Gauge)}, "collectors a and b declare a differently"},
		{"added label", map[string]string{"collector": "x", "ok": "y"}, nil, `labels: "collector" cannot be added`},
		{"added label of a metric", map[string]string{"share": "x"}, map[string]exporter.Entry{"a": family("a", "Help.", minikeeper.Gauge, "share")}, `label "share" of its own`},
		{"two problems", map[string]string{"a-b": "x"}, map[string]exporter.Entry{"a": family("", "Help.", minikeeper.Gauge)}, "cannot be added to everything\ncollector a: \"\" is no metric name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := exporter.New(exporter.Options{Labels: tt.labels}, tt.sources)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestWriteText(t *testing.T) {
	e := newExporter(t, exporter.Options{Labels: map[string]string{"server": "lon-mini-1"}}, map[string]exporter.Entry{
		"a": {Source: counting("a_value", 0)},
		"b": {Source: counting("b_value", 0), Schedule: exporter.Schedule{Every: time.Hour}},
	})
	if _, err := e.Collect(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := e.WriteText(&b, "b"); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.Contains(got, "# TYPE b_value gauge\nb_value{server=\"lon-mini-1\"} 1\n") ||
		!strings.Contains(got, `success{collector="b",server="lon-mini-1"} 1`) || strings.Contains(got, "a_value") || strings.Contains(got, "go_") {
		t.Errorf("text of b:\n%s", got)
	}
	if err := e.WriteText(&b, "c"); err == nil {
		t.Error("no error for an unknown name")
	}
}

func TestRuntimeMetricsHaveTheLabels(t *testing.T) {
	e := newExporter(t, exporter.Options{Labels: map[string]string{"server": "x"}, Version: "1.2.3"}, nil)
	families, err := e.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for _, f := range families {
		found[f.GetName()] = true
		for _, m := range f.Metric {
			if !strings.Contains(fmt.Sprint(m.Label), `name:"server"`) {
				t.Errorf("%s has no label server: %v", f.GetName(), m.Label)
			}
		}
	}
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", "minikeeper_build_info"} {
		if !found[name] {
			t.Errorf("%s is missing", name)
		}
	}
}
