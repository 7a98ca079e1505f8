package rules_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"

	"go.yaml.in/yaml/v3"

	"github.com/minikeeper/minikeeper/internal/testkit"
	"github.com/minikeeper/minikeeper/rules"
)

// A ruleFile is as much of a rule file as tests look at.
type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Record, Expr string
			For                 string
			Labels, Annotations map[string]string
		}
	}
}

// An alertTest is as much of promtool's unit tests as tests look at.
type alertTest struct {
	Tests []struct {
		AlertRuleTest []struct {
			Alertname string
			ExpAlerts []any `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	}
}

func decode[T any](t testing.TB, fsys fs.FS, file string) T {
	t.Helper()
	src, err := fs.ReadFile(fsys, file)
	if err != nil {
		t.Fatal(err)
	}
	var v T
	if err := yaml.Unmarshal(src, &v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return v
}

func list(t testing.TB, fsys fs.FS, pattern string) []string {
	t.Helper()
	files, err := fs.Glob(fsys, pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	return files
}

// shippedAlerts returns the annotations of every shipped alert by its name.
func shippedAlerts(t testing.TB) map[string]map[string]string {
	alerts := make(map[string]map[string]string)
	for _, file := range list(t, rules.Shipped(), "*.yml") {
		for _, group := range decode[ruleFile](t, rules.Shipped(), file).Groups {
			for _, rule := range group.Rules {
				if rule.Alert == "" {
					continue
				}
				if alerts[rule.Alert] != nil {
					t.Errorf("%s: alert %s is defined twice", file, rule.Alert)
				}
				if severity := rule.Labels["severity"]; !slices.Contains([]string{"page", "ticket", "info", "none"}, severity) {
					t.Errorf("%s: alert %s has severity %q", file, rule.Alert, severity)
				}
				alerts[rule.Alert] = rule.Annotations
			}
		}
	}
	return alerts
}

// Every alert tells people what is wrong, and where to read more.
func TestShippedAlertsExplainThemselves(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "docs", "rules.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name, annotations := range shippedAlerts(t) {
		if annotations["summary"] == "" || annotations["description"] == "" {
			t.Errorf("%s has no summary or description", name)
		}
		if want := "docs/rules.md#" + strings.ToLower(name); annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url is %q, want %q", name, annotations["runbook_url"], want)
		}
		if !strings.Contains(string(doc), "\n### "+name+"\n") {
			t.Errorf("docs/rules.md has no section ### %s", name)
		}
	}
}

// Every alert has a unit test in which it fires, and one in which it does not.
func TestShippedAlertsAreTested(t *testing.T) {
	fires, rests := make(map[string]bool), make(map[string]bool)
	for _, file := range list(t, os.DirFS("shipped/tests"), "*.yml") {
		for _, test := range decode[alertTest](t, os.DirFS("shipped/tests"), file).Tests {
			for _, alert := range test.AlertRuleTest {
				if len(alert.ExpAlerts) > 0 {
					fires[alert.Alertname] = true
				} else {
					rests[alert.Alertname] = true
				}
			}
		}
	}
	for name := range shippedAlerts(t) {
		if !fires[name] {
			t.Errorf("no unit test has %s fire", name)
		}
		if !rests[name] && name != "Watchdog" { // which always fires
			t.Errorf("no unit test has %s not fire", name)
		}
	}
}

func TestShippedByPromtool(t *testing.T) {
	testkit.Peers(t, "promtool")
	files, err := filepath.Glob("shipped/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "promtool", append([]string{"check", "rules", "--lint-fatal"}, files...)...).CombinedOutput(); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
	tests, err := filepath.Glob("shipped/tests/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "promtool", append([]string{"test", "rules"}, tests...)...).CombinedOutput(); err != nil {
		t.Errorf("promtool test rules: %v\n%s", err, out)
	}
}

// A remedyFile is as much of a remedy file as tests look at.
type remedyFile struct {
	Remedies []struct {
		Name, Action, Target, Mode string
		Match                      []string
		Verify                     struct{ Expr string }
	}
}

// Every shipped remedy is for a shipped alert, does nothing until people say
// so, and proves what it did by something that can be proven.
func TestShippedRemedies(t *testing.T) {
	alerts := shippedAlerts(t)
	labels := map[string]string{"site": "london", "server": "lon-mini-1", "share": "casper", "nbi": "install.nbi", "index": "4100", "label": "com.example.sync"}
	for _, file := range list(t, rules.ShippedRemedies(), "*.yml") {
		for _, r := range decode[remedyFile](t, rules.ShippedRemedies(), file).Remedies {
			if r.Name+".yml" != file || r.Mode != "shadow" {
				t.Errorf("%s: remedy %s in mode %s, want the name of the file in mode shadow", file, r.Name, r.Mode)
			}
			for _, m := range r.Match {
				if name, ok := strings.CutPrefix(m, "alertname="); !ok || alerts[strings.Trim(name, `"`)] == nil {
					t.Errorf("%s: there is no alert %s", file, m)
				}
			}
			if err := rules.CheckExpr(render(t, r.Verify.Expr, labels)); err != nil {
				t.Errorf("%s: verify: %v", file, err)
			}
		}
	}
}

func render(t testing.TB, text string, labels map[string]string) string {
	t.Helper()
	parsed, err := template.New("").Option("missingkey=error").Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := parsed.Execute(&b, labels); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
