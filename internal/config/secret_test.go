package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/minikeeper/minikeeper/internal/config"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// TestSecretNeverPrints shows a secret in every way that a program shows things.
func TestSecretNeverPrints(t *testing.T) {
	type holder struct {
		Name     string
		Password config.Secret
		Others   []*config.Secret
		ByName   map[string]config.Secret
	}
	s := config.Secret{Value: "hunter2"}
	h := holder{"mail", s, []*config.Secret{&s}, map[string]config.Secret{"a": s}}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T", "%t", "%08.3f"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", &s)
		fmt.Fprintf(&out, verb+"\n", h)
	}
	logs := slog.New(slog.NewTextHandler(&out, nil))
	logs.Info("told", "secret", s, "holder", h, "pointer", &s)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("told", "secret", s, "holder", h)
	fmt.Fprintln(&out, fmt.Errorf("send: %v", s))
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		b, err := marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	if got := out.String(); strings.Contains(got, "hunter2") || strings.Contains(got, fmt.Sprintf("%x", "hunter2")) || strings.Contains(got, "[104 117") {
		t.Errorf("the secret is shown:\n%s", got)
	}
	if got := fmt.Sprint(config.Secret{}); got != "" || !(config.Secret{}).IsZero() || s.IsZero() {
		t.Errorf("no secret is shown as %q", got)
	}
	if got := fmt.Sprint(s); got != "<secret>" {
		t.Errorf("a secret is shown as %q", got)
	}
}

func TestSecretRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name   string
		secret config.Secret
		want   string // empty: an error
	}{
		{"value", config.Secret{Value: "hunter2"}, "hunter2"},
		{"file", config.Secret{File: write("a", "hunter2")}, "hunter2"},
		{"line end", config.Secret{File: write("b", "hunter2 \r\n")}, "hunter2 "},
		{"file before value", config.Secret{File: write("c", "new"), Value: "old"}, "new"},
		{"empty file", config.Secret{File: write("d", "\n")}, ""},
		{"no file", config.Secret{File: filepath.Join(dir, "none")}, ""},
		{"folder", config.Secret{File: dir}, ""},
		{"large file", config.Secret{File: write("e", strings.Repeat("x", 70_000))}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.secret.Read()
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("Read = %q, %v", got, err)
			}
		})
	}
}

func TestRedacted(t *testing.T) {
	c := parse(t, `
server: lon-mini-1
labels: {site: "${SITE}", plain: x}
shares:
- {name: casper, path: /srv/casper, from: [{url: "/srv/${SITE}"}], exclude: [default, "${SITE}-*"]}
store:
  scrape_configs:
  - job_name: app
    basic_auth: {username: reader, password: hunter5}
    authorization: {credentials: hunter6, credentials_file: app.token}
    params: {api_key: [hunter7]}
    proxy_url: http://hunter8:hunter9@proxy:3128/
    tls_config: &tls {key_file: app.key}
    oauth2: {client_secret: hunter10, tls_config: *tls}
    static_configs: [{targets: ["app:80"]}]
notify:
  channels:
    mail: {smtp: ["relay1:25"], user: mk, password: "${MAIL_PASSWORD}", from: a@example.com, to: [b@example.com]}
    slack: {channel: "#minis", token_file: slack.token, depends_on: ['alertname=~"Slack.*"']}
`)
	out := string(c.Redacted())
	if strings.Contains(out, "hunter") {
		t.Error("a secret is shown")
	}
	testkit.Golden(t, "testdata/redacted.golden", out)
	if got, err := c.Notify.Channels["mail"].Password.Read(); got != "hunter2" || err != nil {
		t.Errorf("the mail password is %q, %v", got, err)
	}
}

// TestRedactedIsEffective reads what is shown and must get the same again.
func TestRedactedIsEffective(t *testing.T) {
	first := string(parse(t, config.Reference()).Redacted())
	// How often replicas are compared is shown twice and may be given once.
	second := string(parse(t, strings.Replace(first, "  replica:\n    every: 15m\n", "  replica:\n", 1)).Redacted())
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("(-first +second):\n%s", diff)
	}
}
