package rules_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/testkit"
	"github.com/minikeeper/minikeeper/rules"
)

const downRule = `
groups:
  - name: test
    rules:
      - alert: Down
        expr: service_up == 0
        for: FOR
        labels: {severity: page}
        annotations: {summary: "{{ $labels.server }} is down"}
`

func downRuleFile(t testing.TB, hold string) string {
	return write(t, "rules.yml", strings.Replace(downRule, "FOR", hold, 1))
}

// A keeper may say what it likes about who it is: the hub knows.
func TestIdentityIsForced(t *testing.T) {
	keeper := newFakeKeeper(t,
		`service_up{server="impostor",site="paris",exported_server="x"} 1`,
		`up{forged="1"} 1`,
		`ALERTS{alertname="Forged",alertstate="firing"} 1`)
	s, _ := run(t, fast(rules.Inputs{Targets: []rules.ScrapeTarget{keeper.target()}}))

	eventually(t, "sample of the keeper", func() bool {
		return holds(t, s, `service_up{job="keeper",site="london",server="lon-mini-1",exported_server="",exported_site="",exported_exported_server=""} == 1`)
	})
	if !holds(t, s, `up{server="lon-mini-1",site="london"} == 1`) {
		t.Error("there is no up of the keeper itself")
	}
	for _, forged := range []string{`service_up{server="impostor"}`, `up{forged="1"}`, `ALERTS`} {
		if holds(t, s, forged) {
			t.Errorf("%s was stored", forged)
		}
	}
}

// A path, a query and credentials go with the target that has them.
func TestScrapeConfigsAndTargetsTogether(t *testing.T) {
	keeper := newFakeKeeper(t, "service_up 1")
	in := rules.Inputs{
		Targets: []rules.ScrapeTarget{keeper.target()},
		ScrapeConfigs: []byte("- job_name: other\n  static_configs:\n    - targets: ['" +
			strings.TrimPrefix(keeper.URL, "http://") + "']\n"),
	}
	s, _ := run(t, fast(in))
	eventually(t, "sample of each job", func() bool {
		return holds(t, s, `service_up{job="other"}`) && holds(t, s, `service_up{job="keeper"}`)
	})
}

func TestAlertPendsFiresAndResolves(t *testing.T) {
	keeper := newFakeKeeper(t, "service_up 1")
	in := rules.Inputs{Targets: []rules.ScrapeTarget{keeper.target()}, RuleFiles: []string{downRuleFile(t, "2s")}}
	s, _ := run(t, fast(in))

	if _, found, unsure := find(t, s, "Down"); found || !unsure {
		t.Errorf("before the first evaluation: found %v, unsure %v, want not found and unsure", found, unsure)
	}
	eventually(t, "end of doubt", func() bool {
		_, found, unsure := find(t, s, "Down")
		return !found && !unsure
	})

	keeper.set("service_up 0")
	eventually(t, "pending alert", func() bool { a, _, _ := find(t, s, "Down"); return a.State == minikeeper.AlertPending })
	eventually(t, "firing alert", func() bool { a, _, _ := find(t, s, "Down"); return a.State == minikeeper.AlertFiring })
	a, _, _ := find(t, s, "Down")
	if a.Labels["server"] != "lon-mini-1" || a.Labels["alertname"] != "Down" || a.Labels["severity"] != "page" {
		t.Errorf("labels are %v", a.Labels)
	}
	if a.Annotations["summary"] != "lon-mini-1 is down" {
		t.Errorf("annotations are %v", a.Annotations)
	}
	if held := a.FiredAt.Sub(a.ActiveAt); held < 2*time.Second {
		t.Errorf("it fired after %v, want 2s or more", held)
	}
	eventually(t, "ALERTS series", func() bool {
		return holds(t, s, `ALERTS{alertname="Down",alertstate="firing",server="lon-mini-1"} == 1`)
	})

	keeper.set("service_up 1")
	eventually(t, "resolved alert", func() bool { _, found, unsure := find(t, s, "Down"); return !found && !unsure })
}

