package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// What is promised of one process.
const (
	maxStart  = 2 * time.Second // from its start to its first sample
	maxKeeper = 60e6            // bytes of memory, without a store
	maxHub    = 250e6           // with a store of manySeries
)

const (
	manySeries = 10_000
	settling   = 20 * time.Second // how long memory is watched
)

// build returns the program as it is shipped: the binary of this test holds
// more than that.
func build(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "minikeeper")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-o", path, ".").CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// A process is a running daemon.
type process struct {
	cmd *exec.Cmd
	url string
}

// startProcess runs the daemon with a configuration in a new folder, and
// returns when it says where it listens.
func startProcess(b *testing.B, program, configuration string) *process {
	b.Helper()
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "minikeeper.yml"), []byte(configuration), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(b.Context()), program, "serve", "--config", filepath.Join(dir, "minikeeper.yml"))
	var log bytes.Buffer
	cmd.Stderr = &log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		b.Fatalf("the daemon did not start: %s", log.String())
	}
	_, addr, _ := strings.Cut(strings.TrimSpace(line), " listens on ")
	return &process{cmd: cmd, url: "http://" + addr}
}

// stop ends p. A server waits for seconds for connections that were opened and
// not used yet, such as a client keeps in store.
func (p *process) stop(b *testing.B) {
	b.Helper()
	http.DefaultClient.CloseIdleConnections()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		b.Errorf("the daemon ended with %v", err)
	}
}

// metric returns the value of a series without labels, or with those given in
// name; 0 if it is not there.
func (p *process) metric(b *testing.B, name string) float64 {
	b.Helper()
	for line := range strings.Lines(get(b, p.url+"/metrics")) {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				b.Fatal(err)
			}
			return value
		}
	}
	return 0
}

// watchMemory scrapes p once a second for a while, and returns the most memory
// that it had in use, in bytes.
func (p *process) watchMemory(b *testing.B) float64 {
	b.Helper()
	most := 0.0
	for end := time.Now().Add(settling); time.Now().Before(end); time.Sleep(time.Second) {
		most = max(most, p.metric(b, "process_resident_memory_bytes"))
	}
	if most == 0 {
		b.Skip("this system does not tell how much memory a process has")
	}
	return most
}

// reportMemory reports the most memory seen, and fails if that is too much.
func reportMemory(b *testing.B, most, limit float64) {
	b.Helper()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(most/1e6, "MB-RSS")
	if most > limit {
		b.Errorf("%.0f MB are more than %.0f MB", most/1e6, limit/1e6)
	}
}

// BenchmarkStart is the time from the start of the process until it serves
// something that a collector has read.
func BenchmarkStart(b *testing.B) {
	program := build(b)
	var all time.Duration
	for b.Loop() {
		begun := time.Now()
		p := startProcess(b, program, "listen: 127.0.0.1:0\nserver: lon-mini-1\ndata_dir: data\n")
		for !strings.Contains(get(b, p.url+"/metrics"), "\nminikeeper_filesystem_size_bytes{") {
			if time.Since(begun) > time.Minute {
				b.Fatal("no sample within a minute")
			}
		}
		all += time.Since(begun)
		b.StopTimer()
		p.stop(b)
		b.StartTimer()
	}
	mean := all / time.Duration(b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(mean.Milliseconds()), "ms-to-first-sample")
	if mean > maxStart {
		b.Errorf("%v are more than %v", mean, maxStart)
	}
}

// BenchmarkKeeperMemory is what a keeper needs that reads often and is scraped
// once a second.
func BenchmarkKeeperMemory(b *testing.B) {
	program := build(b)
	most := 0.0
	for b.Loop() {
		p := startProcess(b, program, "listen: 127.0.0.1:0\nserver: lon-mini-1\ndata_dir: data\ncollectors: {disk: {every: 1s}, raid: {every: 1s}}\n")
		most = max(most, p.watchMemory(b))
		p.stop(b)
	}
	reportMemory(b, most, maxKeeper)
}

// BenchmarkHubMemory is what a hub needs that scrapes 10,000 series once a
// second into its own store, and judges the shipped rules.
func BenchmarkHubMemory(b *testing.B) {
	program := build(b)
	target := httptest.NewServer(fakeTarget())
	defer target.Close()
	most := 0.0
	for b.Loop() {
		p := startProcess(b, program, fmt.Sprintf(`
listen: 127.0.0.1:0
server: hub
data_dir: data
store:
  interval: 1s
  scrape_configs: [{job_name: fake, static_configs: [{targets: [%q]}]}]
`, strings.TrimPrefix(target.URL, "http://")))
		most = max(most, p.watchMemory(b))
		api := queryAPI(b, p.url+"/query")
		if err := answers(b.Context(), api, `scrape_samples_scraped{job="fake"}`, strconv.Itoa(manySeries)); err != nil {
			b.Error(err)
		}
		p.stop(b)
	}
	b.ReportMetric(manySeries, "series")
	reportMemory(b, most, maxHub)
}

// fakeTarget serves many series in families and with labels like those of
// keepers; a third of the values change between scrapes.
func fakeTarget() http.Handler {
	var scrapes atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := scrapes.Add(1)
		var body bytes.Buffer
		for i := range manySeries {
			value := int64(i)
			if i%3 == 0 {
				value += n * 4096
			}
			fmt.Fprintf(&body, "fake_filesystem_free_bytes_%d{mountpoint=\"/Volumes/Share %d\",rack=\"basement\"} %d\n", i%50, i, value)
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = w.Write(body.Bytes())
	})
}
