package actions_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/command/commandtest"
	"github.com/minikeeper/minikeeper/internal/testkit"
	"github.com/minikeeper/minikeeper/remediate/actions"
)

const (
	askIgnored = "softwareupdate --ignore"
	twoIgnored = "Ignored updates:\n(\n    \"macOS Catalina\",\n    iTunesX\n)\n"
)

func TestUpdatesPlan(t *testing.T) {
	tests := []struct {
		name, action, label string
		calls               []commandtest.Call
	}{
		{"offered", "ignore-update", "macOS Big Sur", []commandtest.Call{says(askIgnored, twoIgnored)}},
		{"ignored-already", "ignore-update", "macOS Catalina", []commandtest.Call{says(askIgnored, twoIgnored)}},
		{"ignored-without-its-version", "ignore-update", "iTunesX-12.8.2", []commandtest.Call{says(askIgnored, twoIgnored)}},
		{"a-flag", "ignore-update", "--all", nil},
		{"new-system", "ignore-update", "macOS Tahoe", []commandtest.Call{says(askIgnored, "usage: softwareupdate <cmd>\n")}},
		{"denied", "ignore-update", "macOS Tahoe", []commandtest.Call{exits(askIgnored, 1)}},
		{"some-ignored", "reset-ignored-updates", "", []commandtest.Call{says(askIgnored, twoIgnored)}},
		{"none-ignored", "reset-ignored-updates", "", []commandtest.Call{says(askIgnored, "Ignored updates:\n(\n)\n")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			with := map[string]string{}
			if tt.label != "" {
				with["update"] = tt.label
			}
			m := actions.Machine{GOOS: "darwin", Run: commandtest.New(t, tt.calls...)}
			plan, err := actions.Builtin()[tt.action].Plan(t.Context(), m, with)
			testkit.Golden(t, filepath.Join("testdata", "updates", tt.name+".golden"), render(plan, err))
		})
	}
}

// softwareupdate ends well whatever it was asked to ignore: only its list tells.
func TestIgnoreUpdate(t *testing.T) {
	const command = "softwareupdate --ignore macOS Big Sur"
	step := minikeeper.Step{Op: "ignore", Args: map[string]string{"update": "macOS Big Sur"}}
	for _, tt := range []struct{ name, printed, want string }{
		{"taken", "Ignored updates:\n(\n    \"macOS Big Sur\"\n)\n", ""},
		{"not taken", "Ignored updates:\n(\n)\n", "softwareupdate does not take it: it ignores none"},
		{"no list", "", "no list of ignored updates"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := actions.Machine{Run: commandtest.New(t, says(command, tt.printed))}
			output, err := actions.Builtin()["ignore-update"].Do(t.Context(), m, step)
			if tt.want == "" && (err != nil || !strings.Contains(output, "macOS Big Sur")) || tt.want != "" && !strings.Contains(text(err), tt.want) {
				t.Errorf("%q, %v, want %q", output, err, tt.want)
			}
		})
	}
	if _, err := actions.Builtin()["ignore-update"].Do(t.Context(), actions.Machine{Run: commandtest.New(t)}, minikeeper.Step{Op: "ignore", Args: map[string]string{"update": "--reset-ignored"}}); err == nil {
		t.Error("a flag was taken for an update")
	}
}
