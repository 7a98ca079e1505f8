package exporter

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper/internal/access"
)

// readyTimeout bounds each check of /-/ready.
const readyTimeout = 2 * time.Second

// builtin returns the routes that every process has.
func builtin(o ServerOptions) []Route {
	routes := []Route{
		{Pattern: "/metrics", Role: access.Scrape, Handler: readOnly(o.Metrics), InFlight: metricsInFlight},
		{Pattern: "/-/healthy", Role: access.Open, Handler: readOnly(http.HandlerFunc(healthy))},
		{Pattern: "/-/ready", Role: access.Open, Handler: readOnly(ready(o.Ready))},
	}
	if o.Reload != nil {
		routes = append(routes, Route{Pattern: "/-/reload", Role: access.Operate, Handler: reload(o.Reload), InFlight: 2})
	}
	return routes
}

// readOnly refuses all methods but GET and HEAD.
func readOnly(next http.Handler) http.Handler {
	return methods(next, http.MethodGet, http.MethodHead)
}

func methods(next http.Handler, allowed ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(allowed, r.Method) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		access.Error(w, r, http.StatusMethodNotAllowed, "use "+strings.Join(allowed, " or "))
	})
}

func healthy(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, "minikeeper is healthy.\n")
}

// ready answers 503 with a line for each check that does not pass.
func ready(checks []Check) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var missing strings.Builder
		for _, c := range checks {
			ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
			err := c.Ready(ctx)
			cancel()
			if err != nil {
				fmt.Fprintf(&missing, "%s: %v\n", c.Name, err)
			}
		}
		if missing.Len() > 0 {
			answer(w, http.StatusServiceUnavailable, "minikeeper is not ready.\n"+missing.String())
			return
		}
		answer(w, http.StatusOK, "minikeeper is ready.\n")
	}
}

// reload answers once the new configuration is in use, or says why it is not.
func reload(do func(context.Context) error) http.Handler {
	return methods(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := do(r.Context()); err != nil {
			access.Error(w, r, http.StatusInternalServerError, "the old configuration stays in use: "+err.Error())
			return
		}
		answer(w, http.StatusOK, "reloaded\n")
	}), http.MethodPost, http.MethodPut)
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// The status line is out, so a failing write has nobody to tell.
	_, _ = io.WriteString(w, text)
}
