package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// jamfServer is as much of a Jamf server as a client in two segments needs.
func jamfServer(t *testing.T) *httptest.Server {
	t.Helper()
	answers := map[string]string{
		"POST /api/v1/auth/token":               `{"token":"t0ken"}`,
		"POST /api/v1/auth/invalidate-token":    "",
		"GET /api/v1/distribution-points":       `{"totalCount":2,"results":[{"id":"1","name":"London DP","serverName":"lon","backupDistributionPointId":"2","enableLoadBalancing":true,"httpsEnabled":true,"httpsPort":443,"httpsContext":"CasperShare"},{"id":"2","name":"New York DP","serverName":"nyc","principal":true,"backupDistributionPointId":"-2"}]}`,
		"GET /JSSResource/networksegments":      `{"network_segments":[{"id":1,"name":"Everywhere"},{"id":2,"name":"London"}]}`,
		"GET /JSSResource/networksegments/id/1": `{"network_segment":{"id":1,"name":"Everywhere","starting_address":"10.0.0.0","ending_address":"10.255.255.255"}}`,
		"GET /JSSResource/networksegments/id/2": `{"network_segment":{"id":2,"name":"London","starting_address":"10.20.0.0","ending_address":"10.20.255.255","distribution_point":"London DP"}}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.Method+" "+r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(server.Close)
	return server
}

func TestSegmentByJamf(t *testing.T) {
	server := jamfServer(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "jamf.pw"), []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "minikeeper.yml")
	text := segmented + fmt.Sprintf("jamf: {url: %q, user: reader, password_file: jamf.pw}\n", server.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, ip string
		status   int
		want     string
	}{
		{"its own distribution point", "10.20.9.9", 0, "segment             London\nrange               10.20.0.0-10.20.255.255\nsite                london\ndistribution point  London DP  https://lon/CasperShare\nfailover            New York DP\nclients get either, at random\n"},
		{"the principal one", "10.99.0.1", 0, "segment             Everywhere\nrange               10.0.0.0-10.255.255.255\nsite                none\ndistribution point  New York DP\nfailover            Cloud Distribution Point\n"},
		{"no segment", "8.8.8.8", 1, "no segment of the Jamf server holds 8.8.8.8\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, out := minikeeperCommand(t, "segment", tt.ip, "--config", file)
			if status != tt.status || out != tt.want {
				t.Errorf("status %d, want %d; printed\n%s\nwant\n%s", status, tt.status, out, tt.want)
			}
		})
	}
	status, out := minikeeperCommand(t, "collect", "jamf", "segments", "--config", file)
	for _, want := range []string{
		`minikeeper_jamf_segment_info{distribution_point="London DP",failover="New York DP",segment="London"} 1`,
		`minikeeper_segment_covered{segment="Everywhere"} 0`,
		`minikeeper_segment_covered{segment="10.20.0.0/16"} 1`,
	} {
		if status != 0 || !strings.Contains(out, want) {
			t.Errorf("status %d, printed\n%s\nwant %s", status, out, want)
		}
	}
	server.Close()
	if status, out := minikeeperCommand(t, "segment", "10.20.9.9", "--config", file); status != 3 || strings.Contains(out, "secret") {
		t.Errorf("without the server: status %d, want 3; printed\n%s", status, out)
	}
}
