package probes

import (
	"bytes"
	"os"
	"testing"

	"github.com/minikeeper/minikeeper/internal/testkit"
)

// The bodies that Jamf servers are known to give, one a line.
func TestRecordedHealth(t *testing.T) {
	all, err := os.ReadFile(testkit.Samples(t, "jamf/healthcheck-responses.txt"))
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		code    int
		problem string
	}{{0, ""}, {1, NoDatabase}, {2, SettingUp}, {3, NoDatabase}}
	lines := bytes.Split(bytes.TrimSpace(all), []byte("\n"))
	if len(lines) != len(want) {
		t.Fatalf("there are %d bodies, want %d", len(lines), len(want))
	}
	for i, line := range lines {
		code, problem := parseHealth(line)
		name := ""
		if problem != nil {
			name = problem.Name
		}
		if code != want[i].code || name != want[i].problem {
			t.Errorf("%s: got %d %q, want %d %q", line, code, name, want[i].code, want[i].problem)
		}
	}
}
