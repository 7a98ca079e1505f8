package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minikeeper/minikeeper/internal/snmpsim"
)

const tinyModules = `
auths: {public_v2: {}}
modules:
  tiny:
    walk: [1.3.6.1.2.1.1]
    retries: 0
    timeout: 300ms
    metrics:
    - {name: sysUpTime, oid: 1.3.6.1.2.1.1.3, type: gauge, help: Since when, scale: 0.01}
`

// upAgent is the address of a simulated agent that knows how long it is up.
func upAgent(t testing.TB, f snmpsim.Faults) string {
	t.Helper()
	d, err := snmpsim.ReadRecord(strings.NewReader("1.3.6.1.2.1.1.3.0|67|4200\n"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := snmpsim.Start(t.Context(), d, snmpsim.Options{Faults: f})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a.Addr()
}

func TestSNMPCommand(t *testing.T) {
	dir := t.TempDir()
	modules, broken := filepath.Join(dir, "snmp.yml"), filepath.Join(dir, "broken.yml")
	write(t, modules, tinyModules)
	write(t, broken, "modules: {tiny: {wlak: []}}\n")
	good := upAgent(t, snmpsim.Faults{})
	tests := []struct {
		name   string
		args   []string
		status int
		stdout string
		stderr string
	}{
		{"well", []string{"--modules", modules, "--module", "tiny", good}, exitWell, "\nsysUpTime 42\n", ""},
		{"an unknown module", []string{"--modules", modules, "--module", "big", good}, exitWrongAsk, "", `unknown module "big" (have tiny)`},
		{"an unknown auth", []string{"--modules", modules, "--module", "tiny", "--auth", "x", good}, exitWrongAsk, "", `unknown auth "x" (have public_v2)`},
		{"a broken file", []string{"--modules", broken, good}, exitWrongAsk, "", `broken.yml:1:18: unknown key "wlak"`},
		{"no file", []string{"--modules", filepath.Join(dir, "none.yml"), good}, exitWrongAsk, "", "none.yml: no such file"},
		{"no target", []string{"--modules", modules}, exitWrongAsk, "", "wants one target"},
		{"a silent target", []string{"--modules", modules, "--module", "tiny", upAgent(t, snmpsim.Faults{Silent: true})}, exitCannotTell, "", "no answer within 300ms"},
		{
			"a failing table",
			[]string{"--modules", modules, "--module", "tiny", upAgent(t, snmpsim.Faults{Status: snmpsim.GenErr})},
			exitWrongWorld, `minikeeper_snmp_table_error{module="tiny",reason="gen_err",table="system"} 1`, "table system: read .1.3.6.1.2.1.1.3: the agent answers GenErr",
		},
		{"strictly", []string{"--strict", "--modules", modules, "--module", "tiny", upAgent(t, snmpsim.Faults{Status: snmpsim.GenErr})}, exitWrongWorld, "", "table system"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if got := run(append([]string{"snmp"}, tt.args...), &stdout, &stderr); got != tt.status {
				t.Errorf("status %d, want %d", got, tt.status)
			}
			if !strings.Contains(stdout.String(), tt.stdout) || tt.stdout == "" && stdout.Len() > 0 {
				t.Errorf("stdout: %s", stdout.String())
			}
			if !strings.Contains(stderr.String(), tt.stderr) || tt.stderr == "" && stderr.Len() > 0 {
				t.Errorf("stderr: %s", stderr.String())
			}
		})
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestSNMPDaemon serves /snmp, keeps its modules when a reload finds bad ones,
// and takes good ones.
func TestSNMPDaemon(t *testing.T) {
	d := startDaemon(t, "listen: 127.0.0.1:0\ndata_dir: data\ncollectors: {}\nsnmp: {modules: ['snmp*.yml']}\n",
		options{}, map[string][]byte{"snmp.yml": []byte(tinyModules)})
	url := d.url("/snmp?module=tiny&target=" + upAgent(t, snmpsim.Faults{}))
	if body := get(t, url); !strings.Contains(body, "\nsysUpTime 42\n") {
		t.Fatalf("got %s", body)
	}
	if body := get(t, d.url("/metrics")); !strings.Contains(body, `minikeeper_snmp_scrapes_total{result="whole"} 1`) {
		t.Errorf("/metrics does not count scrapes: %s", body)
	}

	file := filepath.Join(filepath.Dir(d.path), "snmp.yml")
	write(t, file, "modules: {}\n")
	if err := d.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "no modules in") {
		t.Errorf("a reload with no modules: %v", err)
	}
	if body := get(t, url); !strings.Contains(body, "\nsysUpTime 42\n") {
		t.Errorf("after a failed reload: %s", body)
	}
	write(t, file, strings.ReplaceAll(tinyModules, "scale: 0.01", "scale: 0.1"))
	if err := d.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if body := get(t, url); !strings.Contains(body, "\nsysUpTime 420\n") {
		t.Errorf("after a reload: %s", body)
	}
	for query, want := range map[string]int{
		"":                            http.StatusBadRequest,
		"?target=127.0.0.1&module=no": http.StatusBadRequest,
	} {
		if got := status(t, d.url("/snmp"+query)); got != want {
			t.Errorf("/snmp%s answers %d, want %d", query, got, want)
		}
	}
}

func status(t testing.TB, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}
