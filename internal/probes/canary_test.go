package probes_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper/internal/probes"
)

// canary is a file whose parts all differ.
func canary() []byte {
	var b bytes.Buffer
	for i := range 2000 {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.Bytes()
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func point(t testing.TB, base string) probes.DistributionPoint {
	t.Helper()
	client, err := probes.NewClient("")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	return probes.DistributionPoint{Client: client, URL: u, File: "Packages/canary.pkg"}
}

// share serves a folder that holds the canary.
func share(t testing.TB) http.Handler {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "CasperShare", "Packages"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "CasperShare", "Packages", "canary.pkg"), canary(), 0o644); err != nil {
		t.Fatal(err)
	}
	return http.FileServer(http.Dir(dir))
}

// fixed answers everything with a status and headers.
func fixed(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// onlyFor answers as odd does where is holds, and as usual does else.
func onlyFor(is func(*http.Request) bool, odd, usual http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if is(r) {
			odd.ServeHTTP(w, r)
			return
		}
		usual.ServeHTTP(w, r)
	})
}

func TestDistributionPoint(t *testing.T) {
	const (
		good = "probe_success 1, distribution_point_range 1"
		bad  = "probe_success 0, problem "
	)
	whole, usual := canary(), share(t)
	n := len(whole)
	ranged := func(r *http.Request) bool { return r.Header.Get("Range") != "" }
	head := func(r *http.Request) bool { return r.Method == http.MethodHead }
	get := func(r *http.Request) bool { return r.Method == http.MethodGet }
	withoutRange := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Range")
		usual.ServeHTTP(w, r)
	})
	part := func(contentRange string, body []byte) http.Handler {
		return fixed(http.StatusPartialContent, string(body), "Content-Range", contentRange)
	}
	span := fmt.Sprintf("bytes %d-%d/%d", n/2, n/2+1023, n)
	lying := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(n))
		if get(r) {
			_, _ = w.Write(whole[:n-100])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	stalling := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(n))
		if get(r) {
			_, _ = w.Write(whole[:100])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	})
	tests := []struct {
		name   string
		server http.Handler
		want   string
	}{
		{"a share", usual, good},
		{"a share whose server knows no HEAD", onlyFor(head, fixed(405, ""), usual), good},
		{"a share without lengths", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if ranged(r) {
				usual.ServeHTTP(w, r)
				return
			}
			w.(http.Flusher).Flush()
			_, _ = w.Write(whole)
		}), good},
		{"a server that ignores Range", withoutRange, "probe_success 1, problem range_ignored, distribution_point_range 0"},
		{"other bytes than asked for", onlyFor(ranged, part(span, whole[:1024]), usual), "probe_success 1, problem range_wrong, distribution_point_range 0"},
		{"another part than asked for", onlyFor(ranged, part(fmt.Sprintf("bytes 0-1023/%d", n), whole[:1024]), usual), "probe_success 1, problem range_wrong, distribution_point_range 0"},
		{"a part that is too long", onlyFor(ranged, part(span, whole[n/2:n/2+2000]), usual), "probe_success 1, problem range_wrong, distribution_point_range 0"},
		{"a part that is too short", onlyFor(ranged, part(span, whole[n/2:n/2+10]), usual), "probe_success 1, problem range_wrong, distribution_point_range 0"},
		{"a part that is refused", onlyFor(ranged, fixed(416, ""), usual), "probe_success 1, problem range_wrong, distribution_point_range 0"},
		{"a redirect to a login", fixed(302, "", "Location", "https://sso.example.com/login?next=x"), bad + "redirect"},
		{"a redirect of GET only", onlyFor(get, fixed(307, "", "Location", "/elsewhere"), usual), bad + "redirect"},
		{"a login page with status 200", fixed(200, "<html>log in</html>", "Content-Type", "text/html; charset=utf-8"), bad + "login"},
		{"a password that is wanted", fixed(401, "", "WWW-Authenticate", "Basic realm=x"), bad + "login"},
		{"a symlink that is not followed", fixed(403, ""), bad + "forbidden"},
		{"a file that is missing", onlyFor(func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, ".pkg") }, http.NotFoundHandler(), usual), bad + "file_missing"},
		{"a share that is missing", http.NotFoundHandler(), bad + "share_missing"},
		{"a server in trouble", fixed(503, ""), bad + "unavailable"},
		{"a server that is odd", fixed(418, ""), bad + "protocol"},
		{"HEAD and GET that disagree", onlyFor(head, fixed(200, "", "Content-Length", "7"), usual), bad + "length"},
		{"a body that is truncated", lying, bad + "truncated"},
		{"a body that stalls", stalling, bad + "timeout"},
		{"a server that hangs", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), bad + "timeout"},
		{"an empty file", fixed(200, ""), bad + "empty"},
		{"a file that is announced to be huge", fixed(200, "", "Content-Length", "107374182400"), bad + "too_large"},
		{"a file without end", onlyFor(head, fixed(405, ""), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for block := make([]byte, 1<<20); ; {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		})), bad + "too_large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(tt.server)
			defer server.CloseClientConnections()
			timeout := patience
			if tt.want == bad+"timeout" {
				timeout = 300 * time.Millisecond
			}
			if got := look(t, point(t, server.URL+"/CasperShare/"), timeout); got != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestSymlinkedShare has the share be a symlink, as a Mac's web server has it.
