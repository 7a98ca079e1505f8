package access_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minikeeper/minikeeper/internal/access"
)

const (
	token  = "CORRECTHORSEBATTERYSTAPLE1"
	local  = "127.0.0.1:40000"
	remote = "10.9.8.7:40000"
)

// A call is one request, as the table below writes it.
type call struct {
	from   string // remote address
	host   string // "" is localhost:9797
	method string // "" is GET for reading roles and POST for changing ones
	header map[string]string
	user   string // basic auth
	cert   string // common name in a verified certificate
	forged string // common name in a certificate that nobody verified
	tls    bool
}

func (c call) request(t *testing.T, role access.Role) *http.Request {
	t.Helper()
	method := c.method
	if method == "" {
		method = http.MethodGet
		if role == access.Operate || role == access.Approve {
			method = http.MethodPost
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), method, "/thing", nil)
	r.RemoteAddr, r.Host = c.from, "localhost:9797"
	if c.host != "" {
		r.Host = c.host
	}
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	if c.user != "" {
		r.SetBasicAuth(c.user, "checked before")
	}
	if c.tls || c.cert != "" || c.forged != "" {
		r.TLS = &tls.ConnectionState{}
	}
	if c.cert != "" {
		r.TLS.VerifiedChains = [][]*x509.Certificate{{certificate(c.cert)}}
	}
	if c.forged != "" {
		r.TLS.PeerCertificates = []*x509.Certificate{certificate(c.forged)}
	}
	return r
}

func certificate(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		DNSNames:    []string{name + ".example.com"},
		URIs:        []*url.URL{{Scheme: "spiffe", Host: "example.com", Path: "/" + name}},
		IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)},
	}
}

func bearer(s string) map[string]string { return map[string]string{"Authorization": "Bearer " + s} }

// answers asks for every role and writes the statuses in one line.
func answers(t *testing.T, g *access.Guard, c call) string {
	t.Helper()
	var b strings.Builder
	for _, role := range append([]access.Role{access.Open}, access.Roles()...) {
		next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
		rec := httptest.NewRecorder()
		g.Middleware(role, next).ServeHTTP(rec, c.request(t, role))
		name := role
		if role == access.Open {
			name = "open"
		}
		fmt.Fprintf(&b, "%s=%d ", name, rec.Code)
	}
	return strings.TrimSpace(b.String())
}

