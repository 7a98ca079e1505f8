package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const segmented = `
server: lon-mini-1
collectors: {}
sites:
  - name: london
    segments: [10.20.0.0/16, 10.20.3.5-10.20.3.90]
    pairs: [[lon-mini-1, lon-mini-2]]
    servers: [{name: lon-mini-1}, {name: lon-mini-2}, {name: lon-mini-3}]
  - name: paris
    segments: [10.20.3.0/24, fd00:20::/64]
    servers: [{name: par-mini-1}]
  - name: rome
    segments: [10.30.0.0/16]
    servers: [{name: rom-mini-1}]
probes:
  distribution_points:
    - {server: lon-mini-3, url: "http://lon-mini-3/CasperShare/", file: a}
    - {server: lon-mini-1, url: "http://lon-mini-1/CasperShare/", file: a}
    - {server: lon-mini-2, url: "http://lon-mini-2/CasperShare/", file: a}
    - {server: par-mini-1, url: "http://par-mini-1/CasperShare/", file: a}
`

// minikeeperCommand runs the program and returns its exit status and all it printed.
func minikeeperCommand(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	status := run(args, &out, &out)
	return status, out.String()
}

func TestSegment(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	alone := write("alone.yml", segmented)
	paired := write("paired.yml", strings.Replace(segmented, "{server: lon-mini-3", "{server: par-mini-1", 1))
	bare := write("bare.yml", "server: a\n")

	tests := []struct {
		name, config, ip string
		status           int
		want             string
	}{
		{"a range within a network of another site", paired, "10.20.3.7", 0, "segment             10.20.3.5-10.20.3.90\nsite                london\ndistribution point  lon-mini-1  http://lon-mini-1/CasperShare/\nfailover            lon-mini-2  http://lon-mini-2/CasperShare/\n"},
		{"the network around it", paired, "10.20.3.91", 0, "segment             10.20.3.0/24\nrange               10.20.3.0-10.20.3.255\nsite                paris\ndistribution point  par-mini-1  http://lon-mini-3/CasperShare/\nfailover            none\n"},
		{"a server without a partner", alone, "10.20.200.1", 0, "segment             10.20.0.0/16\nrange               10.20.0.0-10.20.255.255\nsite                london\ndistribution point  lon-mini-3  http://lon-mini-3/CasperShare/\nfailover            none\n"},
		{"nobody serves", alone, "10.30.1.1", 1, "segment             10.30.0.0/16\nrange               10.30.0.0-10.30.255.255\nsite                rome\ndistribution point  none\nfailover            none\nnobody serves the segment 10.30.0.0/16\n"},
		{"no segment", alone, "8.8.8.8", 1, "no segment holds 8.8.8.8\n"},
		{"no address", alone, "london", 2, "minikeeper segment: \"london\" is no address\n"},
		{"no segments", bare, "10.0.0.1", 2, "minikeeper segment: no site has segments\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, out := minikeeperCommand(t, "segment", tt.ip, "--config", tt.config)
			if status != tt.status || out != tt.want {
				t.Errorf("status %d, want %d; printed\n%s\nwant\n%s", status, tt.status, out, tt.want)
			}
		})
	}

	status, out := minikeeperCommand(t, "segment", "10.20.3.7", "--json", "--config", paired)
	if status != 0 || !strings.Contains(out, `"failover": {`) || !strings.Contains(out, `"site": "london"`) {
		t.Errorf("status %d, printed %s", status, out)
	}
	status, out = minikeeperCommand(t, "collect", "segments", "--config", alone)
	for _, want := range []string{`minikeeper_segment_covered{segment="10.20.0.0/16"} 1`, `minikeeper_segment_covered{segment="10.30.0.0/16"} 0`} {
		if status != 0 || !strings.Contains(out, want) {
			t.Errorf("status %d, printed\n%s\nwant %s", status, out, want)
		}
	}
}
