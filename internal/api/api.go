// Package api is the runner over HTTP, for the command line, the status page
// and scripts: what runs there were, and what people decide about them. It
// decides nothing itself: the engine does, and the caller's role is checked
// before a request gets here.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/access"
	"github.com/minikeeper/minikeeper/remediate"
)

// An Engine is what people may ask of the runner. remediate.Engine is one.
type Engine interface {
	Start(ctx context.Context, remedy string, labels map[string]string, who string) (remediate.Record, error)
	Preview(ctx context.Context, remedy string, labels map[string]string, who string) (remediate.Preview, error)
	Approve(ctx context.Context, run, planHash, who string) error
	Deny(ctx context.Context, run, who string) error
	Close(ctx context.Context, run, who string) error
	Pause(ctx context.Context, scope remediate.PauseScope, name, reason, who string) error
	Resume(ctx context.Context, scope remediate.PauseScope, name, who string) error
}

// A Reader reads the journal.
type Reader interface {
	Read(ctx context.Context, fn func(remediate.Reader) error) error
}

// A Route is a part of the interface, and the role that a caller needs.
type Route struct {
	Pattern string
	Role    access.Role
	Handler http.Handler
}

// Paths of the interface. A run's id stands where {run} is.
const (
	PathRuns    = "/api/v1/runs"
	PathPreview = "/api/v1/preview"
	PathPauses  = "/api/v1/pauses"
)

// An Ask names a remedy and the labels of the alert that it is for.
type Ask struct {
	Remedy string            `json:"remedy"`
	Labels map[string]string `json:"labels"`
}

// An Approval names the plan that was seen by who approves.
type Approval struct {
	PlanHash string `json:"plan_hash"`
}

// A Pause says what is paused or resumed.
type Pause struct {
	Scope  remediate.PauseScope `json:"scope"`
	Name   string               `json:"name,omitempty"`
	Reason string               `json:"reason,omitempty"`
}

// Routes returns the interface of engine, with the runs that journal holds.
func Routes(engine Engine, journal Reader) []Route {
	h := handler{engine, journal}
	route := func(pattern string, role access.Role, serve func(http.ResponseWriter, *http.Request) error) Route {
		return Route{pattern, role, answer(serve)}
	}
	return []Route{
		route("GET "+PathRuns, access.View, h.runs),
		route("GET "+PathRuns+"/{run}", access.View, h.run),
		route("POST "+PathPreview, access.View, h.preview),
		route("POST "+PathRuns, access.Operate, h.start),
		route("POST "+PathRuns+"/{run}/close", access.Operate, h.close),
		route("POST "+PathPauses, access.Operate, h.pause),
		route("DELETE "+PathPauses, access.Operate, h.resume),
		route("POST "+PathRuns+"/{run}/approve", access.Approve, h.approve),
		route("POST "+PathRuns+"/{run}/deny", access.Approve, h.deny),
	}
}

type handler struct {
	engine  Engine
	journal Reader
}

func (h handler) runs(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r)
	if err != nil {
		return err
	}
	runs := []remediate.Record{} // none is a list, too
	err = h.journal.Read(r.Context(), func(j remediate.Reader) error {
		found, err := j.Runs(q)
		runs = append(runs, found...)
		return err
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, runs)
}

// query reads what runs are asked for: remedy, server, state, since (RFC 3339)
// and limit.
func query(r *http.Request) (remediate.Query, error) {
	v := r.URL.Query()
	q := remediate.Query{
		Remedy: v.Get("remedy"), Server: v.Get("server"),
		State: minikeeper.RunState(v.Get("state")), Limit: 100,
	}
	if since := v.Get("since"); since != "" {
		at, err := time.Parse(time.RFC3339, since)
		if err != nil {
			return q, badRequest{fmt.Errorf("since wants a time such as 2026-11-22T08:00:00Z, not %q", since)}
		}
		q.Since = at
	}
	if limit := v.Get("limit"); limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 || n > 1000 {
			return q, badRequest{fmt.Errorf("limit wants a number from 1 to 1000, not %q", limit)}
		}
		q.Limit = n
	}
	return q, nil
}

func (h handler) run(w http.ResponseWriter, r *http.Request) error {
	var run remediate.Record
	err := h.journal.Read(r.Context(), func(j remediate.Reader) (err error) {
		run, err = j.Run(r.PathValue("run"))
		return err
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, run)
}

func (h handler) preview(w http.ResponseWriter, r *http.Request) error {
	var ask Ask
	if err := read(r, &ask); err != nil {
		return err
	}
	preview, err := h.engine.Preview(r.Context(), ask.Remedy, ask.Labels, who(r))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, preview)
}

func (h handler) start(w http.ResponseWriter, r *http.Request) error {
	var ask Ask
	if err := read(r, &ask); err != nil {
		return err
	}
	run, err := h.engine.Start(r.Context(), ask.Remedy, ask.Labels, who(r))
	if err != nil {
		return err
	}
	return reply(w, http.StatusAccepted, run)
}

func (h handler) approve(w http.ResponseWriter, r *http.Request) error {
	var approval Approval
	if err := read(r, &approval); err != nil {
		return err
	}
	return done(w, h.engine.Approve(r.Context(), r.PathValue("run"), approval.PlanHash, who(r)))
}

func (h handler) deny(w http.ResponseWriter, r *http.Request) error {
	return done(w, h.engine.Deny(r.Context(), r.PathValue("run"), who(r)))
}

func (h handler) close(w http.ResponseWriter, r *http.Request) error {
	return done(w, h.engine.Close(r.Context(), r.PathValue("run"), who(r)))
}

func (h handler) pause(w http.ResponseWriter, r *http.Request) error {
	var p Pause
	if err := read(r, &p); err != nil {
		return err
	}
	return done(w, h.engine.Pause(r.Context(), p.Scope, p.Name, p.Reason, who(r)))
}

func (h handler) resume(w http.ResponseWriter, r *http.Request) error {
	var p Pause
	if err := read(r, &p); err != nil {
		return err
	}
	return done(w, h.engine.Resume(r.Context(), p.Scope, p.Name, who(r)))
}

// who is the name of the caller, for the audit chain.
func who(r *http.Request) string { return access.CallerFrom(r.Context()).String() }

// badRequest is an error that the caller can mend.
type badRequest struct{ error }

func (b badRequest) Unwrap() error { return b.error }

// read decodes the body of r, which must hold nothing that is not known.
func read(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return badRequest{fmt.Errorf("read request: %w", err)}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return badRequest{errors.New("read request: something follows the JSON object")}
	}
	return nil
}

func done(w http.ResponseWriter, err error) error {
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func reply(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller went away: nobody is left to tell
	return nil
}

// answer turns the error of serve into a status and a sentence.
func answer(serve func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := serve(w, r)
		if err == nil {
			return
		}
		status := http.StatusInternalServerError
		var bad badRequest
		switch {
		case errors.As(err, &bad), errors.Is(err, remediate.ErrScope):
			status = http.StatusBadRequest
		case errors.Is(err, remediate.ErrNoRun), errors.Is(err, remediate.ErrNoRemedy):
			status = http.StatusNotFound
		case isRefusal(err):
			status = http.StatusConflict
		}
		access.Error(w, r, status, err.Error())
	})
}

// isRefusal tells whether err is the runner's own no.
func isRefusal(err error) bool {
	_, refused := errors.AsType[*remediate.Refusal](err)
	return refused || errors.Is(err, remediate.ErrWrongPlan) || errors.Is(err, remediate.ErrNotNow)
}
