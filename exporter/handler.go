package exporter

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/minikeeper/minikeeper/internal/access"
)

const (
	// timeoutHeader is how Prometheus tells how long it waits, in seconds.
	timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

	// timeoutOffset is left for encoding and the way back, as blackbox_exporter
	// has it.
	timeoutOffset = 500 * time.Millisecond
)

// Handler serves /metrics of the Exporter that get returns at the moment, so
// that a reload can put another in its place. The format is what the client
// accepts: text, OpenMetrics or protobuf, compressed where it likes.
//
// The parameter collect[]=NAME, which may be repeated, asks for the metrics of
// these collectors only; name[]=METRIC for these metrics only.
func Handler(get func() *Exporter, log *slog.Logger) http.Handler {
	errorLog := slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := get()
		names := r.URL.Query()["collect[]"]
		tasks, err := e.pick(names)
		if err != nil {
			access.Error(w, r, http.StatusBadRequest, err.Error())
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), patience(r.Header))
		defer cancel()
		gather := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
			e.refresh(ctx, tasks)
			return e.families(tasks, len(names) == 0), nil
		})
		promhttp.HandlerFor(gather, promhttp.HandlerOpts{
			ErrorLog:          errorLog,
			ErrorHandling:     promhttp.ContinueOnError,
			EnableOpenMetrics: true,
		}).ServeHTTP(w, r)
	})
}

// patience is how long the sources may take during one scrape.
func patience(h http.Header) time.Duration {
	seconds, err := strconv.ParseFloat(h.Get(timeoutHeader), 64)
	if err != nil || !(seconds > 0 && seconds < 3600) {
		return scrapePatience
	}
	told := time.Duration(seconds * float64(time.Second))
	return max(told-timeoutOffset, told/2)
}
