package exporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/exporter-toolkit/web"

	"github.com/minikeeper/minikeeper/internal/access"
)

// Bounds of the server. A handler that streams lifts the two for a whole
// request; see Route.Stream.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 2 * time.Minute
	idleTimeout       = 2 * time.Minute
	shutdownTimeout   = 10 * time.Second

	maxHeader       = 64 << 10
	defaultMaxBody  = 1 << 20
	defaultInFlight = 32
	metricsInFlight = 16
)

// A Route is a part of the HTTP interface.
type Route struct {
	Pattern string      // as http.ServeMux has it
	Role    access.Role // what a caller needs
	Handler http.Handler

	MaxBody  int64 // bytes of the request's body; 0: 1 MiB
	InFlight int   // requests at once, more get 503; 0: 32
	Stream   bool  // may take longer than the server's timeouts allow
}

// A Check is a reason to be ready.
type Check struct {
	Name  string
	Ready func(context.Context) error // nil once it is
}

// ServerOptions describe a Server.
type ServerOptions struct {
	Listen    string // ADDRESS:PORT; port 0 has the system choose
	WebConfig string // exporter-toolkit's file; "" for plain HTTP
	Access    *access.Guard
	Metrics   http.Handler                // serves /metrics
	Routes    []Route                     // all others
	Ready     []Check                     // what /-/ready asks
	Reload    func(context.Context) error // what POST /-/reload does; nil: there is no such route
	Log       *slog.Logger
}

// A Server serves HTTP, or HTTPS where web_config says so.
type Server struct {
	options  ServerOptions
	http     *http.Server
	listener net.Listener
}

// NewServer checks o and returns a Server that does not listen yet. The
// errors are those of web_config and of patterns.
func NewServer(o ServerOptions) (*Server, error) {
	if err := web.Validate(o.WebConfig); err != nil {
		return nil, fmt.Errorf("read web_config %s: %w", o.WebConfig, err)
	}
	mux := http.NewServeMux()
	for _, route := range append(builtin(o), o.Routes...) {
		if err := handle(mux, o.Access, route); err != nil {
			return nil, err
		}
	}
	return &Server{options: o, http: &http.Server{
		Handler:           secure(mux),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}}, nil
}

// Listen opens the address and returns the one that was chosen. Requests wait
// until Run.
func (s *Server) Listen(ctx context.Context) (net.Addr, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.options.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s.listener = listener
	return listener.Addr(), nil
}

// Run serves until ctx ends, and then lets requests finish for a while. It
// listens first if Listen was not called.
func (s *Server) Run(ctx context.Context) error {
	if s.listener == nil {
		if _, err := s.Listen(ctx); err != nil {
			return err
		}
	}
	// The context of requests outlives ctx: those under way may finish.
	s.http.BaseContext = func(net.Listener) context.Context { return context.WithoutCancel(ctx) }
	served := make(chan error, 1)
	go func() {
		flags := &web.FlagConfig{WebConfigFile: &s.options.WebConfig}
		served <- web.Serve(s.listener, s.http, flags, s.options.Log)
	}()
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("serve HTTP: %w", err), s.listener.Close())
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := s.http.Shutdown(patience); err != nil {
		return errors.Join(fmt.Errorf("stop serving HTTP: %w", err), s.http.Close())
	}
	return nil
}

// handle adds route to mux behind its limits and its role.
func handle(mux *http.ServeMux, guard *access.Guard, route Route) (err error) {
	defer func() { // ServeMux knows no other way to refuse a pattern
		if p := recover(); p != nil {
			err = fmt.Errorf("route %s: %v", route.Pattern, p)
		}
	}()
	h := limit(route)
	h = guard.Middleware(route.Role, h)
	mux.Handle(route.Pattern, h)
	return nil
}

// limit bounds what requests to route may take.
func limit(route Route) http.Handler {
	maxBody, inFlight := route.MaxBody, route.InFlight
	if maxBody == 0 {
		maxBody = defaultMaxBody
	}
	if inFlight == 0 {
		inFlight = defaultInFlight
	}
	slots := make(chan struct{}, inFlight)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			w.Header().Set("Retry-After", "1")
			access.Error(w, r, http.StatusServiceUnavailable, "too many requests at once, try again later")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if route.Stream {
			c := http.NewResponseController(w)
			if err := errors.Join(c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Time{})); err != nil {
				access.Error(w, r, http.StatusInternalServerError, "this connection cannot stream")
				return
			}
		}
		route.Handler.ServeHTTP(w, r)
	})
}

// secure adds the headers that every answer has, unless web_config set them.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if h.Get("X-Content-Type-Options") == "" {
			h.Set("X-Content-Type-Options", "nosniff")
		}
		if h.Get("X-Frame-Options") == "" {
			h.Set("X-Frame-Options", "deny")
		}
		h.Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
