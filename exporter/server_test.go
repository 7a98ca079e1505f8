package exporter_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/minikeeper/minikeeper/exporter"
	"github.com/minikeeper/minikeeper/internal/access"
)

const token = "CORRECTHORSEBATTERYSTAPLE1"

// start runs a server on loopback and returns its address.
func start(t *testing.T, o exporter.ServerOptions, p access.Policy) string {
	t.Helper()
	o.Listen, o.Log, p.WebConfig = "127.0.0.1:0", slog.New(slog.DiscardHandler), o.WebConfig
	if o.Metrics == nil {
		o.Metrics = exporter.Handler(func() *exporter.Exporter { return nil }, o.Log)
	}
	guard, err := access.New(p)
	if err != nil {
		t.Fatal(err)
	}
	o.Access = guard
	s, err := exporter.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := s.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stop server: %v", err)
		}
	})
	return addr.String()
}

// metricsOf serves e.
func metricsOf(e *exporter.Exporter) http.Handler {
	return exporter.Handler(func() *exporter.Exporter { return e }, slog.New(slog.DiscardHandler))
}

// ask sends one request and returns status, headers and body. It may be called
// from any goroutine.
func ask(t *testing.T, client *http.Client, method, url string, header ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Error(err)
		return 0, nil, ""
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Error(err)
		return 0, nil, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
		return 0, nil, ""
	}
	return resp.StatusCode, resp.Header, string(body)
}

// plain is a client that neither compresses nor keeps connections.
func plain(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestMetricsEndpoint(t *testing.T) {
	e := newExporter(t, exporter.Options{}, map[string]exporter.Entry{
		"a": {Source: counting("a_value", 0)},
		"b": {Source: counting("b_value", 0)},
	})
	base := "http://" + start(t, exporter.ServerOptions{Metrics: metricsOf(e)}, access.Policy{})
	client := plain(t)

	status, header, body := ask(t, client, http.MethodGet, base+"/metrics")
	if status != http.StatusOK || !strings.HasPrefix(header.Get("Content-Type"), "text/plain; version=0.0.4") ||
		!strings.Contains(body, "\na_value 1\n") || !strings.Contains(body, "\ngo_goroutines ") {
		t.Errorf("text: %d %s\n%s", status, header.Get("Content-Type"), body)
	}

	_, header, body = ask(t, client, http.MethodGet, base+"/metrics", "Accept", "application/openmetrics-text; version=1.0.0")
	if !strings.HasPrefix(header.Get("Content-Type"), "application/openmetrics-text") || !strings.HasSuffix(body, "# EOF\n") {
		t.Errorf("OpenMetrics: %s\n%s", header.Get("Content-Type"), body)
	}

	_, header, body = ask(t, client, http.MethodGet, base+"/metrics", "Accept-Encoding", "gzip")
	if header.Get("Content-Encoding") != "gzip" || !strings.HasPrefix(body, "\x1f\x8b") {
		t.Errorf("gzip: %s", header.Get("Content-Encoding"))
	}

	_, _, body = ask(t, client, http.MethodGet, base+"/metrics?collect[]=b")
	if strings.Contains(body, "a_value") || !strings.Contains(body, "b_value") || strings.Contains(body, "go_") {
		t.Errorf("collect[]=b:\n%s", body)
	}
	if status, _, body = ask(t, client, http.MethodGet, base+"/metrics?collect[]=c"); status != http.StatusBadRequest || !strings.Contains(body, "have a, b") {
		t.Errorf("collect[]=c: %d %s", status, body)
	}
	if status, header, _ = ask(t, client, http.MethodPost, base+"/metrics"); status != http.StatusMethodNotAllowed || header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, Allow %q", status, header.Get("Allow"))
	}
}