func TestWithoutWebConfig(t *testing.T) {
	g := guard(t, access.Policy{
		Token: token, Names: []string{"lon-mini-1", "lon-mini-1.example.com"},
		Roles: map[access.Role][]string{access.View: {"alice"}, access.Operate: {"alice"}}, // of no effect
	})
	tests := []struct {
		name string
		call call
		want string
	}{
		{"loopback", call{from: local}, "open=200 view=200 scrape=200 share=200 operate=401 approve=401"},
		{"loopback over IPv6", call{from: "[::1]:1"}, "open=200 view=200 scrape=200 share=200 operate=401 approve=401"},
		{"loopback as mapped IPv4", call{from: "[::ffff:127.0.0.1]:1"}, "open=200 view=200 scrape=200 share=200 operate=401 approve=401"},
		{"loopback with the token", call{from: local, header: bearer(token)}, "open=200 view=200 scrape=200 share=200 operate=200 approve=200"},
		{"loopback with a wrong token", call{from: local, header: bearer(token[1:])}, "open=200 view=200 scrape=200 share=200 operate=401 approve=401"},
		{"loopback with the token as a password", call{from: local, user: token}, "open=200 view=200 scrape=200 share=200 operate=401 approve=401"},
		{"network", call{from: remote}, "open=200 view=200 scrape=200 share=403 operate=403 approve=403"},
		{"network with the token", call{from: remote, header: bearer(token)}, "open=200 view=200 scrape=200 share=403 operate=403 approve=403"},
		{"network with a user that nobody checked", call{from: remote, user: "alice"}, "open=200 view=200 scrape=200 share=403 operate=403 approve=403"},
		{"peer without an address", call{from: "@", header: bearer(token)}, "open=200 view=200 scrape=200 share=403 operate=403 approve=403"},

		{"by own name", call{from: local, host: "LON-mini-1.example.com.:9797"}, "open=200 view=200 scrape=200 share=200 operate=401 approve=401"},
		{"by address", call{from: remote, host: "10.1.0.11:9797"}, "open=200 view=200 scrape=200 share=403 operate=403 approve=403"},
		{"by IPv6 address", call{from: local, host: "[::1]"}, "open=200 view=200 scrape=200 share=200 operate=401 approve=401"},
		{"rebound name on loopback", call{from: local, host: "evil.example:9797", header: bearer(token)}, "open=200 view=421 scrape=421 share=421 operate=421 approve=421"},
		{"rebound name that begins like ours", call{from: local, host: "lon-mini-1.evil.example"}, "open=200 view=421 scrape=421 share=421 operate=421 approve=421"},
		{"no host", call{from: local, host: ":9797"}, "open=200 view=421 scrape=421 share=421 operate=421 approve=421"},
		{"alias from the network", call{from: remote, host: "cname.example.com:9797"}, "open=200 view=421 scrape=200 share=421 operate=421 approve=421"},

		{"own page", call{from: local, header: map[string]string{
			"Authorization": "Bearer " + token, "Origin": "http://localhost:9797", "Sec-Fetch-Site": "same-origin",
		}}, "open=200 view=200 scrape=200 share=200 operate=200 approve=200"},
		{"page of another site", call{from: local, header: map[string]string{
			"Authorization": "Bearer " + token, "Origin": "https://evil.example",
		}}, "open=200 view=200 scrape=200 share=200 operate=403 approve=403"},
		{"page of another port", call{from: local, header: map[string]string{
			"Authorization": "Bearer " + token, "Origin": "http://localhost:8000",
		}}, "open=200 view=200 scrape=200 share=200 operate=403 approve=403"},
		{"sandboxed page", call{from: local, header: map[string]string{
			"Authorization": "Bearer " + token, "Origin": "null",
		}}, "open=200 view=200 scrape=200 share=200 operate=403 approve=403"},
		{"cross-site fetch, even by GET", call{from: local, method: http.MethodGet, header: map[string]string{
			"Authorization": "Bearer " + token, "Sec-Fetch-Site": "cross-site",
		}}, "open=200 view=200 scrape=200 share=200 operate=403 approve=403"},
		{"cross-site post to what only reads", call{from: local, method: http.MethodPost, header: map[string]string{
			"Sec-Fetch-Site": "cross-site",
		}}, "open=403 view=403 scrape=403 share=403 operate=403 approve=403"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := answers(t, g, tt.call); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestWithWebConfig(t *testing.T) {
	users := webConfig(t, "basic_auth_users: {alice: x, bob: x, prometheus: x, eve: x}\n")
	certsOnly := webConfig(t, "tls_server_config: {cert_file: a, key_file: b}\n")
	roles := map[access.Role][]string{
		access.Scrape: {"prometheus"}, access.Share: {"lon-mini-2"}, access.Approve: {"alice"},
		access.Operate: {"hub.example.com", "spiffe://example.com/robot"},
	}
	tests := []struct {
		name  string
		file  string
		roles map[access.Role][]string
		call  call
		want  string
	}{
		{"approver", users, roles, call{from: remote, user: "alice"}, "open=200 view=200 scrape=403 share=403 operate=403 approve=200"},
		{"scraper", users, roles, call{from: remote, user: "prometheus"}, "open=200 view=200 scrape=200 share=403 operate=403 approve=403"},
		{"user without a role", users, roles, call{from: remote, user: "eve"}, "open=200 view=200 scrape=403 share=403 operate=403 approve=403"},
		{"any host name, for the user proves that no name was rebound", users, roles, call{from: remote, host: "cname", user: "alice"}, "open=200 view=200 scrape=403 share=403 operate=403 approve=200"},
		{"replica by certificate", certsOnly, roles, call{from: remote, cert: "lon-mini-2"}, "open=200 view=200 scrape=403 share=200 operate=403 approve=403"},
		{"hub by DNS name in its certificate", certsOnly, roles, call{from: remote, cert: "hub"}, "open=200 view=200 scrape=200 share=403 operate=200 approve=403"},
		{"robot by URI in its certificate", certsOnly, roles, call{from: remote, cert: "robot"}, "open=200 view=200 scrape=200 share=403 operate=200 approve=403"},
		{"certificate that nobody verified", certsOnly, roles, call{from: remote, forged: "hub"}, "open=200 view=200 scrape=401 share=401 operate=401 approve=401"},
		{"made-up user where the file has no users", certsOnly, roles, call{from: remote, tls: true, user: "alice"}, "open=200 view=200 scrape=401 share=401 operate=401 approve=401"},
		{"nobody", certsOnly, roles, call{from: remote, tls: true}, "open=200 view=200 scrape=401 share=401 operate=401 approve=401"},
		{"loopback is nobody too", certsOnly, roles, call{from: local, tls: true}, "open=200 view=200 scrape=401 share=401 operate=401 approve=401"},
		{"loopback with the token", certsOnly, roles, call{from: local, tls: true, header: bearer(token)}, "open=200 view=200 scrape=200 share=200 operate=200 approve=200"},
		{"network with the token", certsOnly, roles, call{from: remote, tls: true, header: bearer(token)}, "open=200 view=200 scrape=401 share=401 operate=401 approve=401"},
		{"rebound name where the file asks for nothing", certsOnly, roles, call{from: local, host: "evil.example", header: bearer(token)}, "open=200 view=421 scrape=421 share=421 operate=421 approve=421"},
		{"empty lists", users, nil, call{from: remote, user: "alice"}, "open=200 view=200 scrape=200 share=403 operate=403 approve=403"},
		{"view with a list", users, map[access.Role][]string{access.View: {"bob"}, access.Operate: {"alice"}}, call{from: remote, user: "alice"}, "open=200 view=200 scrape=200 share=403 operate=200 approve=403"},
		{"view with a list that lacks the user", users, map[access.Role][]string{access.View: {"bob"}}, call{from: remote, user: "eve"}, "open=200 view=403 scrape=200 share=403 operate=403 approve=403"},
		{"file is gone", filepath.Join(t.TempDir(), "none.yml"), roles, call{from: remote, user: "alice"}, "open=403 view=403 scrape=403 share=403 operate=403 approve=403"},
		{"file is broken", webConfig(t, "basic_auth_users: ["), roles, call{from: remote, user: "alice"}, "open=403 view=403 scrape=403 share=403 operate=403 approve=403"},
		{"page of another site with the browser's certificate", certsOnly, roles, call{from: remote, cert: "hub", header: map[string]string{"Origin": "https://evil.example"}}, "open=200 view=200 scrape=200 share=403 operate=403 approve=403"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := guard(t, access.Policy{WebConfig: tt.file, Roles: tt.roles, Token: token})
			if got := answers(t, g, tt.call); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestRefusalsSayWhatIsNeeded(t *testing.T) {
	g := guard(t, access.Policy{Token: token})
	never := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the request got through") })

	text := httptest.NewRecorder()
	g.Middleware(access.Operate, never).ServeHTTP(text, call{from: local}.request(t, access.Operate))
	if got := text.Body.String(); !strings.Contains(got, "Authorization: Bearer TOKEN") {
		t.Errorf("text answer %q does not say how to present the token", got)
	}
	if got := text.Header().Get("WWW-Authenticate"); got == "" {
		t.Error("401 without WWW-Authenticate")
	}

	r := call{from: remote}.request(t, access.Operate)
	r.URL.Path = "/api/v1/actions"
	rec := httptest.NewRecorder()
	g.Middleware(access.Operate, never).ServeHTTP(rec, r)
	var answer struct{ Status, Error string }
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil || answer.Status != "error" || !strings.Contains(answer.Error, "web_config") {
		t.Errorf("JSON answer %q (%v)", rec.Body, err)
	}
}

func TestWrongAndMissingTokenLookAlike(t *testing.T) {
	g := guard(t, access.Policy{Token: token})
	_, missing := g.Check(access.Operate, call{from: local}.request(t, access.Operate))
	_, wrong := g.Check(access.Operate, call{from: local, header: bearer("x")}.request(t, access.Operate))
	if missing == nil || wrong == nil || missing.Error() != wrong.Error() {
		t.Errorf("missing token: %v\nwrong token:   %v", missing, wrong)
	}
	if none := guard(t, access.Policy{}); none != nil {
		if _, err := none.Check(access.Operate, call{from: local, header: bearer("")}.request(t, access.Operate)); err == nil {
			t.Error("an empty token opens a server that has none")
		}
	}
}

func TestCallerReachesTheHandler(t *testing.T) {
	file := webConfig(t, "basic_auth_users: {alice: x}\n")
	g := guard(t, access.Policy{WebConfig: file, Token: token})
	tests := []struct {
		call call
		want string
	}{
		{call{from: remote, user: "alice"}, "alice"},
		{call{from: local, header: bearer(token)}, "local"},
		{call{from: local}, "anonymous"},
		{call{from: remote, cert: "hub"}, "hub"},
	}
	for _, tt := range tests {
		var got string
		next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = access.CallerFrom(r.Context()).String() })
		g.Middleware(access.View, next).ServeHTTP(httptest.NewRecorder(), tt.call.request(t, access.View))
		if got != tt.want {
			t.Errorf("caller %q, want %q", got, tt.want)
		}
	}
}

func TestPolicyIsReplacedOrKept(t *testing.T) {
	g := guard(t, access.Policy{Token: token})
	r := func() *http.Request { return call{from: local, header: bearer(token)}.request(t, access.Operate) }
	if err := g.Set(access.Policy{Roles: map[access.Role][]string{"admin": {"alice"}}}); err == nil || !strings.Contains(err.Error(), "have view, scrape") {
		t.Errorf("unknown role: error %v", err)
	}
	if _, err := g.Check(access.Operate, r()); err != nil {
		t.Errorf("after a refused policy: %v", err)
	}
	if err := g.Set(access.Policy{Token: token + "2"}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Check(access.Operate, r()); err == nil {
		t.Error("the old token still opens")
	}
}

func TestPolicyIsPrintedWithoutToken(t *testing.T) {
	p := access.Policy{Token: token}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, p); strings.Contains(got, token) {
			t.Errorf("%s shows the token: %s", format, got)
		}
	}
}

func TestToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	first, err := access.LoadOrCreateToken(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(first) < 26 {
		t.Errorf("token %q is short", first)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	again, err := access.LoadOrCreateToken(path)
	if err != nil || again != first {
		t.Errorf("second call: %q, %v; want the first token", again, err)
	}
	if got, err := access.LoadToken(path); err != nil || got != first {
		t.Errorf("LoadToken: %q, %v", got, err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestTokenIsRefused(t *testing.T) {
	good := strings.Repeat("x", 26) + "\n"
	tests := []struct {
		name string
		make func(t *testing.T, path string)
		want string
	}{
		{"readable by the group", func(t *testing.T, path string) { write(t, path, good, 0o640) }, "mode 0640"},
		{"writable by all", func(t *testing.T, path string) { write(t, path, good, 0o602) }, "mode 0602"},
		{"empty", func(t *testing.T, path string) { write(t, path, "", 0o600) }, "shorter than"},
		{"a folder", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "not a plain file"},
		{"a link", func(t *testing.T, path string) {
			write(t, path+".real", good, 0o600)
			if err := os.Symlink(path+".real", path); err != nil {
				t.Fatal(err)
			}
		}, "too many levels of symbolic links"},
		{"of another user", func(t *testing.T, path string) {
			write(t, path, good, 0o600)
			if os.Geteuid() != 0 {
				t.Skip("only root gives files away")
			}
			if err := os.Chown(path, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}, "belongs to user 65534"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "token")
			tt.make(t, path)
			token, err := access.LoadOrCreateToken(path)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("token %q, error %v; want an error with %q", token, err, tt.want)
			}
		})
	}
	if _, err := access.LoadOrCreateToken(filepath.Join(t.TempDir(), "no", "folder")); err == nil {
		t.Error("a token was made in a folder that does not exist")
	}
}

func TestOwnNames(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	names := access.OwnNames(t.Context(), "lon-mini-1", "")
	found := strings.Join(names, " ")
	if !strings.Contains(found, "lon-mini-1") || !strings.Contains(found, host) || strings.HasPrefix(found, " ") {
		t.Errorf("names %q lack lon-mini-1 or %s, or hold an empty one", names, host)
	}
}

func guard(t *testing.T, p access.Policy) *access.Guard {
	t.Helper()
	g, err := access.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func webConfig(t *testing.T, src string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "web.yml")
	write(t, path, src, 0o600)
	return path
}

func write(t *testing.T, path, src string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(src), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
