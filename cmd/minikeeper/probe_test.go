package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestProbeEndpoint(t *testing.T) {
	points := distributionPoints(t, "a")
	host := strings.TrimPrefix(points["a"].URL, "http://")
	d := runDaemon(t, fmt.Sprintf(`
listen: 127.0.0.1:0
data_dir: state
server: a
collectors: {}
probes:
  tcp: [{server: a, address: %q}]
`, host))
	tests := []struct {
		module, target string
		status         int
		want           string
	}{
		{"tcp", host, 200, "\nprobe_success 1\n"},
		{"http", points["a"].URL + "/canary.pkg", 200, "\nminikeeper_distribution_point_range 1\n"},
		{"http", points["a"].URL + "/none.pkg", 200, "\nminikeeper_probe_problem{problem=\"file_missing\"} 1\n"},
		{"jss", points["a"].URL, 200, "\nprobe_success 0\n"},
		{"smtp", "relay.example.com:25", 400, "probes.allow"},
		{"http", "http://169.254.169.254/latest", 400, "probes.allow"},
		{"http", "file:///etc/passwd", 400, "target wants an address"},
		{"tcp", "127.0.0.1", 400, "HOST:PORT"},
		{"icmp", "127.0.0.1", 400, "unknown module"},
	}
	for _, tt := range tests {
		status, body := getProbe(t, fmt.Sprintf("http://%s/probe?module=%s&target=%s", d.addr, tt.module, url.QueryEscape(tt.target)))
		if status != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s %s: status %d, want %d, and %q in\n%s", tt.module, tt.target, status, tt.status, tt.want, body)
		}
	}
}

func getProbe(t *testing.T, address string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}
