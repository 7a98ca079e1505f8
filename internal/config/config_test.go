package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/minikeeper/minikeeper/internal/config"
	"github.com/minikeeper/minikeeper/internal/strictyaml"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

func known() config.Known {
	return config.Known{
		Collectors: []string{"caching", "disk", "dns", "host", "launchd", "netboot", "postfix", "raid", "replica", "smart", "synclog", "updates"},
		Actions:    []string{"command", "fix-launchd-plist", "flush-mail-queue", "ignore-update", "reindex-nbi", "reset-ignored-updates", "restart-service", "resync"},
		Programs:   map[string][]string{"disk": {"diskutil"}},
		Host:       "lon-mini-1",
		GOOS:       "linux",
	}
}

func env(name string) (string, bool) {
	v, ok := map[string]string{"MAIL_PASSWORD": "hunter2", "SLACK_TOKEN": "xoxb-hunter3", "SITE": "london", "EMPTY": "", "HOW_OFTEN": "hunter4"}[name]
	return v, ok
}

func parse(t testing.TB, src string) *config.Config {
	t.Helper()
	c, err := config.Parse("/etc/minikeeper/minikeeper.yml", []byte(src), env, known())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestMinimal reads the smallest file that is of use.
func TestMinimal(t *testing.T) {
	c := parse(t, "server: lon-mini-1\nlisten: 127.0.0.1:9797\ndata_dir: state\n")
	testkit.Golden(t, "testdata/minimal.golden", string(c.Redacted()))
	if c.Store != nil || c.Server != "lon-mini-1" || len(c.Actions.Allow) != 0 {
		t.Errorf("a keeper has a store, another name or may act: %+v", c)
	}
}

func TestDefaults(t *testing.T) {
	tests := []struct {
		name, src string
		show      func(*config.Config) any
		want      any
	}{
		{"data_dir on linux", "store: {}", func(c *config.Config) any { return c.DataDir }, "/var/lib/minikeeper"},
		{"state lies in data_dir", "store:", func(c *config.Config) any { return []string{c.Journal.SQLite, c.Store.Embedded.Dir} }, []string{"/var/lib/minikeeper/journal.db", "/var/lib/minikeeper/store"}},
		{"server is the host", "store: {}", func(c *config.Config) any { return c.Server }, "lon-mini-1"},
		{"server is local", "sites: [{name: a, servers: [{name: lon-mini-1}, {name: b}]}]", func(c *config.Config) any { return []bool{c.Sites[0].Servers[0].Local, c.Sites[0].Servers[1].Local} }, []bool{true, false}},
		{"shipped rules where there is a store", "store: {}", func(c *config.Config) any { return c.RuleFiles.Builtin }, true},
		{"no rules if none are wanted", "store: {}\nrules: []", func(c *config.Config) any { return c.RuleFiles.Builtin }, false},
		{"no remedies unless named", "store: {}", func(c *config.Config) any { return c.RemedyFiles.Builtin }, false},
		{"shipped remedies", "store: {}\nremedies: [builtin]", func(c *config.Config) any { return c.RemedyFiles.Builtin }, true},
		{"replica is read where there are shares", shares(""), func(c *config.Config) any { return c.Collectors.Replica != nil }, true},
		{"no replica without shares", "listen: ':1'", func(c *config.Config) any { return c.Collectors.Replica == nil }, true},
		{"no collectors if none are wanted", "collectors: {}", func(c *config.Config) any { return len(c.Collectors.ByName()) }, 0},
		{"a collector without settings", "collectors:\n  postfix:\n", func(c *config.Config) any { return time.Duration(c.Collectors.Postfix.Every) }, 30 * time.Second},
		{"comparing is as often as rescan", shares("rescan: 3m"), func(c *config.Config) any { return time.Duration(c.Collectors.Replica.Every) }, 3 * time.Minute},
		{"or as every", shares("") + "collectors: {replica: {every: 1h}}", func(c *config.Config) any { return time.Duration(c.Collectors.Replica.Every) }, time.Hour},
		{"the only source is the origin", shares(""), func(c *config.Config) any { return c.Shares[0].Origin() }, "/srv/master"},
		{"what macOS keeps is excluded", shares(""), func(c *config.Config) any { return c.Shares[0].Exclude }, []string{"default"}},
		{"more is excluded", shares("exclude: [default, '*.tmp']"), func(c *config.Config) any { return c.Shares[0].Exclude }, []string{"default", "*.tmp"}},
		{"nothing is excluded", shares("exclude: []"), func(c *config.Config) any { return c.Shares[0].Exclude }, []string{}},
		{"nothing is deleted", shares(""), func(c *config.Config) any { return c.Shares[0].Sync.Delete }, false},
		{"hashing", "collectors: {netboot: {roots: [a, /b]}}", func(c *config.Config) any { return []any{c.Collectors.NetBoot.Hash, c.Collectors.NetBoot.Roots} }, []any{true, []string{"/etc/minikeeper/a", "/b"}}},
		{"programs", "collectors: {disk: {command: {diskutil: bin/du}}, raid: {command: {mdadm: mdadm2}}}", func(c *config.Config) any {
			return []string{c.Collectors.Disk.Command["diskutil"], c.Collectors.RAID.Command["mdadm"]}
		}, []string{"/etc/minikeeper/bin/du", "mdadm2"}},
		{"one route to all channels", "notify: {channels: {b: {channel: '#a', token_file: t}, a: {smtp: ['r:25'], from: a@b, to: [c@d]}}}", func(c *config.Config) any { return c.Notify.Routes[0].Channels }, []string{"a", "b"}},
		{"a secret's file", "notify: {channels: {b: {channel: '#a', token_file: t}}}", func(c *config.Config) any { return c.Notify.Channels["b"].Token.File }, "/etc/minikeeper/t"},
		{"a variable", "labels: {site: '${SITE}'}", func(c *config.Config) any { return c.Labels["site"] }, "london"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.show(parse(t, tt.src))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}

	mac := known()
	mac.GOOS = "darwin"
	c, err := config.Parse("m.yml", []byte("listen: ':1'"), env, mac)
	if err != nil || c.DataDir != "/Library/Application Support/minikeeper" {
		t.Errorf("data_dir on a Mac: %v, %v", c, err)
	}
	if c, err = config.Parse("m.yml", []byte("listen: ':1'"), env, config.Known{}); err != nil || len(c.Collectors.ByName()) != 0 {
		t.Errorf("collectors that are not known are read by default: %v, %v", c, err)
	}
}

// shares is a configuration of one share with more keys.
func shares(more string) string {
	return "shares:\n- name: casper\n  path: /srv/casper\n  from: [{url: /srv/master}]\n  " + more + "\n"
}

// TestBad reads each file of testdata/bad; the golden has all problems.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yml"), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, err := config.Parse(filepath.Base(file), src, env, known())
			if err == nil || c != nil {
				t.Fatal("nothing is wrong with it")
			}
			if _, ok := strictyaml.AsProblems(err); !ok {
				t.Errorf("the error is a %T", err)
			}
			if strings.Contains(err.Error(), "hunter") {
				t.Error("a problem shows what a variable holds")
			}
			testkit.Golden(t, strings.TrimSuffix(file, ".yml")+".golden", err.Error()+"\n")
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("rules/b.yml", "")
	write("rules/a.yml", "")
	write("rules/c.yml/x", "")
	write("slack.token", "xoxb-1\n")
	write("good.yml", `
server: hub
store:
rules: [rules/*.yml, builtin, rules/a.yml]
notify: {channels: {slack: {channel: "#minis", token_file: slack.token}}}
`)
	c, err := config.Load(filepath.Join(dir, "good.yml"), known())
	if err != nil {
		t.Fatal(err)
	}
	want := config.FileSet{Builtin: true, Paths: []string{filepath.Join(dir, "rules/a.yml"), filepath.Join(dir, "rules/b.yml")}}
	if diff := cmp.Diff(want, c.RuleFiles); diff != "" {
		t.Errorf("rule files (-want +got):\n%s", diff)
	}
	if got, err := c.Notify.Channels["slack"].Token.Read(); got != "xoxb-1" || err != nil {
		t.Errorf("token = %q, %v", got, err)
	}

	write("bad.yml", `
server: hub
web_config: web.yml
store:
rules: [rules/*.yaml, none.yml]
remedies: ["remedies/*"]
sites:
- name: london
  servers: [{name: hub}, {name: a, keeper: {url: "https://a:9797", ca_file: ca.pem, token_file: rules}}]
notify: {channels: {slack: {channel: "#minis", token_file: gone.token}}}
`)
	_, err = config.Load(filepath.Join(dir, "bad.yml"), known())
	if err == nil {
		t.Fatal("files that are missing are no problem")
	}
	testkit.Golden(t, "testdata/load-bad.golden", strings.ReplaceAll(err.Error(), dir, "DIR")+"\n")

	if _, err := config.Load(filepath.Join(dir, "none.yml"), known()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is missing: %v", err)
	}
	if _, err := config.Load(dir, known()); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: %v", err)
	}
}