func TestScrapeTimeoutHeader(t *testing.T) {
	e := newExporter(t, exporter.Options{}, map[string]exporter.Entry{
		"slow": {Source: counting("s_value", time.Minute)},
		"fast": {Source: counting("f_value", 0)},
	})
	base := "http://" + start(t, exporter.ServerOptions{Metrics: metricsOf(e)}, access.Policy{})
	begun := time.Now()
	_, _, body := ask(t, plain(t), http.MethodGet, base+"/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "0.6")
	if took := time.Since(begun); took < 250*time.Millisecond || took > 5*time.Second {
		t.Errorf("took %v, want about 0.3 s", took)
	}
	if !strings.Contains(body, "f_value 1") || strings.Contains(body, "s_value") || strings.Contains(body, `success{collector="slow"}`) {
		t.Errorf("exposition:\n%s", body)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	notReady := errors.New("the store is replaying its log")
	checks := []exporter.Check{
		{Name: "store", Ready: func(context.Context) error { return notReady }},
		{Name: "rules", Ready: func(context.Context) error { return nil }},
	}
	base := "http://" + start(t, exporter.ServerOptions{Ready: checks}, access.Policy{})
	client := plain(t)
	if status, _, body := ask(t, client, http.MethodGet, base+"/-/healthy"); status != http.StatusOK || body != "minikeeper is healthy.\n" {
		t.Errorf("healthy: %d %q", status, body)
	}
	status, _, body := ask(t, client, http.MethodGet, base+"/-/ready")
	if status != http.StatusServiceUnavailable || body != "minikeeper is not ready.\nstore: the store is replaying its log\n" {
		t.Errorf("not ready: %d %q", status, body)
	}
	notReady = nil
	if status, _, _ = ask(t, client, http.MethodGet, base+"/-/ready"); status != http.StatusOK {
		t.Errorf("ready: %d", status)
	}
}

func TestReload(t *testing.T) {
	var fault error
	reloads := 0
	base := "http://" + start(t, exporter.ServerOptions{Reload: func(context.Context) error { reloads++; return fault }}, access.Policy{Token: token})
	client := plain(t)
	bearer := []string{"Authorization", "Bearer " + token}
	tests := []struct {
		name   string
		method string
		header []string
		fault  error
		status int
		want   string
	}{
		{"without token", http.MethodPost, nil, nil, http.StatusUnauthorized, "needs the token"},
		{"from another site", http.MethodPost, append([]string{"Origin", "http://evil.example"}, bearer...), nil, http.StatusForbidden, "another site"},
		{"by GET", http.MethodGet, bearer, nil, http.StatusMethodNotAllowed, "use POST"},
		{"good", http.MethodPost, bearer, nil, http.StatusOK, "reloaded"},
		{"bad file", http.MethodPost, bearer, errors.New("minikeeper.yml:3:1: unknown key"), http.StatusInternalServerError, "the old configuration stays in use: minikeeper.yml:3:1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fault = tt.fault
			status, header, body := ask(t, client, tt.method, base+"/-/reload", tt.header...)
			if status != tt.status || !strings.Contains(body, tt.want) {
				t.Errorf("%d %q, want %d %q", status, body, tt.status, tt.want)
			}
			if header.Get("X-Content-Type-Options") != "nosniff" || header.Get("X-Frame-Options") != "deny" {
				t.Errorf("headers %v", header)
			}
		})
	}
	if reloads != 2 {
		t.Errorf("%d reloads, want 2", reloads)
	}
}

func TestLimits(t *testing.T) {
	release, entered := make(chan struct{}), make(chan struct{})
	routes := []exporter.Route{
		{Pattern: "POST /body", Role: access.View, MaxBody: 10, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			}
		})},
		{Pattern: "GET /busy", Role: access.View, InFlight: 1, Stream: true, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			entered <- struct{}{}
			<-release
		})},
	}
	addr := start(t, exporter.ServerOptions{Routes: routes}, access.Policy{})
	base, client := "http://"+addr, plain(t)

	for body, want := range map[string]int{"0123456789": http.StatusOK, "0123456789x": http.StatusRequestEntityTooLarge} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/body", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("body of %d bytes: %d, want %d", len(body), resp.StatusCode, want)
		}
	}

	first := make(chan int)
	go func() {
		status, _, _ := ask(t, client, http.MethodGet, base+"/busy")
		first <- status
	}()
	<-entered
	if status, header, _ := ask(t, client, http.MethodGet, base+"/busy"); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("second request at once: %d, Retry-After %q", status, header.Get("Retry-After"))
	}
	close(release)
	if status := <-first; status != http.StatusOK {
		t.Errorf("first request: %d", status)
	}

	status, _, _ := ask(t, client, http.MethodGet, base+"/busy", "X-Large", strings.Repeat("x", 80<<10))
	if status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("80 KiB of headers: %d", status)
	}
	if status, _, _ = ask(t, client, http.MethodGet, base+"/debug/pprof/"); status != http.StatusNotFound {
		t.Errorf("pprof: %d", status)
	}
}

