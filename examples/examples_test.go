// Package examples_test holds the examples to the programs that read them.
package examples_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	"howett.net/plist"

	"github.com/minikeeper/minikeeper/internal/config"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestConfigs(t *testing.T) {
	known := config.Known{
		Collectors: []string{"disk", "host", "launchd", "netboot", "postfix", "raid", "replica"},
		Actions:    []string{"command", "fix-launchd-plist", "flush-mail-queue", "reindex-nbi", "resync", "restart-service"},
	}
	tests := []struct {
		file, host string
		check      func(*config.Config) bool
	}{
		{"keeper.yml", "lon-mini-1", func(c *config.Config) bool { return c.Store == nil && len(c.Collectors.ByName()) == 5 }},
		{"keeper.yml", "lon-mini-2", func(c *config.Config) bool { return c.Server == "lon-mini-2" && c.Sites[0].Servers[1].Local }},
		{"hub.yml", "anything", func(c *config.Config) bool {
			return c.Server == "hub" && c.RuleFiles.Builtin && c.Store.ScrapeConfigs.Items() == 1
		}},
	}
	for _, tt := range tests {
		t.Run(tt.file+" on "+tt.host, func(t *testing.T) {
			known.Host = tt.host
			none := func(string) (string, bool) { return "", false }
			c, err := config.Parse(tt.file, read(t, tt.file), none, known)
			if err != nil {
				t.Fatal(err)
			}
			if !tt.check(c) {
				t.Errorf("it does not do what it says:\n%s", c.Redacted())
			}
		})
	}
}

func TestPrometheusConfig(t *testing.T) {
	testkit.Peers(t, "promtool")
	for _, file := range []string{"prometheus.yml", hubScrapes(t)} {
		out, err := exec.CommandContext(t.Context(), "promtool", "check", "config", "--syntax-only", file).CombinedOutput()
		if err != nil {
			t.Errorf("promtool: %v\n%s", err, out)
		}
	}
}

// hubScrapes writes what the hub's store scrapes as a configuration of Prometheus.
func hubScrapes(t *testing.T) string {
	t.Helper()
	c, err := config.Parse("hub.yml", read(t, "hub.yml"), os.LookupEnv, config.Known{Collectors: []string{"disk"}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "scrape.yml")
	if err := os.WriteFile(file, c.Store.ScrapeConfigs.Under("scrape_configs"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestWebConfig has exporter-toolkit read web.yml, with certificates beside it.
func TestWebConfig(t *testing.T) {
	dir := t.TempDir()
	certificate, key := selfSigned(t)
	for name, content := range map[string][]byte{"web.yml": read(t, "web.yml"), "server.pem": certificate, "ca.pem": certificate, "server.key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := web.Validate(filepath.Join(dir, "web.yml")); err != nil {
		t.Error(err)
	}
}

func selfSigned(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lon-mini-1"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

func TestLaunchd(t *testing.T) {
	const file = "io.github.minikeeper.plist"
	var job struct {
		Label            string
		ProgramArguments []string
		RunAtLoad        bool
		KeepAlive        map[string]bool
		Umask            int
	}
	if _, err := plist.Unmarshal(read(t, file), &job); err != nil {
		t.Fatal(err)
	}
	if job.Label+".plist" != file || !job.RunAtLoad || job.Umask != 0o077 {
		t.Errorf("job = %+v", job)
	}
	if restart, given := job.KeepAlive["SuccessfulExit"]; restart || !given {
		t.Errorf("KeepAlive = %v", job.KeepAlive)
	}
	if got := job.ProgramArguments[1:3]; !slices.Equal(got, []string{"serve", "--config"}) {
		t.Errorf("it runs %q", got)
	}
}

func TestSystemd(t *testing.T) {
	const program = "/usr/local/bin/minikeeper"
	unit := string(read(t, "minikeeper.service"))
	if !strings.Contains(unit, "\nExecStart="+program+" serve --config /etc/minikeeper/minikeeper.yml\n") {
		t.Error("it does not serve")
	}
	testkit.Peers(t, "systemd-analyze")
	// The program that it starts need not be installed here.
	file := filepath.Join(t.TempDir(), "minikeeper.service")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(unit, program, "/bin/true")), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", file).CombinedOutput()
	if err != nil || strings.Contains(string(out), filepath.Base(file)+":") {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}
