package main

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/calendar"
	"github.com/minikeeper/minikeeper/internal/config"
	"github.com/minikeeper/minikeeper/internal/keeper"
	"github.com/minikeeper/minikeeper/internal/notify"
	"github.com/minikeeper/minikeeper/internal/topology"
	"github.com/minikeeper/minikeeper/remediate"
	"github.com/minikeeper/minikeeper/remediate/actions"
	"github.com/minikeeper/minikeeper/rules"
)

// newTopology is the topology of cfg, with the way to each server. local is
// this machine.
func newTopology(cfg *config.Config, local minikeeper.Target) (*topology.Topology, error) {
	sites := topologySites(cfg)
	if len(sites) == 0 { // a machine that watches itself
		sites = []topology.Site{{Servers: []string{cfg.Server}}}
	}
	t, err := topology.New(sites)
	if err != nil {
		return nil, err
	}
	if len(cfg.Sites) == 0 {
		return t.Reach(cfg.Server, local)
	}
	for _, s := range servers(cfg) {
		target, err := newTarget(s.Server, local)
		if err != nil {
			return nil, fmt.Errorf("server %q: %w", s.Name, err)
		}
		if target == nil {
			continue
		}
		if t, err = t.Reach(s.Name, target); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// newTarget is the way to s; nil if there is none.
func newTarget(s config.Server, local minikeeper.Target) (minikeeper.Target, error) {
	switch {
	case s.Local:
		return local, nil
	case s.Keeper != nil:
		transport, err := promconfig.NewRoundTripperFromConfig(*keeperHTTP(s.Keeper), "keeper")
		if err != nil {
			return nil, err
		}
		return keeper.NewClient(s.Keeper.URL, &http.Client{Transport: transport}, ""), nil
	default:
		return nil, nil
	}
}

// keeperHTTP holds the certificates and the token that a keeper wants to see.
// Their files are read again when they change.
func keeperHTTP(k *config.Keeper) *promconfig.HTTPClientConfig {
	c := promconfig.DefaultHTTPClientConfig
	c.FollowRedirects = false // they would carry the token somewhere else
	c.TLSConfig = promconfig.TLSConfig{CAFile: k.CAFile, CertFile: k.CertFile, KeyFile: k.KeyFile}
	if k.TokenFile != "" {
		c.Authorization = &promconfig.Authorization{Type: "Bearer", CredentialsFile: k.TokenFile}
	}
	return &c
}

// sited is a server and the name of its site.
type sited struct {
	config.Server
	site string
}

// servers lists the servers of all sites.
func servers(cfg *config.Config) []sited {
	var all []sited
	for _, site := range cfg.Sites {
		for _, s := range site.Servers {
			all = append(all, sited{s, site.Name})
		}
	}
	return all
}

// storeInputs says what is scraped, and by which rules it is judged. self
// serves the metrics of this process.
func storeInputs(cfg *config.Config, self http.Handler) (rules.Inputs, error) {
	in := rules.Inputs{
		ScrapeConfigs: cfg.Store.ScrapeConfigs.Text,
		Targets: []rules.ScrapeTarget{{
			Job: "minikeeper", Handler: self, Labels: map[string]string{"server": cfg.Server},
			Honor: cfg.Probes != nil, // they say whose services they saw; `labels` cannot say it then
		}},
	}
	for _, s := range servers(cfg) {
		switch {
		case s.Name == cfg.Server:
			in.Targets[0].Labels["site"] = s.site
		case s.Keeper != nil && cfg.Keepers == config.ScrapeKeepers:
			in.Targets = append(in.Targets, rules.ScrapeTarget{
				Job: "minikeeper", URL: s.Keeper.URL, HTTP: keeperHTTP(s.Keeper),
				Labels: map[string]string{"server": s.Name, "site": s.site},
			})
		}
	}
	patterns := slices.Clone(cfg.RuleFiles.Paths)
	if cfg.RuleFiles.Builtin {
		patterns = append(patterns, rules.Builtin)
	}
	if len(patterns) == 0 {
		return in, nil
	}
	var err error
	in.RuleFiles, err = rules.Files(cfg.Dir, patterns)
	return in, err
}

// knownToRemedies is what remedies may refer to.
func knownToRemedies(cfg *config.Config) remediate.Known {
	k := remediate.Known{
		Actions:   make(map[string]remediate.ActionInfo),
		Calendars: slices.Sorted(maps.Keys(cfg.Calendars)),
		CheckExpr: rules.CheckExpr,
	}
	for name, action := range actions.Builtin() {
		k.Actions[name] = remediate.ActionInfo{Check: action.Describe().Check}
	}
	return k
}

// shippedRemedies reads the remedy files that come with the program.
func shippedRemedies() ([]remediate.File, error) {
	shipped := rules.ShippedRemedies()
	names, err := fs.Glob(shipped, "*.yml")
	if err != nil {
		return nil, err
	}
	var files []remediate.File
	for _, name := range names {
		src, err := fs.ReadFile(shipped, name)
		if err != nil {
			return nil, err
		}
		files = append(files, remediate.File{Name: "builtin/" + name, Src: src})
	}
	return files, nil
}

// fleet is the topology that is in use.
type fleet struct {
	atomic.Pointer[topology.Topology]
}

// Server implements remediate.Fleet.
func (f *fleet) Server(name string) (minikeeper.Server, bool) { return f.Load().Server(name) }

// Target implements remediate.Fleet.
func (f *fleet) Target(name string) (minikeeper.Target, error) { return f.Load().Target(name) }

// calendars are those that are in use.
type calendars struct {
	atomic.Pointer[map[string]calendar.Calendar]
}

// Open implements remediate.Calendars.
func (c *calendars) Open(name string, at time.Time) (bool, error) {
	cal, ok := (*c.Load())[name]
	if !ok {
		return false, fmt.Errorf("there is no calendar %q", name)
	}
	return cal.Open(at), nil
}

// services tells from the samples whether a server serves.
type services struct{ store *rules.Store }

// Serves implements remediate.Services. Mail has to run on the server, and to
// answer clients where it is probed. Of a service that has no metric of its
// own it is asked that the server's keeper answers and that nothing pages
// about the server.
func (s services) Serves(ctx context.Context, server, service string) (bool, string, error) {
	expr := fmt.Sprintf(`(up{job="minikeeper",server=%[1]q} == 1) unless on (server) ALERTS{alertstate="firing",severity="page",server=%[1]q}`, server)
	if service == "smtp" {
		expr = fmt.Sprintf(`(minikeeper_postfix_up{server=%[1]q} == 1) and on (server) (up{job="minikeeper",server=%[1]q} == 1)`, server)
		fails, why, err := s.store.Holds(ctx, fmt.Sprintf(`minikeeper_probe_success{probe="smtp",server=%q} == 0`, server))
		if fails || err != nil {
			return false, "its clients are not served: " + why, err
		}
	}
	return s.store.Holds(ctx, expr)
}

// telling is a journal that wakes the notifier after each change.
type telling struct {
	remediate.Journal
	wake func()
}

// Update implements remediate.Journal.
func (t telling) Update(ctx context.Context, who string, fn func(remediate.Tx) error) error {
	err := t.Journal.Update(ctx, who, fn)
	if err == nil {
		t.wake()
	}
	return err
}

// notifying exports the metrics of the notifier that is in use.
type notifying struct {
	in *atomic.Pointer[notify.Notifier]
}

// Families implements exporter.Source.
func (n notifying) Families() []minikeeper.Family { return n.in.Load().Families() }

// Collect implements exporter.Source.
func (n notifying) Collect(ctx context.Context) ([]minikeeper.Sample, error) {
	return n.in.Load().Collect(ctx)
}
