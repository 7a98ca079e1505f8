package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/exporter"
	"github.com/minikeeper/minikeeper/internal/access"
	"github.com/minikeeper/minikeeper/internal/api"
	"github.com/minikeeper/minikeeper/internal/keeper"
	"github.com/minikeeper/minikeeper/internal/web"
	"github.com/minikeeper/minikeeper/remediate"
)

// allRoutes are the routes beside those that every exporter has.
func (d *daemon) allRoutes() ([]exporter.Route, error) {
	page, err := web.Handler(d.view, d.log)
	if err != nil {
		return nil, err
	}
	orders := keeper.Handler(d.keeper, d.log)
	routes := append([]exporter.Route{
		{Pattern: "GET /{$}", Role: access.View, Handler: page},
		{Pattern: "GET /assets/", Role: access.View, Handler: page},
		{Pattern: "/api/v1/actions/", Role: access.Operate, Handler: orders, Stream: true},
		{Pattern: "/api/v1/collect", Role: access.Operate, Handler: orders, Stream: true},
		d.probeRoute(),
	}, d.routes...)
	if d.snmp != nil {
		routes = append(routes, snmpRoute(d.snmp, d.log))
	}
	if d.hub == nil {
		return routes, nil
	}
	for _, r := range api.Routes(d.hub.engine, d.hub.journal) {
		routes = append(routes, exporter.Route{Pattern: r.Pattern, Role: r.Role, Handler: r.Handler})
	}
	query := http.StripPrefix("/query", d.hub.store.Handler(buildVersion()))
	return append(routes, exporter.Route{Pattern: "/query/", Role: access.View, Handler: query}), nil
}

// shownRuns is how many runs the page shows.
const shownRuns = 30

// view is what the page shows at the moment.
func (d *daemon) view(ctx context.Context) web.View {
	cfg := d.cfg.Load()
	v := web.View{Server: cfg.Server, Version: buildVersion(), Now: time.Now(), Faults: d.faults}
	for _, c := range d.exporter.Load().Health() {
		v.Collectors = append(v.Collectors, web.Collector{Name: c.Name, OK: c.OK, Error: c.Error, Success: c.LastSuccess})
	}
	if d.hub != nil {
		v.Hub = true
		d.hub.show(ctx, &v)
	}
	return v
}

// show adds what the hub knows to v. What it cannot find out is a problem on
// the page, and hides nothing else.
func (h *hub) show(ctx context.Context, v *web.View) {
	alerts, unsure, err := h.store.Snapshot(ctx)
	if err != nil {
		v.Problems = append(v.Problems, fmt.Sprintf("alerts: %v", err))
	}
	v.Alerts = slices.DeleteFunc(alerts, func(a minikeeper.Alert) bool { return a.Labels["severity"] == "none" })
	slices.SortFunc(v.Alerts, func(a, b minikeeper.Alert) int { return strings.Compare(a.Key(), b.Key()) })
	v.Unsure = slices.Sorted(maps.Keys(unsure))
	err = h.journal.Read(ctx, func(r remediate.Reader) error {
		runs, err := r.Runs(remediate.Query{Limit: shownRuns})
		for _, run := range runs {
			v.Runs = append(v.Runs, run.Run)
		}
		return err
	})
	if err != nil {
		v.Problems = append(v.Problems, fmt.Sprintf("repairs: %v", err))
	}
	up, err := h.keepersUp(ctx)
	if err != nil {
		v.Problems = append(v.Problems, fmt.Sprintf("which servers are up: %v", err))
	}
	for _, site := range h.fleet.Load().Sites() {
		v.Sites = append(v.Sites, showSite(site, v.Alerts, up))
	}
}

// keepersUp tells of each scraped server whether its keeper answers.
func (h *hub) keepersUp(ctx context.Context) (map[string]bool, error) {
	samples, err := h.store.Latest(ctx, `up{job="minikeeper"}`)
	if err != nil {
		return nil, err
	}
	up := make(map[string]bool, len(samples))
	for _, s := range samples {
		up[s.Label("server")] = s.Value == 1
	}
	return up, nil
}

func showSite(site minikeeper.Site, alerts []minikeeper.Alert, up map[string]bool) web.Site {
	shown := web.Site{Name: site.Name}
	for _, s := range site.Servers {
		server := web.Server{Name: s.Name, Partners: s.Partners, Health: web.Unknown}
		for _, a := range alerts {
			if a.Labels["server"] == s.Name {
				server.Alerts = append(server.Alerts, a)
			}
		}
		switch answers, asked := up[s.Name]; {
		case !asked:
		case !answers:
			server.Health = web.Down
		case len(server.Alerts) > 0:
			server.Health = web.Unwell
		default:
			server.Health = web.Well
		}
		shown.Servers = append(shown.Servers, server)
	}
	return shown
}
