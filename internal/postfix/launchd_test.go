package postfix

import (
	"errors"
	"os"
	"testing"

	"github.com/minikeeper/minikeeper/internal/testkit"
)

func TestJobReady(t *testing.T) {
	const idle = "system/com.apple.postfix.master = {\n\tactive count = 0\n\tstate = not running\n\n\tevent triggers = {\n\t\tjob state = spawn failed\n\t}\n\truns = 3\n\tlast exit code = 0\n}\n"
	tests := []struct {
		name           string
		exit           int
		stdout, stderr string
		want           bool
		err            error
	}{
		{"idle", 0, idle, "", true, nil},
		{"not loaded", 113, "", "Could not find service \"com.apple.postfix.master\" in domain for system\n", false, nil},
		{"not loaded, another status", 3, "", "Could not find service \"com.apple.postfix.master\" in domain for system\n", false, nil},
		{"cannot be started", 0, "x = {\n\tstate = not running\n\tjob state = spawn failed\n}\n", "", false, nil},
		{"before OS X 10.10", 1, "", "launchctl: unknown subcommand \"print\"\n", false, ErrJobUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := JobReady(tt.exit, tt.stdout, tt.stderr)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%v, %v; want %v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestJobReadyRecorded(t *testing.T) {
	for sample, want := range map[string]bool{
		"launchd/print-gui-interval-exit0.txt":            true,
		"launchd/print-gui-running-never-exited.txt":      true,
		"launchd/print-system-spawn-failed-excerpt.txt":   false,
		"launchd/print-gui-calendar-weekly-never-run.txt": true,
	} {
		data, err := os.ReadFile(testkit.Samples(t, sample))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := JobReady(0, string(data), ""); got != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", sample, got, err, want)
		}
	}
}