// Each evaluation says so without waiting for anybody to listen.
func TestChanged(t *testing.T) {
	s, _ := run(t, fast(rules.Inputs{RuleFiles: []string{downRuleFile(t, "1m")}}))
	for range 2 {
		select {
		case <-s.Changed():
		case <-time.After(30 * time.Second):
			t.Fatal("no evaluation within 30 s")
		}
	}
}

// What has been pending goes on pending after a restart, from where it was.
func TestForSurvivesRestart(t *testing.T) {
	keeper := newFakeKeeper(t, "service_up 0")
	o := fast(rules.Inputs{Targets: []rules.ScrapeTarget{keeper.target()}, RuleFiles: []string{downRuleFile(t, "1h")}})
	o.Dir = filepath.Join(t.TempDir(), "store")

	s, stop := run(t, o)
	eventually(t, "state on disk", func() bool { return holds(t, s, `ALERTS_FOR_STATE{alertname="Down"}`) })
	before, _, _ := find(t, s, "Down")
	time.Sleep(2 * time.Second) // so that beginning anew would show
	stop()

	again, _ := run(t, o)
	reopened := time.Now()
	eventually(t, "restored state", func() bool { _, found, unsure := find(t, again, "Down"); return found && !unsure })
	after, _, _ := find(t, again, "Down")
	if !after.ActiveAt.Before(reopened.Add(-time.Second)) {
		t.Errorf("active since %v, but it was since %v before the restart at %v", after.ActiveAt, before.ActiveAt, reopened)
	}
}

// A rule that cannot be evaluated leaves its alert in doubt.
func TestFailingRuleIsUnsure(t *testing.T) {
	file := write(t, "rules.yml", `
groups:
  - name: test
    rules:
      - {alert: Ambiguous, expr: 'a + on () b'}
      - {alert: Clear, expr: 'a > 1'}
`)
	s, _ := run(t, fast(rules.Inputs{RuleFiles: []string{file}}))
	now := time.Now()
	if err := s.Append(t.Context(), []minikeeper.Sample{sample("a", 1), sample("b", 1, "x", "1"), sample("b", 1, "x", "2")}, now); err != nil {
		t.Fatal(err)
	}
	eventually(t, "end of doubt about the good rule", func() bool { _, _, unsure := find(t, s, "Clear"); return !unsure })
	if _, found, unsure := find(t, s, "Ambiguous"); found || !unsure {
		t.Errorf("a rule that fails: found %v, unsure %v, want not found and unsure", found, unsure)
	}
}

func TestReload(t *testing.T) {
	keeper := newFakeKeeper(t, "service_up 0")
	good := rules.Inputs{Targets: []rules.ScrapeTarget{keeper.target()}, RuleFiles: []string{downRuleFile(t, "0s")}}
	s, _ := run(t, fast(good))
	eventually(t, "firing alert", func() bool { a, _, _ := find(t, s, "Down"); return a.State == minikeeper.AlertFiring })

	broken := write(t, "broken.yml", "groups:\n  - name: g\n    rules:\n      - alert: Bad\n        expr: 'sum('\n")
	bad := []struct {
		name, want string
		in         rules.Inputs
	}{
		{"a rule file with an error", broken + ":5:", rules.Inputs{RuleFiles: []string{broken}}},
		{"a rule file that is not there", "no such file", rules.Inputs{RuleFiles: []string{broken + ".no"}}},
		{"a target without host", `scrape target "x"`, rules.Inputs{Targets: []rules.ScrapeTarget{{Job: "k", URL: "x"}}}},
		{"a label that is none", "invalid", rules.Inputs{Targets: []rules.ScrapeTarget{{Job: "k", URL: "http://x", Labels: map[string]string{"": "1"}}}}},
		{"scrape configs with an unknown key", "scrape_configs", rules.Inputs{ScrapeConfigs: []byte("- {job_name: a, colour: red}")}},
		{"scrape configs that are no list", "want a list", rules.Inputs{ScrapeConfigs: []byte("rule_files: [x]")}},
	}
	for _, tt := range bad {
		t.Run(tt.name, func(t *testing.T) {
			err := s.Reload(t.Context(), tt.in)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want an error with %q", err, tt.want)
			}
			if a, _, _ := find(t, s, "Down"); a.State != minikeeper.AlertFiring {
				t.Errorf("the old rules are gone: alert is %q", a.State)
			}
		})
	}

	other := newFakeKeeper(t, "service_up 1", "other 1")
	target := other.target()
	target.Labels["server"] = "lon-mini-2"
	if err := s.Reload(t.Context(), rules.Inputs{Targets: []rules.ScrapeTarget{keeper.target(), target}, RuleFiles: good.RuleFiles}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "sample of the new target", func() bool { return holds(t, s, `other{server="lon-mini-2"}`) })
	if a, _, _ := find(t, s, "Down"); a.State != minikeeper.AlertFiring {
		t.Errorf("the alert lost its state by a reload: %q", a.State)
	}
	if err := s.Reload(t.Context(), rules.Inputs{Targets: []rules.ScrapeTarget{target}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "end of the old target", func() bool { return !holds(t, s, `service_up{server="lon-mini-1"}`) })
}

