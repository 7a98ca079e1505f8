package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/minikeeper/minikeeper"
)

// Handler serves target over HTTP as docs/keeper-api.md has it. It does not
// ask who is there: users and roles are for what stands before it.
func Handler(target minikeeper.Target, log *slog.Logger) http.Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	a := api{target: target, log: log}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathPlan, a.plan)
	mux.HandleFunc("POST "+pathDo, a.do)
	mux.HandleFunc("GET "+pathRunning, a.running)
	mux.HandleFunc("POST "+pathCollect, a.collect)
	return mux
}

type api struct {
	target minikeeper.Target
	log    *slog.Logger
}

func (a api) plan(w http.ResponseWriter, r *http.Request) {
	var order minikeeper.Order
	if err := readRequest(w, r, &order); err != nil {
		a.fail(w, r, err)
		return
	}
	plan, err := a.target.Plan(r.Context(), order)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.reply(w, r, http.StatusOK, plan)
}

func (a api) do(w http.ResponseWriter, r *http.Request) {
	var req doRequest
	if err := readRequest(w, r, &req); err != nil {
		a.fail(w, r, err)
		return
	}
	wait := maxWait
	if req.WaitSeconds > 0 && req.WaitSeconds < int(maxWait/time.Second) {
		wait = time.Duration(req.WaitSeconds) * time.Second
	}
	ctx, cancel := context.WithTimeoutCause(r.Context(), wait, errStillRuns)
	defer cancel()
	result, err := a.target.Do(ctx, req.Order, req.Step)
	switch {
	case err != nil && errors.Is(context.Cause(ctx), errStillRuns):
		a.reply(w, r, http.StatusAccepted, runningReply{Run: req.Order.Run})
	case err != nil:
		a.fail(w, r, err)
	default:
		a.reply(w, r, http.StatusOK, result)
	}
}

// errStillRuns ends the waiting for a step, not the step.
var errStillRuns = errors.New("the step still runs")

func (a api) running(w http.ResponseWriter, r *http.Request) {
	run, err := a.target.Running(r.Context())
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.reply(w, r, http.StatusOK, runningReply{Run: run})
}

func (a api) collect(w http.ResponseWriter, r *http.Request) {
	var req collectRequest
	if err := readRequest(w, r, &req); err != nil {
		a.fail(w, r, err)
		return
	}
	measured, err := a.target.Collect(r.Context(), req.Collectors...)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.reply(w, r, http.StatusOK, collectReply{Measurements: measured})
}

// fail answers with err. Only a refusal is the asker's (4xx): it says that
// nothing was done. What is not known is the server's (5xx).
func (a api) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	if bad, ok := errors.AsType[badRequest](err); ok {
		status = bad.status
	} else if _, ok := errors.AsType[Refused](err); ok {
		status = http.StatusConflict
	}
	a.log.Info("request failed", "path", r.URL.Path, "status", status, "error", err)
	a.reply(w, r, status, errorReply{Error: err.Error()})
}

func (a api) reply(w http.ResponseWriter, r *http.Request, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if _, err := w.Write(append(data, '\n')); err != nil {
		a.log.Debug("answer not sent", "path", r.URL.Path, "error", err)
	}
}
