package exporter

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/minikeeper/minikeeper/internal/access"
)

// ProbeHandler serves /probe?module=NAME&target=TARGET in the way of
// blackbox_exporter: each request looks at one target, and the answer has what
// was seen. find returns a source that looks at target in the way of module;
// its error says what is wrong with the request.
func ProbeHandler(find func(module, target string) (Source, error), log *slog.Logger) http.Handler {
	errorLog := slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	return readOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		source, err := find(query.Get("module"), query.Get("target"))
		if err != nil {
			access.Error(w, r, http.StatusBadRequest, err.Error())
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), patience(r.Header))
		defer cancel()
		families, err := once(ctx, source)
		if err != nil {
			access.Error(w, r, http.StatusInternalServerError, oneLine(err))
			return
		}
		gather := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })
		promhttp.HandlerFor(gather, promhttp.HandlerOpts{ErrorLog: errorLog, EnableOpenMetrics: true}).ServeHTTP(w, r)
	}))
}

// once reads source now.
func once(ctx context.Context, source Source) ([]*dto.MetricFamily, error) {
	declared, err := declare(nil, map[string]Entry{"probe": {Source: source}})
	if err != nil {
		return nil, err
	}
	samples, err := source.Collect(ctx)
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	read := build(declared.families["probe"], nil, samples)
	return read.families, read.problem
}