// A demonstration does not wait for hours.
func TestMaxFor(t *testing.T) {
	keeper := newFakeKeeper(t, "service_up 0")
	o := fast(rules.Inputs{Targets: []rules.ScrapeTarget{keeper.target()}, RuleFiles: []string{downRuleFile(t, "1h")}})
	o.MaxFor = time.Second
	s, _ := run(t, o)
	eventually(t, "firing alert", func() bool { a, _, _ := find(t, s, "Down"); return a.State == minikeeper.AlertFiring })
}

func TestDirectoryIsLocked(t *testing.T) {
	dir := t.TempDir()
	open(t, rules.Options{Dir: dir})
	_, err := rules.Open(t.Context(), rules.Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("got %v, want an error that says who holds the directory", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	file := write(t, "file", "")
	tests := []struct {
		name, want string
		o          rules.Options
	}{
		{"no directory", "no directory", rules.Options{}},
		{"a file in place of the directory", "not a directory", rules.Options{Dir: file}},
		{"a negative interval", "shorter than 1ms", rules.Options{Dir: t.TempDir(), Interval: -time.Second}},
		{"a bad rule file", "no such file", rules.Options{Dir: t.TempDir(), Inputs: rules.Inputs{RuleFiles: []string{file + "s"}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := rules.Open(t.Context(), tt.o)
			if err == nil {
				t.Fatal(s.Close(), "it was opened")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// The newest samples are in a log; what a crash leaves of its end is repaired.
func TestTornLogIsRepaired(t *testing.T) {
	o := rules.Options{Dir: filepath.Join(t.TempDir(), "store")}
	s := open(t, o)
	now := time.Now()
	if err := s.Append(t.Context(), []minikeeper.Sample{sample("kept", 1)}, now); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(o.Dir, "wal", "0*"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("no log in %s: %v", o.Dir, err)
	}
	f, err := os.OpenFile(segments[len(segments)-1], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("\x03torn by a crash"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if again := open(t, o); !holds(t, again, "kept == 1") {
		t.Error("the sample before the torn end is lost")
	}
}

func TestUnreadableBlockIsNamed(t *testing.T) {
	dir := t.TempDir()
	block := filepath.Join(dir, "01ARZ3NDEKTSV4RRFFQ69G5FAV")
	if err := os.MkdirAll(filepath.Join(block, "chunks"), 0o750); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"meta.json": `{"ulid":"01ARZ3NDEKTSV4RRFFQ69G5FAV","minTime":0,"maxTime":7200000,"version":1,"compaction":{"level":1}}`,
		"index":     "no index",
	} {
		if err := os.WriteFile(filepath.Join(block, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := rules.Open(t.Context(), rules.Options{Dir: dir})
	if err == nil {
		t.Fatal(s.Close(), "it was opened")
	}
	if !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "01ARZ3NDEKTSV4RRFFQ69G5FAV") {
		t.Errorf("got %v, want an error that names the block", err)
	}
}

// Samples of one series come in order; one that does not is refused by name,
// and nothing that came with it is stored.
func TestAppendRefusesDisorder(t *testing.T) {
	s := open(t, rules.Options{})
	now := time.Now()
	if err := s.Append(t.Context(), []minikeeper.Sample{sample("a", 1, "server", "x")}, now); err != nil {
		t.Fatal(err)
	}
	err := s.Append(t.Context(), []minikeeper.Sample{sample("b", 1), sample("a", 2, "server", "x")}, now.Add(-time.Minute))
	if err == nil || !strings.Contains(err.Error(), `a{server="x"} 2`) {
		t.Errorf("got %v, want an error that names the sample", err)
	}
	if holds(t, s, "b") {
		t.Error("a part of the refused samples was stored")
	}
}

func TestRunOnce(t *testing.T) {
	s, stop := run(t, fast(rules.Inputs{}))
	stop()
	if err := s.Run(t.Context()); err == nil {
		t.Error("a closed store ran again")
	}
	if err := s.Reload(t.Context(), rules.Inputs{}); err == nil {
		t.Error("a closed store was reloaded")
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.yml", "a.yml", "c.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := rules.Files(dir, []string{"b.yml", "*.yml"})
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(dir, "b.yml") + " " + filepath.Join(dir, "a.yml")
	if strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if _, err := rules.Files(dir, []string{"no*.yml"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a pattern that finds nothing: %v, want not exist", err)
	}
	shipped, err := rules.Files(dir, []string{rules.Builtin, rules.Builtin})
	all, globErr := fs.Glob(rules.Shipped(), "*.yml")
	for i, name := range all {
		all[i] = "builtin/" + name
	}
	if diff := cmp.Diff(all, shipped); diff != "" || err != nil || globErr != nil || len(all) == 0 {
		t.Errorf("shipped files (-want +got), %v, %v:\n%s", err, globErr, diff)
	}
	open(t, rules.Options{Inputs: rules.Inputs{RuleFiles: shipped}})
}

// A store that is written on a full disk says so, and goes on answering.
func TestFullDisk(t *testing.T) {
	testkit.Root(t)
	s, err := rules.Open(t.Context(), rules.Options{Dir: filepath.Join(smallDisk(t), "store")})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := s.Append(t.Context(), []minikeeper.Sample{sample("kept", 1)}, now); err != nil {
		t.Fatal(err)
	}
	for i := 0; err == nil && i < 2000; i++ {
		many := make([]minikeeper.Sample, 500)
		for j := range many {
			many[j] = sample("filler", float64(i), "n", strings.Repeat("x", 100)+string(rune('a'+j%26))+string(rune('a'+j/26)), "i", time.Duration(i).String())
		}
		err = s.Append(t.Context(), many, now)
	}
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Fatalf("got %v, want an error that says that the disk is full", err)
	}
	if !holds(t, s, "kept == 1") {
		t.Error("what was stored before is not readable")
	}
	if err := s.Close(); err != nil && !strings.Contains(err.Error(), "no space left") {
		t.Errorf("close: %v", err)
	}
}

// A hub reads itself without a port: nobody else can come in that way.
func TestScrapesItself(t *testing.T) {
	keeper := newFakeKeeper(t, "service_up 1")
	own := newFakeKeeper(t, `service_up{server="impostor"} 1`)
	self := rules.ScrapeTarget{Job: "keeper", Handler: own, Labels: map[string]string{"server": "hub", "site": "london"}}
	s, _ := run(t, fast(rules.Inputs{Targets: []rules.ScrapeTarget{self, keeper.target()}}))
	eventually(t, "sample of both", func() bool {
		return holds(t, s, `service_up{server="hub",site="london",job="keeper"} == 1`) && holds(t, s, `service_up{server="lon-mini-1"}`)
	})
	if err := s.Reload(t.Context(), rules.Inputs{Targets: []rules.ScrapeTarget{keeper.target()}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "end of its own series", func() bool { return !holds(t, s, `service_up{server="hub"}`) })
}
