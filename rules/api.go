package rules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/annotations"
)

// Handler answers Prometheus's query API on what is stored, at
// /api/v1/query, query_range, series, labels, label/NAME/values, metadata,
// rules, alerts, query_exemplars (always empty) and status/buildinfo, by GET
// and, where Prometheus has it, POST. It changes nothing, and leaves it to its
// caller who may ask. version is that of the program.
//
// Prometheus's own handler is not used: it links the remote write receiver and
// the OpenTelemetry collector, a hundred packages that are never called.
func (s *Store) Handler(version string) http.Handler {
	mux := http.NewServeMux()
	both := func(path string, answer answer) {
		mux.Handle("GET "+path, s.respond(answer))
		mux.Handle("POST "+path, s.respond(answer))
	}
	both("/api/v1/query", s.answerQuery)
	both("/api/v1/query_range", s.answerRange)
	both("/api/v1/series", s.answerSeries)
	both("/api/v1/labels", s.answerLabels)
	both("/api/v1/query_exemplars", answerExemplars)
	mux.Handle("GET /api/v1/label/{name}/values", s.respond(s.answerLabelValues))
	mux.Handle("GET /api/v1/metadata", s.respond(s.answerMetadata))
	mux.Handle("GET /api/v1/rules", s.respond(s.answerRules))
	mux.Handle("GET /api/v1/alerts", s.respond(s.answerAlerts))
	mux.Handle("GET /api/v1/status/buildinfo", s.respond(func(*http.Request) (any, annotations.Annotations, error) {
		return buildInfo(version), nil, nil
	}))
	return mux
}

// An answer is what one endpoint has to say: data that becomes JSON.
type answer func(*http.Request) (data any, warnings annotations.Annotations, err error)

// envelope is what every answer of the API is wrapped in.
type envelope struct {
	Status    string   `json:"status"`
	Data      any      `json:"data,omitempty"`
	ErrorType string   `json:"errorType,omitempty"`
	Error     string   `json:"error,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
	Infos     []string `json:"infos,omitempty"`
}

// badData is an error in what was asked.
type badData struct{ err error }

func (e badData) Error() string { return e.err.Error() }

func (e badData) Unwrap() error { return e.err }

const maxRequestBytes = 1 << 20

// respond wraps what a answers.
func (s *Store) respond(a answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxRequestBytes)
		if err := r.ParseForm(); err != nil {
			s.sendError(w, badData{err})
			return
		}
		data, warnings, err := s.inTurn(r, a)
		if err != nil {
			s.sendError(w, err)
			return
		}
		warn, infos := warnings.AsStrings(r.FormValue("query"), 10, 10)
		s.send(w, http.StatusOK, envelope{Status: "success", Data: data, Warnings: warn, Infos: infos})
	})
}

// inTurn has a answer once there are not too many answers being made.
func (s *Store) inTurn(r *http.Request, a answer) (any, annotations.Annotations, error) {
	select {
	case s.queries <- struct{}{}:
		defer func() { <-s.queries }()
		return a(r)
	case <-r.Context().Done():
		return nil, nil, r.Context().Err()
	}
}

func (s *Store) sendError(w http.ResponseWriter, err error) {
	status, kind := classify(err)
	s.send(w, status, envelope{Status: "error", ErrorType: kind, Error: err.Error()})
}

// classify gives an error the status and the name that Prometheus gives it.
func classify(err error) (status int, kind string) {
	const clientClosedRequest = 499
	if _, ok := errors.AsType[badData](err); ok {
		return http.StatusBadRequest, "bad_data"
	}
	if _, ok := errors.AsType[promql.ErrQueryTimeout](err); ok || errors.Is(err, context.DeadlineExceeded) {
		return http.StatusServiceUnavailable, "timeout"
	}
	if _, ok := errors.AsType[promql.ErrQueryCanceled](err); ok || errors.Is(err, context.Canceled) {
		return clientClosedRequest, "canceled"
	}
	if _, ok := errors.AsType[promql.ErrStorage](err); ok {
		return http.StatusInternalServerError, "internal"
	}
	return http.StatusUnprocessableEntity, "execution"
}

func (s *Store) send(w http.ResponseWriter, status int, e envelope) {
	body, err := json.Marshal(e)
	if err != nil {
		status = http.StatusInternalServerError
		body = fmt.Appendf(nil, `{"status":"error","errorType":"internal","error":%q}`, err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		s.opts.Log.Debug("client went away", "err", err)
	}
}

// buildInfo names the program and, in features of its version, the Prometheus
// whose language it speaks.
func buildInfo(version string) map[string]string {
	return map[string]string{
		"version":   version,
		"revision":  "",
		"branch":    "",
		"buildUser": "",
		"buildDate": "",
		"goVersion": runtime.Version(),
	}
}

func answerExemplars(*http.Request) (any, annotations.Annotations, error) {
	return []struct{}{}, nil, nil
}
