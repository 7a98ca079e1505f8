package collectors

import (
	"context"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// Whoever adds a collector also adds its page, its inputs and its fuzz targets.
func TestEveryCollectorIsWhole(t *testing.T) {
	for name, build := range Builtin() {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat(filepath.Join("..", "docs", "collectors", name+".md")); err != nil {
				t.Error(err)
			}
			if entries, err := os.ReadDir(filepath.Join("testdata", name)); err != nil || len(entries) == 0 {
				t.Errorf("no inputs in testdata/%s: %v", name, err)
			}
			if !fuzzed(t, name) {
				t.Errorf("no fuzz target in %s*_test.go, nor in the packages of this module that %s*.go imports", name, name)
			}
			c, err := build(Deps{Run: noTools{}, GOOS: "linux", Root: t.TempDir()})
			if err != nil {
				t.Fatalf("zero settings are refused: %v", err)
			}
			checkFamilyNames(t, c.Families())
		})
	}
}

// fuzzed tells whether there is a fuzz target beside the collector, or in a
// package whose parsers it uses.
func fuzzed(t *testing.T, name string) bool {
	t.Helper()
	files := glob(t, name+"*_test.go")
	for _, file := range glob(t, name+"*.go") {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			if dir, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), "github.com/minikeeper/minikeeper/"); ours {
				files = append(files, glob(t, filepath.Join("..", dir, "*_test.go"))...)
			}
		}
	}
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(text), "\nfunc Fuzz")
	})
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Every metric has a page that says what it means, and passes promtool's checks.
func checkFamilyNames(t *testing.T, families []minikeeper.Family) {
	t.Helper()
	var metrics []*dto.MetricFamily
	for _, f := range families {
		if !strings.HasPrefix(f.Name, "minikeeper_") {
			t.Errorf("%s does not begin with minikeeper_", f.Name)
		}
		kind := dto.MetricType_GAUGE
		if f.Type == minikeeper.Counter {
			kind = dto.MetricType_COUNTER
		}
		m := &dto.Metric{Gauge: &dto.Gauge{}, Counter: &dto.Counter{}}
		for _, name := range f.Labels {
			m.Label = append(m.Label, &dto.LabelPair{Name: new(name), Value: new("x")})
		}
		metrics = append(metrics, &dto.MetricFamily{Name: new(f.Name), Help: new(f.Help), Type: &kind, Metric: []*dto.Metric{m}})
	}
	problems, err := promlint.NewWithMetricFamilies(metrics).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestEveryMetricIsDocumented(t *testing.T) {
	for name, build := range Builtin() {
		page, err := os.ReadFile(filepath.Join("..", "docs", "collectors", name+".md"))
		if err != nil {
			continue // TestEveryCollectorIsWhole says so
		}
		c, err := build(Deps{Run: noTools{}, GOOS: "linux", Root: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range c.Families() {
			if !strings.Contains(string(page), "`"+f.Name) {
				t.Errorf("docs/collectors/%s.md does not mention %s", name, f.Name)
			}
		}
	}
}

// Golden files hold samples only of metrics that the collector declares.
func TestGoldenSamplesAreDeclared(t *testing.T) {
	line := regexp.MustCompile(`(?m)^(minikeeper_[a-z0-9_]+)(?:\{(.*)\})? \S+$`)
	label := regexp.MustCompile(`(\w+)="(?:[^"\\]|\\.)*"`)
	for name, build := range Builtin() {
		c, err := build(Deps{Run: noTools{}, GOOS: "linux", Root: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for path, text := range goldens(t, filepath.Join("testdata", name)) {
			for _, match := range line.FindAllStringSubmatch(text, -1) {
				found++
				var names []string
				for _, l := range label.FindAllStringSubmatch(match[2], -1) {
					names = append(names, l[1])
				}
				if !declared(c.Families(), match[1], names) {
					t.Errorf("%s: %s with labels %v is not declared", path, match[1], names)
				}
			}
		}
		if found == 0 {
			t.Errorf("%s: no samples in testdata/%s/*.golden", name, name)
		}
	}
}

func goldens(t *testing.T, dir string) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".golden") {
			return err
		}
		b, err := os.ReadFile(path)
		texts[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

func declared(families []minikeeper.Family, name string, labels []string) bool {
	return slices.ContainsFunc(families, func(f minikeeper.Family) bool {
		return f.Name == name && !slices.ContainsFunc(labels, func(l string) bool { return !slices.Contains(f.Labels, l) })
	})
}

// checkSamples fails for what no exporter can publish: samples of undeclared
// metrics, two of one name and labels, numbers that are none.
func checkSamples(t testing.TB, c Collector, samples []minikeeper.Sample) {
	t.Helper()
	seen := make(map[string]bool)
	for _, s := range samples {
		names := make([]string, len(s.Labels))
		for i, l := range s.Labels {
			names[i] = l.Name
		}
		if !declared(c.Families(), s.Name, names) {
			t.Errorf("%s is not declared", s)
		}
		if math.IsNaN(s.Value) || math.IsInf(s.Value, 0) {
			t.Errorf("%s is not a number", s)
		}
		key := fmt.Sprint(s.Name, s.Labels)
		if seen[key] {
			t.Errorf("%s comes twice", s)
		}
		seen[key] = true
	}
}

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
	paths, err := filepath.Glob(filepath.Join("testdata", name, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scenarios of %s: %v", name, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			deps, settings := scenario(t, path)
			apply(&deps.Settings, settings)
			c, err := Builtin()[name](deps)
			if err != nil {
				t.Fatal(err)
			}
			testkit.Golden(t, strings.TrimSuffix(path, ".txtar")+".golden", collected(t, c, deps.Root))
		})
	}
}
