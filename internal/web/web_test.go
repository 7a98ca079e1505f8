package web_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/testkit"
	"github.com/minikeeper/minikeeper/internal/web"
)

// now is fixed and in UTC, so that golden files are the same everywhere.
func now() time.Time { return time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC) }

func busy() web.View {
	drift := minikeeper.Alert{
		Name:        "ReplicaDrift",
		Labels:      map[string]string{"alertname": "ReplicaDrift", "server": "lon-mini-2", "share": `<script>alert("x")</script>`},
		Annotations: map[string]string{"summary": "casper on lon-mini-2 differs from its origin"},
		State:       minikeeper.AlertFiring, ActiveAt: now().Add(-time.Minute),
	}
	return web.View{
		Server: "hub", Version: "test", Now: now(), Hub: true,
		Sites: []web.Site{{Name: "london", Servers: []web.Server{
			{Name: "lon-mini-1", Partners: []string{"lon-mini-2"}, Health: web.Well},
			{Name: "lon-mini-2", Partners: []string{"lon-mini-1"}, Health: web.Unwell, Alerts: []minikeeper.Alert{drift}},
		}}},
		Alerts: []minikeeper.Alert{drift},
		Unsure: []string{"MailRelayDown"},
		Runs: []minikeeper.Run{{
			ID: "r1", Remedy: "resync-drifted-replica", Server: "lon-mini-2", State: minikeeper.RunAwaitingApproval,
			Reason: "mode is propose", PlanHash: "abc", Created: now(),
			Plan: minikeeper.Plan{Steps: []minikeeper.Step{{Name: "resync casper", Op: "resync", Args: map[string]string{"share": "casper"}}}},
		}},
		Collectors: []web.Collector{{Name: "disk", OK: true, Success: now()}, {Name: "raid", Error: "no diskutil"}},
		Faults:     []web.Fault{{Name: "drift", Title: "damage a replica"}},
		Problems:   []string{"the store does not answer"},
	}
}

func TestPage(t *testing.T) {
	local := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = local })
	for name, view := range map[string]web.View{
		"busy":   busy(),
		"quiet":  {Server: "hub", Version: "test", Now: now(), Hub: true},
		"keeper": {Server: "lon-mini-1", Version: "test", Now: now()},
	} {
		t.Run(name, func(t *testing.T) {
			body := get(t, view, "/").Body.String()
			if strings.Contains(body, "<script>alert") {
				t.Error("a label became markup")
			}
			testkit.Golden(t, "testdata/"+name+".html", body)
		})
	}
}

func TestAssets(t *testing.T) {
	tests := []struct {
		path string
		code int
	}{
		{"/assets/page.css", http.StatusOK},
		{"/assets/page.js", http.StatusOK},
		{"/assets/icon.svg", http.StatusOK},
		{"/assets/../page.html.tmpl", http.StatusTemporaryRedirect},
		{"/elsewhere", http.StatusNotFound},
	}
	for _, tt := range tests {
		got := get(t, busy(), tt.path)
		if got.Code != tt.code {
			t.Errorf("%s: status %d, want %d", tt.path, got.Code, tt.code)
		}
	}
}

func handler(t *testing.T, v web.View) http.Handler {
	t.Helper()
	h, err := web.Handler(func(context.Context) web.View { return v }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(t *testing.T, v web.View, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	handler(t, v).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}