func TestLoadWithoutHost(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m.yml")
	if err := os.WriteFile(file, []byte("listen: ':0'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file, config.Known{Collectors: []string{"disk"}})
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Skip(err)
	}
	if want, _, _ := strings.Cut(host, "."); c.Server != want {
		t.Errorf("server = %q, want %q", c.Server, want)
	}
}

func TestScrapeConfigs(t *testing.T) {
	src := "store:\n  interval: 15s\n  scrape_configs:\n    - job_name: node  # kept\n      relabel_configs: [{replacement: '${1}'}]\n"
	c := parse(t, src)
	if got, want := string(c.Store.ScrapeConfigs.Text), strings.SplitAfterN(src, "\n", 4)[3]; got != want {
		t.Errorf("scrape_configs = %q, want %q", got, want)
	}
	if got := c.Store.ScrapeConfigs.Line; got != 4 {
		t.Errorf("they begin on line %d, want 4", got)
	}
	if got, want := strings.Count(strings.Split(string(c.Store.ScrapeConfigs.Under("scrape_configs")), "- job_name")[0], "\n"), 3; got != want {
		t.Errorf("the document has %d lines before them, want %d", got, want)
	}
}

func TestFind(t *testing.T) {
	c := parse(t, "sites: [{name: london, servers: [{name: lon-mini-1}, {name: lon-mini-2, keeper: {url: 'https://lon-mini-2:9797', token_file: t}}]}]")
	site, server, err := c.Find("lon-mini-2")
	if err != nil || site.Name != "london" || server.Keeper.Token.File != "/etc/minikeeper/t" {
		t.Errorf("Find = %+v, %+v, %v", site, server, err)
	}
	if _, _, err := c.Find("par-mini-1"); err == nil {
		t.Error("a server that is not there is found")
	}
}

func TestMayProbe(t *testing.T) {
	p := parse(t, `
probes:
  tcp: [{server: a, address: "lon-mini-1:445"}, {server: a, address: "[fd00::1]:445"}]
  smtp: [{server: a, address: "10.1.0.9:25"}]
  distribution_points: [{server: a, url: "http://lon-mini-2:8080/x", file: y}]
  jss: [{url: "https://jss.example.com:8443"}]
  allow: ["*.example.org", 10.20.0.0/16, 10.30.0.5-10.30.0.9]
`).Probes
	for host, want := range map[string]bool{
		"lon-mini-1": true, "LON-mini-1.": true, "lon-mini-2": true, "jss.example.com": true, "fd00::1": true, "10.1.0.9": true,
		"a.example.org": true, "a.b.example.org": true, "10.20.9.9": true, "10.30.0.9": true,
		"": false, "lon-mini-3": false, "example.org": false, "10.21.0.1": false, "10.30.0.10": false, "127.0.0.1": false,
		"169.254.169.254": false, "localhost": false, "0x7f.1": false, "::ffff:10.20.9.9": true, "a.example.org.evil.net": false,
	} {
		if got := p.MayProbe(host); got != want {
			t.Errorf("MayProbe(%q) = %v, want %v", host, got, want)
		}
	}
	if (*config.Probes)(nil).MayProbe("lon-mini-1") {
		t.Error("a host may be probed although nothing is")
	}
}

func TestOpenCalendars(t *testing.T) {
	c := parse(t, "calendars: {offpeak: {weekly: ['Sat 22:00-06:00'], timezone: Europe/London}}")
	all, err := c.OpenCalendars()
	if err != nil {
		t.Fatal(err)
	}
	if !all["offpeak"].Open(time.Date(2026, 7, 4, 21, 30, 0, 0, time.UTC)) {
		t.Error("half past ten on a Saturday evening in London is not off-peak")
	}
	c.Calendars["broken"] = config.Calendar{}
	if _, err := c.OpenCalendars(); err == nil {
		t.Error("a calendar without windows opens")
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yml", "reference.yml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := config.Parse("f.yml", src, env, known())
		if err != nil {
			if ps, ok := strictyaml.AsProblems(err); !ok || len(ps) == 0 || strings.Contains(err.Error(), "hunter") {
				t.Errorf("error %v", err)
			}
			return
		}
		if out := string(c.Redacted()); strings.Contains(out, "hunter") && !strings.Contains(string(src), "hunter") {
			t.Errorf("%s shows a secret", out)
		}
		if _, err := c.OpenCalendars(); err != nil {
			t.Errorf("a checked calendar does not open: %v", err)
		}
	})
}
