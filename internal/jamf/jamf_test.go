package jamf_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/minikeeper/minikeeper/internal/jamf"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// server is a simulated Jamf Pro server. Its records lie in testdata, written
// in the shape that the classic API has.
type server struct {
	xml      bool              // speaks XML, whatever is accepted
	old      bool              // knows no tokens and no present API
	noAPI    bool              // knows tokens but not the present API
	edited   int               // the record with this id fails, as edited ones do
	override map[string]string // by path, a body instead

	tokens atomic.Int64 // that are out
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, basic := r.BasicAuth()
	basic = basic && user == "reader" && password == "secret"
	bearer := r.Header.Get("Authorization") == "Bearer t0ken"
	if body, ok := s.override[r.URL.Path]; ok && !strings.HasPrefix(r.URL.Path, "/api/v1/auth") {
		fmt.Fprint(w, body)
		return
	}
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, "/api/") && s.old:
		http.NotFound(w, r)
	case path == "/api/v1/auth/token" && !basic, path != "/api/v1/auth/token" && !bearer && (!s.old || !basic):
		w.WriteHeader(http.StatusUnauthorized)
	case path == "/api/v1/auth/token":
		s.tokens.Add(1)
		fmt.Fprint(w, `{"token":"t0ken","expires":"2026-01-01T00:00:00Z"}`)
	case path == "/api/v1/auth/invalidate-token":
		s.tokens.Add(-1)
		w.WriteHeader(http.StatusNoContent)
	case path == "/api/v1/distribution-points" && s.noAPI:
		http.NotFound(w, r)
	case path == "/api/v1/distribution-points":
		s.page(w, r)
	case s.edited > 0 && path == fmt.Sprintf("/JSSResource/distributionpoints/id/%d", s.edited):
		w.WriteHeader(http.StatusInternalServerError)
	case strings.HasPrefix(path, "/JSSResource/"):
		s.classic(w, r, strings.TrimPrefix(path, "/JSSResource/"))
	default:
		http.NotFound(w, r)
	}
}

// page serves the records one to a page.
func (s *server) page(w http.ResponseWriter, r *http.Request) {
	var all []json.RawMessage
	body, err := os.ReadFile("testdata/api-distribution-points.json")
	if err != nil || json.Unmarshal(body, &all) != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	var page int
	_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
	shown := all[min(page, len(all)):min(page+1, len(all))]
	_ = json.NewEncoder(w).Encode(map[string]any{"totalCount": len(all), "results": shown})
}

func (s *server) classic(w http.ResponseWriter, r *http.Request, resource string) {
	kind := "json"
	if s.xml || !strings.Contains(r.Header.Get("Accept"), "json") {
		kind = "xml"
	}
	w.Header().Set("Content-Type", "application/"+kind)
	http.ServeFile(w, r, filepath.Join("testdata", filepath.FromSlash(strings.ReplaceAll(resource, "/id/", "-"))+"."+kind))
}

func client(t testing.TB, s *server) *jamf.Client {
	t.Helper()
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	u, err := url.Parse(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &jamf.Client{HTTP: web.Client(), URL: u, User: "reader", Password: func() (string, error) { return "secret", nil }}
}

// collect shows what a source says of s.
func collect(t testing.TB, s *server) string {
	t.Helper()
	samples, err := jamf.Source{Client: client(t, s)}.Collect(t.Context())
	var b strings.Builder
	for _, sample := range samples {
		fmt.Fprintln(&b, sample)
	}
	if err != nil {
		fmt.Fprintln(&b, "error:", err)
	}
	if n := s.tokens.Load(); n != 0 {
		t.Errorf("%d tokens are left", n)
	}
	return b.String()
}

func TestCollect(t *testing.T) {
	tests := []struct {
		name   string // testdata/NAME.golden
		server *server
	}{
		{"present-api", &server{}},
		{"classic-json", &server{noAPI: true}},
		{"classic-xml", &server{noAPI: true, xml: true}},
		{"old-without-tokens", &server{old: true, xml: true}},
		{"edited-record", &server{noAPI: true, edited: 2}},
		{"login-page", &server{override: map[string]string{"/JSSResource/networksegments": "<!DOCTYPE html><html></html>"}}},
		{"fewer-than-announced", &server{override: map[string]string{"/api/v1/distribution-points": `{"totalCount":3,"results":[]}`}}},
		{"segment-without-end", &server{override: map[string]string{"/JSSResource/networksegments/id/3": `{"network_segment":{"id":3,"name":"x","starting_address":"10.0.0.1"}}`}}},
		{"nothing-there", &server{xml: true, noAPI: true, override: map[string]string{
			"/JSSResource/networksegments":    "<network_segments><size>0</size></network_segments>",
			"/JSSResource/distributionpoints": "<distribution_points><size>0</size></distribution_points>",
		}}},
		{"wrong-list", &server{noAPI: true, override: map[string]string{
			"/JSSResource/networksegments":    "<computers><size>0</size></computers>",
			"/JSSResource/distributionpoints": `{"computers":[]}`,
		}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			testkit.Golden(t, filepath.Join("testdata", tt.name+".golden"), collect(t, tt.server))
		})
	}
}

func TestWrongPassword(t *testing.T) {
	c := client(t, &server{})
	c.Password = func() (string, error) { return "wrong", nil }
	samples, err := jamf.Source{Client: c}.Collect(t.Context())
	if len(samples) > 0 || err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("got %v, %v", samples, err)
	}
	c.Password = func() (string, error) { return "", os.ErrNotExist }
	if _, err := c.Inventory(t.Context()); err == nil {
		t.Error("a password that is missing is no error")
	}
}

// What is declared is all that is said, and the other way round.
func TestFamilies(t *testing.T) {
	said := collect(t, &server{})
	for _, f := range jamf.Families() {
		if !strings.Contains(said, f.Name+"{") {
			t.Errorf("nothing says %s", f.Name)
		}
	}
}

// TestLocate has the example of Jamf's guide: of equally wide segments that
// with the lower start.
func TestLocate(t *testing.T) {
	for name, s := range map[string]*server{"json": {}, "xml": {xml: true}} {
		v, err := client(t, s).Inventory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tests := []struct{ ip, segment, point, failover string }{
			{"10.20.3.5", "Third Floor, West", "Paris DP", "London DP"},
			{"10.20.3.200", "Third Floor, East", "London DP", "New York DP"},
			{"10.20.200.1", "London", "London DP", "New York DP"},
			{"8.8.8.8", "Everywhere", "New York DP", jamf.Cloud},
		}
		for _, tt := range tests {
			segment, ok := v.Locate(netip.MustParseAddr(tt.ip))
			point, _, found := v.Serving(segment)
			if !ok || !found || segment.Name != tt.segment || point.Name != tt.point || point.Failover != tt.failover && name == "json" {
				t.Errorf("%s: %s is in %q, served by %q and %q", name, tt.ip, segment.Name, point.Name, point.Failover)
			}
		}
		if _, ok := v.Locate(netip.MustParseAddr("fd00::1")); ok {
			t.Errorf("%s: an address of version 6 is in a segment", name)
		}
	}
}