func TestSymlinkedShare(t *testing.T) {
	docroot, disk := t.TempDir(), filepath.Join(t.TempDir(), "Volumes")
	if err := os.MkdirAll(filepath.Join(disk, "Packages"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(disk, "Packages", "canary.pkg"), canary(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(disk, filepath.Join(docroot, "CasperShare")); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(docroot)))
	defer server.Close()
	p := point(t, server.URL+"/CasperShare")
	if got, want := look(t, p, patience), "probe_success 1, distribution_point_range 1"; got != want {
		t.Errorf("with the disk: got %s\nwant %s", got, want)
	}
	if err := os.Rename(disk, disk+".ejected"); err != nil {
		t.Fatal(err)
	}
	if got, want := look(t, p, patience), "probe_success 0, problem share_missing"; got != want {
		t.Errorf("without the disk: got %s\nwant %s", got, want)
	}
}

func TestChecksum(t *testing.T) {
	server := httptest.NewServer(share(t))
	defer server.Close()
	base := server.URL + "/CasperShare"
	tests := []struct {
		name, sha256, want string
	}{
		{"the origin's", strings.ToUpper(sum(canary())), "probe_success 1, distribution_point_range 1, distribution_point_matches_origin 1"},
		{"another", sum([]byte("other")), "probe_success 0, problem checksum, distribution_point_range 1, distribution_point_matches_origin 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := point(t, base)
			p.SHA256 = tt.sha256
			if got := look(t, p, patience); got != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestOrigin compares with a file elsewhere, which is not read each time.
func TestOrigin(t *testing.T) {
	replica := httptest.NewServer(share(t))
	defer replica.Close()
	var body atomic.Pointer[[]byte]
	var reads atomic.Int64
	content := canary()
	body.Store(&content)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := *body.Load()
		w.Header().Set("ETag", `"`+sum(b)[:8]+`"`)
		if r.Method == http.MethodGet {
			reads.Add(1)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	}))
	defer origin.Close()

	p := point(t, replica.URL+"/CasperShare")
	u, err := url.Parse(origin.URL + "/canary.pkg")
	if err != nil {
		t.Fatal(err)
	}
	p.Origin = &probes.Origin{Client: p.Client, URL: u}
	const equal = "probe_success 1, distribution_point_range 1, distribution_point_matches_origin 1"
	for range 3 {
		if got := look(t, p, patience); got != equal {
			t.Errorf("got %s\nwant %s", got, equal)
		}
	}
	if n := reads.Load(); n != 1 {
		t.Errorf("the origin's file was read %d times, want once", n)
	}
	changed := append([]byte("new "), content...)
	body.Store(&changed)
	if got, want := look(t, p, patience), "probe_success 0, problem checksum, distribution_point_range 1, distribution_point_matches_origin 0"; got != want {
		t.Errorf("the origin changed: got %s\nwant %s", got, want)
	}
	origin.Close()
	if got, want := look(t, p, patience), "probe_success 1, problem origin, distribution_point_range 1"; got != want {
		t.Errorf("the origin is gone: got %s\nwant %s", got, want)
	}
}

func TestLogin(t *testing.T) {
	usual := share(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "reader" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		usual.ServeHTTP(w, r)
	}))
	defer server.Close()
	p := point(t, server.URL+"/CasperShare")
	p.User, p.Password = "reader", func() (string, error) { return "secret", nil }
	if got, want := look(t, p, patience), "probe_success 1, distribution_point_range 1"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	p.Password = func() (string, error) { return "", os.ErrNotExist }
	if got, want := look(t, p, patience), "probe_success 0, problem settings"; got != want {
		t.Errorf("without a password: got %s\nwant %s", got, want)
	}
}

func TestCertificate(t *testing.T) {
	server := httptest.NewTLSServer(share(t))
	defer server.Close()
	if got, want := look(t, point(t, server.URL+"/CasperShare"), patience), "probe_success 0, problem certificate"; got != want {
		t.Errorf("an unknown authority: got %s\nwant %s", got, want)
	}
	p := point(t, server.URL+"/CasperShare")
	p.Client = server.Client()
	if got, want := look(t, p, patience), "probe_success 1, distribution_point_range 1"; got != want {
		t.Errorf("a known authority: got %s\nwant %s", got, want)
	}
	if _, err := probes.NewClient(filepath.Join(t.TempDir(), "none.pem")); err == nil {
		t.Error("a ca_file that is missing is no error")
	}
}

func TestJSS(t *testing.T) {
	const bad = "probe_success 0, problem "
	tests := []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"well", 200, "[]", "probe_success 1, jss_health_code 0"},
		{"well, on a line", 200, " []\n", "probe_success 1, jss_health_code 0"},
		{"no database", 503, `[{"healthCode":1,"httpCode":503,"description":"DBConnectionError"}]`, bad + "database, jss_health_code 1"},
		{"not set up", 200, `[{"healthCode":2,"httpCode":200,"description":"SetupAssistant"}]`, bad + "setup, jss_health_code 2"},
		{"database unknown", 503, `[{"healthCode":3,"httpCode":503,"description":"DBConnectionConfigError"}]`, bad + "database, jss_health_code 3"},
		{"another trouble", 503, `[{"healthCode":4,"httpCode":503,"description":"Initializing"}]`, bad + "starting, jss_health_code 4"},
		{"the page of a proxy", 502, "<html>Bad Gateway</html>", bad + "unavailable"},
		{"a page that is not there", 404, "not found", bad + "file_missing"},
		{"a page with status 200", 200, "<html>Welcome</html>", bad + "protocol"},
		{"nothing", 200, "", bad + "protocol"},
		{"null", 200, "null", bad + "protocol"},
		{"a list of something", 200, "[{}]", bad + "protocol"},
		{"a list that breaks off", 200, `[{"healthCode":1,`, bad + "protocol"},
		{"too much", 200, "[" + strings.Repeat(" ", 100_000) + "]", bad + "protocol"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/healthCheck.html" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			defer server.Close()
			p := point(t, server.URL)
			if got := look(t, probes.JSS{Client: p.Client, URL: p.URL}, patience); got != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
		})
	}
}
