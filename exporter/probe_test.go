package exporter_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/exporter"
)

// probed is a source that tells how long it may take.
type probed struct{ err error }

func (probed) Families() []minikeeper.Family {
	return []minikeeper.Family{{Name: "probe_success", Help: "h.", Type: minikeeper.Gauge}, {Name: "probe_patience", Help: "h.", Type: minikeeper.Gauge}}
}

func (p probed) Collect(ctx context.Context) ([]minikeeper.Sample, error) {
	end, _ := ctx.Deadline()
	return []minikeeper.Sample{
		{Name: "probe_success", Value: 1},
		{Name: "probe_patience", Value: time.Until(end).Round(time.Second / 2).Seconds()},
	}, p.err
}

func TestProbeHandler(t *testing.T) {
	h := exporter.ProbeHandler(func(module, target string) (exporter.Source, error) {
		if module != "tcp" || target == "" {
			return nil, errors.New(`unknown module "` + module + `" (have tcp)`)
		}
		if target == "broken" {
			return probed{errors.New("it\nbroke")}, nil
		}
		return probed{}, nil
	}, slog.New(slog.DiscardHandler))
	tests := []struct {
		name, method, query string
		status              int
		want                string
	}{
		{"a probe", http.MethodGet, "?module=tcp&target=a:1", 200, "probe_patience 4.5\n"},
		{"its answer", http.MethodGet, "?module=tcp&target=a:1", 200, "probe_success 1\n"},
		{"an unknown module", http.MethodGet, "?module=icmp&target=a", 400, `unknown module "icmp" (have tcp)`},
		{"no module", http.MethodGet, "?target=a", 400, `unknown module ""`},
		{"a probe that fails itself", http.MethodGet, "?module=tcp&target=broken", 500, "probe: it; broke"},
		{"another method", http.MethodPost, "?module=tcp&target=a:1", 405, "use GET or HEAD"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), tt.method, "/probe"+tt.query, nil)
			r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "5")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
				t.Errorf("status %d, want %d; body %s, want %s", w.Code, tt.status, w.Body, tt.want)
			}
		})
	}
}
