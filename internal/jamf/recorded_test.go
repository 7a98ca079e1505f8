package jamf

import (
	"os"
	"testing"

	"github.com/minikeeper/minikeeper/internal/testkit"
)

// Recorded records of other people's servers.
func TestRecorded(t *testing.T) {
	read := func(name string) []byte {
		t.Helper()
		body, err := os.ReadFile(testkit.Samples(t, "jamf/"+name))
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	s, err := parseSegment(read("classic-network-segment-1.xml"))
	if err != nil || s.ID != "2" || s.Range.String() != "10.129.160.1-10.129.160.254" || s.DistributionPoint != "" {
		t.Errorf("segment: %+v, %v", s, err)
	}
	d, err := parsePoint(read("SYNTHETIC-classic-distributionpoint.xml"))
	want := DistributionPoint{
		ID: "1", Name: "London DP", Address: "dp01.example.com", URL: "http://dp01.example.com:80/CasperShare",
		Failover: "New York DP", LoadSharing: true,
	}
	if err != nil || d != want {
		t.Errorf("distribution point: %+v, %v", d, err)
	}
	d, err = parsePoint(read("jds-create-dp-request.xml")) // a request has no id
	if err != nil || d.ID != "0" || d.Name != "jds.example.com" || d.URL != "" {
		t.Errorf("request: %+v, %v", d, err)
	}
	for _, name := range []string{"computer-inventory-contentcaching-example.json", "policy-log-verify-failed-then-failover.txt", "healthcheck-responses.txt"} {
		if _, err := parseSegment(read(name)); err == nil {
			t.Errorf("%s is read as a segment", name)
		}
	}
}
