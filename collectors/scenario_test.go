package collectors

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// noTools is a machine without programs.
type noTools struct{}

func (noTools) Run(_ context.Context, c minikeeper.Command) (minikeeper.Result, error) {
	return minikeeper.Result{}, fmt.Errorf("run %s: %w", c.Path, fs.ErrNotExist)
}

// tools are a machine's programs: what each command line leaves behind.
type tools map[string]minikeeper.Result

func (t tools) Run(ctx context.Context, c minikeeper.Command) (minikeeper.Result, error) {
	if res, ok := t[c.String()]; ok {
		return res, nil
	}
	return noTools{}.Run(ctx, c)
}

// scenario reads a machine from a txtar archive. Lines "key: value" at its top
// are settings, all others there say what the machine is like. A section
// "$ COMMAND" is what that program prints, "$2 COMMAND" what it prints to
// stderr, "$? COMMAND" its exit status. "FILE -> TARGET" is a link. Other
// sections are files.
func scenario(t *testing.T, path string) (Deps, map[string]string) {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	settings := make(map[string]string)
	for line := range strings.Lines(string(archive.Comment)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && !strings.Contains(key, " ") {
			settings[key] = value
		}
	}
	root, programs := t.TempDir(), make(tools)
	for _, f := range archive.Files {
		how, name, _ := strings.Cut(f.Name, " ")
		res := programs[name]
		switch how {
		case "$":
			res.Stdout = f.Data
		case "$2":
			res.Stderr = f.Data
		case "$?":
			if res.Exit, err = strconv.Atoi(strings.TrimSpace(string(f.Data))); err != nil {
				t.Fatal(err)
			}
		default:
			writeScenarioFile(t, root, f)
			continue
		}
		programs[name] = res
	}
	return Deps{Run: programs, GOOS: settings["goos"], Root: root}, settings
}

func writeScenarioFile(t *testing.T, root string, f txtar.File) {
	t.Helper()
	name, target, link := strings.Cut(f.Name, " -> ")
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	if link {
		err = os.Symlink(target, path)
	} else {
		err = os.WriteFile(path, f.Data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// collected is what c reads, one sample a line and the error last, with the
// machine's folder taken out of it.
func collected(t *testing.T, c Collector, root string) string {
	t.Helper()
	samples, err := c.Collect(t.Context())
	checkSamples(t, c, samples)
	var b strings.Builder
	for _, s := range samples {
		fmt.Fprintln(&b, s)
	}
	if err != nil {
		fmt.Fprintf(&b, "error: %v\n", err)
	}
	if root == "" {
		return b.String()
	}
	return strings.ReplaceAll(b.String(), root, "")
}

// scenarios runs each machine of testdata/NAME and compares what is read.
func scenarios(t *testing.T, name string, apply func(*Settings, map[string]string)) {
	for _, path := range scenarioFiles(t, name) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			readScenario(t, name, path, apply)
		})
	}
}

// timedScenarios is scenarios at midnight UTC of 1 January 2000 (946684800).
func timedScenarios(t *testing.T, name string, apply func(*Settings, map[string]string)) {
	for _, path := range scenarioFiles(t, name) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { readScenario(t, name, path, apply) })
		})
	}
}

func scenarioFiles(t *testing.T, name string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", name, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scenarios of %s: %v", name, err)
	}
	return paths
}

func readScenario(t *testing.T, name, path string, apply func(*Settings, map[string]string)) {
	t.Helper()
	deps, settings := scenario(t, path)
	apply(&deps.Settings, settings)
	c, err := Builtin()[name](deps)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, strings.TrimSuffix(path, ".txtar")+".golden", collected(t, c, deps.Root))
}