// TestRequestsFinishOnShutdown stops the server while a request is answered.
func TestRequestsFinishOnShutdown(t *testing.T) {
	entered := make(chan struct{})
	guard, err := access.New(access.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	s, err := exporter.NewServer(exporter.ServerOptions{
		Listen: "127.0.0.1:0", Access: guard, Log: log, Metrics: http.NotFoundHandler(),
		Routes: []exporter.Route{{Pattern: "GET /slow", Role: access.View, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(entered)
			select {
			case <-time.After(300 * time.Millisecond):
				_, _ = io.WriteString(w, "done")
			case <-r.Context().Done():
			}
		})}},
	})
	if err != nil {
		t.Fatal(err)
	}
	addr, err := s.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- s.Run(ctx) }()
	body := make(chan string, 1)
	go func() {
		_, _, b := ask(t, plain(t), http.MethodGet, "http://"+addr.String()+"/slow")
		body <- b
	}()
	<-entered
	cancel()
	if got := <-body; got != "done" {
		t.Errorf("body %q", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestServerRefuses(t *testing.T) {
	guard, err := access.New(access.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(file, []byte("tls_server_config: {cert: x}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		o    exporter.ServerOptions
		want string
	}{
		{"bad web_config", exporter.ServerOptions{WebConfig: file}, "missing one of key or key_file"},
		{"absent web_config", exporter.ServerOptions{WebConfig: "/does/not/exist.yml"}, "no such file"},
		{"clashing routes", exporter.ServerOptions{Routes: []exporter.Route{{Pattern: "/metrics", Handler: http.NotFoundHandler()}}}, "route /metrics: pattern"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Access, tt.o.Metrics, tt.o.Log = guard, http.NotFoundHandler(), slog.New(slog.DiscardHandler)
			if _, err := exporter.NewServer(tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	first := start(t, exporter.ServerOptions{}, access.Policy{})
	s, err := exporter.NewServer(exporter.ServerOptions{Listen: first, Access: guard, Metrics: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("taken address: %v", err)
	}
}

// TestUsers goes through exporter-toolkit's own check of passwords.
func TestUsers(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(file, []byte("basic_auth_users:\n  alice: "+string(hash)+"\n  bob: "+string(hash)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := start(t, exporter.ServerOptions{WebConfig: file, Reload: func(context.Context) error { return nil }},
		access.Policy{Roles: map[access.Role][]string{access.Operate: {"alice"}}})
	tests := []struct {
		user   string
		status int
	}{
		{"alice:secret@", http.StatusOK},
		{"alice:wrong@", http.StatusUnauthorized},
		{"bob:secret@", http.StatusForbidden},
		{"mallory:secret@", http.StatusUnauthorized},
		{"", http.StatusUnauthorized},
	}
	for _, tt := range tests {
		if status, _, body := ask(t, plain(t), http.MethodPost, "http://"+tt.user+addr+"/-/reload"); status != tt.status {
			t.Errorf("%q: %d %s, want %d", tt.user, status, body, tt.status)
		}
	}
}

// TestClientCertificates goes through a real TLS handshake.
func TestClientCertificates(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir)
	ca.issue(t, dir, "server")
	file := filepath.Join(dir, "web.yml")
	config := "tls_server_config: {cert_file: server.pem, key_file: server.key, client_ca_file: ca.pem, client_auth_type: VerifyClientCertIfGiven}\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	base := "https://" + start(t, exporter.ServerOptions{WebConfig: file, Reload: func(context.Context) error { return nil }},
		access.Policy{Token: token, Roles: map[access.Role][]string{access.Operate: {"hub"}}})
	client := func(name string) *http.Client {
		config := &tls.Config{RootCAs: ca.pool}
		if name != "" {
			config.Certificates = []tls.Certificate{ca.issue(t, t.TempDir(), name)}
		}
		transport := &http.Transport{TLSClientConfig: config}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport}
	}
	for name, want := range map[string]int{"hub": http.StatusOK, "lon-mini-2": http.StatusForbidden, "": http.StatusUnauthorized} {
		if status, _, body := ask(t, client(name), http.MethodPost, base+"/-/reload"); status != want {
			t.Errorf("certificate %q: %d %s, want %d", name, status, body, want)
		}
	}
	if status, _, _ := ask(t, client(""), http.MethodPost, base+"/-/reload", "Authorization", "Bearer "+token); status != http.StatusOK {
		t.Errorf("token from loopback: %d", status)
	}
	if status, _, _ := ask(t, client(""), http.MethodPost, base+"/-/reload", "Authorization", "Basic aHViOng="); status != http.StatusUnauthorized {
		t.Errorf("user whose password nobody checked: %d", status)
	}
}

// An authority is a CA for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.key = key
	a.pool.AddCert(a.cert)
	writePEM(t, filepath.Join(dir, "ca.pem"), "CERTIFICATE", der)
	return a
}

func (a *authority) issue(t *testing.T, dir, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(dir, name+".pem"), "CERTIFICATE", der)
	writePEM(t, filepath.Join(dir, name+".key"), "PRIVATE KEY", raw)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}
