package collectors

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/minikeeper/minikeeper"
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
