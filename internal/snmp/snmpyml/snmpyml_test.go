package snmpyml_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper/internal/snmp/snmpyml"
	"github.com/minikeeper/minikeeper/internal/strictyaml"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

func TestBad(t *testing.T) {
	file := filepath.Join("testdata", "bad", "all.yml")
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, err = snmpyml.Parse("all.yml", src, snmpyml.Options{})
	if _, ok := errors.AsType[strictyaml.Problems](err); !ok {
		t.Fatalf("error %v", err)
	}
	testkit.Golden(t, filepath.Join("testdata", "bad", "all.golden"), err.Error()+"\n")
}

func TestDefaults(t *testing.T) {
	cfg, err := snmpyml.Parse("a.yml", []byte(`
auths: {a: , b: {version: 3, username: u}}
modules:
  m:
    walk: [.1.3.6.1.2.1.1]
    metrics: [{name: a, oid: .1.3.6.1.2.1.1.1, type: DisplayString, help: h, regex_extracts: {"": [{regex: x}]}}]
`), snmpyml.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, m := cfg.Auths["a"], cfg.Modules["m"]
	if a.Version != 2 || string(a.Community) != "public" || a.AuthProtocol != "MD5" || a.SecurityLevel != "noAuthNoPriv" {
		t.Errorf("auth %+v", *a)
	}
	if m.MaxRepetitions != 25 || m.Retries != 3 || m.Timeout != 5*time.Second || m.Walk[0] != "1.3.6.1.2.1.1" {
		t.Errorf("module %+v", *m)
	}
	if try := m.Metrics[0].Extracts[0].Tries[0]; try.Value != "$1" || try.Regex.MatchString("xx") {
		t.Errorf("extract %+v", try)
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	auths := write("auths.yml", "auths: {a: {}}\n")
	one := write("m1.yml", "modules: {one: {walk: [1.3.6]}}\n")
	write("m2.yml", "modules: {two: {walk: [1.3.6]}}\n")
	again := write("again.yml", "modules: {one: {walk: [1.3.6]}}\n")

	cfg, err := snmpyml.Load([]string{auths, filepath.Join(dir, "m*.yml"), one}, snmpyml.Options{})
	if err != nil || len(cfg.Modules) != 2 || len(cfg.Auths) != 1 {
		t.Errorf("%v, error %v", cfg, err)
	}
	for want, patterns := range map[string][]string{
		"again.yml:1:11: module \"one\" is already in another file": {auths, one, again},
		"no such file":  {auths, filepath.Join(dir, "n*.yml")},
		"no auths in":   {one},
		"no modules in": {auths},
	} {
		if _, err := snmpyml.Load(patterns, snmpyml.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// TestSecrets fills variables in only where that is asked for, and shows none.
func TestSecrets(t *testing.T) {
	src := []byte(`
auths:
  a: {version: 3, username: $WHO, security_level: authNoPriv, password: "${SECRET}", auth_protocol: SHA}
  b: {community: "${SECRET}"}
  c: {community: "pa$$word$"}
modules: {m: {walk: [1.3.6]}}
`)
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"WHO": "me", "SECRET": "hunter2"}[name]
		return v, ok
	}
	plain, err := snmpyml.Parse("a.yml", src, snmpyml.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if a := plain.Auths["a"]; a.Username != "$WHO" || string(a.Password) != "${SECRET}" {
		t.Errorf("expanded without being asked: %q", a.Username)
	}
	filled, err := snmpyml.Parse("a.yml", src, snmpyml.Options{Env: env})
	if err != nil {
		t.Fatal(err)
	}
	if a := filled.Auths["a"]; a.Username != "me" || string(a.Password) != "hunter2" || string(filled.Auths["b"].Community) != "hunter2" || string(filled.Auths["c"].Community) != "pa$$word$" {
		t.Errorf("not filled in: %q", a.Username)
	}
	if shown := fmt.Sprintf("%v %+v", *filled.Auths["a"], *filled.Auths["b"]); strings.Contains(shown, "hunter2") {
		t.Errorf("a secret is shown: %s", shown)
	}
	_, err = snmpyml.Parse("a.yml", src, snmpyml.Options{Env: func(string) (string, bool) { return "", false }})
	if err == nil || !strings.Contains(err.Error(), `a.yml:3:29: username: environment variable "WHO" is not set`) {
		t.Errorf("error %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("auths: {a: {}}\nmodules: {m: {walk: [1.3.6], metrics: [{name: a, oid: 1.3, type: gauge, help: h}]}}\n")
	f.Add("modules: {m: {filters: [{oid: 1.3, values: [a]}]}}\n")
	f.Fuzz(func(t *testing.T, src string) {
		cfg, err := snmpyml.Parse("f.yml", []byte(src), snmpyml.Options{Env: func(string) (string, bool) { return "", false }})
		if (cfg == nil) != (err != nil) && cfg == nil {
			t.Error("neither a configuration nor an error")
		}
	})
}
