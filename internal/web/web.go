// Package web draws the status page: what is wrong, what is being done about
// it, and what minikeeper does not know. It renders a View and nothing else:
// it asks no server, judges nothing, and can start nothing. The buttons on it
// call the API like any other client, with the token that their user has.
package web

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/minikeeper/minikeeper"
)

//go:embed assets page.html.tmpl
var files embed.FS

// A View is what the page shows.
type View struct {
	Server  string // who shows it
	Version string
	Now     time.Time
	Hub     bool // it judges and repairs; a keeper only reads its machine

	Sites      []Site
	Alerts     []minikeeper.Alert // pending and firing
	Unsure     []string           // names of rules that could not be evaluated
	Runs       []minikeeper.Run   // newest first
	Collectors []Collector        // of this process
	Faults     []Fault            // what the demo can break; empty elsewhere
	Problems   []string           // what could not be shown, and why
}

// A Site is one card of the page.
type Site struct {
	Name    string
	Servers []Server
}

// A Server is one machine on its site's card.
type Server struct {
	Name     string
	Partners []string
	Health   Health
	Alerts   []minikeeper.Alert
}

// Health is what is known of a server.
type Health string

// The healths of a server.
const (
	Well    Health = "well"    // its keeper answers and nothing fires
	Unwell  Health = "unwell"  // something fires
	Down    Health = "down"    // its keeper does not answer
	Unknown Health = "unknown" // nobody has asked it yet
)

// A Collector is the state of one collector of this process.
type Collector struct {
	Name    string
	OK      bool
	Error   string
	Success time.Time // zero if never
}

// A Fault is something that the demo can break.
type Fault struct{ Name, Title string }

// Awaiting returns the runs that wait for a person.
func (v View) Awaiting() []minikeeper.Run {
	return slices.DeleteFunc(slices.Clone(v.Runs), func(r minikeeper.Run) bool {
		return r.State != minikeeper.RunAwaitingApproval
	})
}

// Quiet tells whether nothing needs to be said.
func (v View) Quiet() bool { return len(v.Alerts) == 0 && len(v.Unsure) == 0 && len(v.Problems) == 0 }

// Handler serves the page at / and its assets at /assets/. look gives what to
// show; the page asks again every two seconds.
func Handler(look func(context.Context) View, log *slog.Logger) (http.Handler, error) {
	page, err := template.New("page.html.tmpl").Funcs(functions()).ParseFS(files, "page.html.tmpl")
	if err != nil {
		return nil, fmt.Errorf("parse page: %w", err)
	}
	assets, err := fs.Sub(files, "assets")
	if err != nil {
		return nil, fmt.Errorf("open assets: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /assets/", secure(http.StripPrefix("/assets/", http.FileServerFS(assets))))
	mux.Handle("GET /{$}", secure(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var buf bytes.Buffer
		if err := page.Execute(&buf, look(r.Context())); err != nil {
			log.ErrorContext(r.Context(), "cannot draw the page", "err", err)
			http.Error(w, "the page cannot be drawn; the log says why", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = buf.WriteTo(w) // an error means that the browser went away: nobody is left to tell
	})))
	return mux, nil
}

// secure lets the page load nothing but itself, and nobody frame it.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

func functions() template.FuncMap {
	return template.FuncMap{
		"clock": func(t time.Time) string {
			if t.IsZero() {
				return "never"
			}
			return t.Local().Format("2006-01-02 15:04:05")
		},
		"lasted": func(from, to time.Time) string {
			if from.IsZero() || to.IsZero() {
				return ""
			}
			return to.Sub(from).Round(100 * time.Millisecond).String()
		},
		"labels": labels,
	}
}

// labels lists the labels of an alert that say what it is about.
func labels(a minikeeper.Alert) string {
	var pairs []string
	for name, value := range a.Labels {
		switch name {
		case "alertname", "severity", "site", "server", "job", "instance":
		default:
			pairs = append(pairs, name+"="+value)
		}
	}
	slices.SortFunc(pairs, cmp.Compare[string])
	var b bytes.Buffer
	for i, pair := range pairs {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(pair)
	}
	return b.String()
}
