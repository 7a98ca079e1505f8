package exporter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/exporter"
	"github.com/minikeeper/minikeeper/internal/access"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// fleet returns a source of n series in families like those of the shipped
// collectors, with names as hostile as disks have them.
func fleet(n int) *source {
	families := []minikeeper.Family{
		{Name: "minikeeper_filesystem_size_bytes", Help: "Size of the filesystem.", Type: minikeeper.Gauge, Labels: []string{"mountpoint"}},
		{Name: "minikeeper_filesystem_free_bytes", Help: "Bytes that are free.", Type: minikeeper.Gauge, Labels: []string{"mountpoint"}},
		{Name: "minikeeper_raid_members", Help: "Members of the array by state.", Type: minikeeper.Gauge, Labels: []string{"array", "state"}},
		{Name: "minikeeper_caching_served_bytes_total", Help: "Bytes served.", Type: minikeeper.Counter, Labels: []string{"to"}},
	}
	samples := make([]minikeeper.Sample, n)
	for i := range samples {
		f := families[i%len(families)]
		var labels []minikeeper.Label
		for _, name := range f.Labels {
			labels = append(labels, minikeeper.Label{Name: name, Value: fmt.Sprintf("/Volumes/\"Ma\\c\" HD\n%d\xff", i)})
		}
		samples[i] = minikeeper.Sample{Name: f.Name, Labels: labels, Value: float64(i) * 1.5e9}
	}
	return &source{families: families, collect: func(context.Context) ([]minikeeper.Sample, error) { return samples, nil }}
}

// TestPromtoolLikesOurMetrics asks Debian's promtool to parse and lint.
func TestPromtoolLikesOurMetrics(t *testing.T) {
	testkit.Peers(t, "promtool")
	e := newExporter(t, exporter.Options{Labels: map[string]string{"site": "london"}, Version: "1.0"}, map[string]exporter.Entry{
		"fleet":  {Source: fleet(40)},
		"broken": {Source: gauge("minikeeper_broken", func(context.Context) (float64, error) { return 0, io.ErrUnexpectedEOF })},
	})
	rec := httptest.NewRecorder()
	metricsOf(e).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	cmd := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	cmd.Stdin = rec.Body
	out, err := cmd.CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// TestPrometheusScrapesUs has Debian's Prometheus scrape a server with a
// failing collector, and asks it what it has.
func TestPrometheusScrapesUs(t *testing.T) {
	testkit.Peers(t, "prometheus")
	e := newExporter(t, exporter.Options{}, map[string]exporter.Entry{
		"fleet":  {Source: fleet(40)},
		"broken": {Source: gauge("minikeeper_broken", func(context.Context) (float64, error) { panic("no") })},
	})
	target := start(t, exporter.ServerOptions{Metrics: metricsOf(e)}, access.Policy{})
	api := prometheus(t, target)

	want := map[string]string{
		`count({__name__=~"minikeeper_(filesystem|raid|caching).*"})`: "40",
		`minikeeper_collector_success{collector="fleet"}`:             "1",
		`minikeeper_collector_success{collector="broken"}`:            "0",
		`up`: "1",
	}
	for query, value := range want {
		if got := query1(t, api, query); got != value {
			t.Errorf("%s is %q, want %q", query, got, value)
		}
	}
}

// prometheus starts a Prometheus that scrapes target once a second, waits for
// its first scrape, and returns the address of its API.
func prometheus(t *testing.T, target string) string {
	t.Helper()
	dir := t.TempDir()
	config := "scrape_configs: [{job_name: keeper, scrape_interval: 1s, scrape_timeout: 1s, static_configs: [{targets: ['" + target + "']}]}]\n"
	if err := os.WriteFile(filepath.Join(dir, "p.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	free := httptest.NewServer(nil) // finds a port that is free
	addr := free.Listener.Addr().String()
	free.Close()
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "prometheus", "--config.file="+filepath.Join(dir, "p.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	api := "http://" + addr + "/api/v1/query"
	for deadline := time.Now().Add(30 * time.Second); query1(t, api, "up") != "1"; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("Prometheus did not scrape within 30 s")
		}
	}
	return api
}

// query1 returns the value of the only series that query has, or "".
func query1(t *testing.T, api, query string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api+"?query="+url.QueryEscape(query), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "" // not up yet
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || len(answer.Data.Result) != 1 {
		return ""
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1])
}

// BenchmarkMetrics2000 is a scrape of 2,000 series that were read before,
// with encoding and with the runtime's own metrics.
func BenchmarkMetrics2000(b *testing.B) {
	e, err := exporter.New(exporter.Options{Labels: map[string]string{"site": "london"}}, map[string]exporter.Entry{
		"fleet": {Source: fleet(2000), Schedule: exporter.Schedule{Every: time.Hour}},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	if _, err := e.Collect(b.Context()); err != nil {
		b.Fatal(err)
	}
	h := exporter.Handler(func() *exporter.Exporter { return e }, slog.New(slog.DiscardHandler))
	for _, encoding := range []string{"identity", "gzip"} {
		b.Run(encoding, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", nil)
				r.Header.Set("Accept-Encoding", encoding)
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, r)
				if encoding == "identity" && strings.Count(rec.Body.String(), "minikeeper_") < 2000 {
					b.Fatal("series are missing")
				}
			}
		})
	}
}
