package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/exporter"
	"github.com/minikeeper/minikeeper/internal/access"
	"github.com/minikeeper/minikeeper/internal/config"
	"github.com/minikeeper/minikeeper/internal/keeper"
	"github.com/minikeeper/minikeeper/internal/snmp"
	"github.com/minikeeper/minikeeper/internal/web"
)

// A task runs until ctx ends. A ctx that ended is not an error to it.
type task struct {
	name string
	run  func(ctx context.Context) error
}

// options are what a daemon is told beside its configuration.
type options struct {
	log    *slog.Logger
	routes []exporter.Route // more than the configuration asks for
	faults []web.Fault      // buttons on the page
	hurry  bool             // look for evidence every second, and wait for nothing: for demonstrations
}

// daemon is one minikeeper process: a keeper of its own machine, and a hub too
// where the configuration has a store. What a reload may replace is behind an
// atomic pointer; all else lives as long as the daemon.
type daemon struct {
	options
	path     string // of the configuration file
	reloads  reloads
	replaced chan struct{} // the exporter was replaced

	cfg      atomic.Pointer[config.Config]
	exporter atomic.Pointer[exporter.Exporter]

	guard  *access.Guard
	keeper *keeper.Keeper
	snmp   *snmp.Scraper // nil where nothing is asked over SNMP
	hub    *hub          // nil without a store
	server *exporter.Server
	addr   net.Addr

	reloading sync.Mutex
}

// newDaemon puts a daemon together from the configuration file at path. It
// listens when newDaemon returns, and answers once it runs. Close ends it.
func newDaemon(ctx context.Context, path string, o options) (*daemon, error) {
	cfg, err := loadConfig(path)
	if err != nil {
		return nil, err
	}
	d := &daemon{options: o, path: path, replaced: make(chan struct{}, 1)}
	d.cfg.Store(cfg)
	if err := d.open(ctx, cfg); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *daemon) open(ctx context.Context, cfg *config.Config) error {
	if err := os.MkdirAll(cfg.DataDir, 0o755); err != nil {
		return cannotTell(fmt.Errorf("make data_dir: %w", err))
	}
	policy, err := accessPolicy(cfg)
	if err != nil {
		return cannotTell(err)
	}
	if d.guard, err = access.New(policy); err != nil {
		return wrongAsk(err)
	}
	if d.keeper, err = newKeeper(cfg, d.collect, d.log); err != nil {
		return cannotTell(err)
	}
	if cfg.Store != nil {
		if d.hub, err = newHub(ctx, cfg, d); err != nil {
			return err
		}
	}
	if d.snmp, err = newScraper(cfg); err != nil {
		return wrongAsk(err)
	}
	e, err := newExporter(cfg, d.sources(), d.log)
	if err != nil {
		return wrongAsk(err)
	}
	d.exporter.Store(e)
	d.reloads.succeed(time.Now())
	return d.listen(ctx, cfg)
}

// listen makes the HTTP server and takes its address.
func (d *daemon) listen(ctx context.Context, cfg *config.Config) error {
	routes, err := d.allRoutes()
	if err != nil {
		return err
	}
	d.server, err = exporter.NewServer(exporter.ServerOptions{
		Listen: cfg.Listen, WebConfig: cfg.WebConfig, Access: d.guard,
		Metrics: exporter.Handler(d.exporter.Load, d.log),
		Routes:  routes, Ready: d.readiness(), Reload: d.Reload, Log: d.log,
	})
	if err != nil {
		return wrongAsk(err)
	}
	if d.addr, err = d.server.Listen(ctx); err != nil {
		return cannotTell(err)
	}
	return nil
}

// tasks are what runs as long as the daemon does.
func (d *daemon) tasks() []task {
	tasks := []task{
		{"collectors", d.runExporter},
		{"server", d.server.Run},
	}
	if d.hub != nil {
		tasks = append(tasks, d.hub.tasks()...)
	}
	return tasks
}

// Run runs the daemon until ctx ends or one of its tasks fails.
func (d *daemon) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, t := range d.tasks() {
		group.Go(func() error {
			if err := t.run(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// closing bounds how long a daemon waits for a step that is being performed.
const closing = 20 * time.Second

// Close gives back what newDaemon took. The journal is the last to go.
func (d *daemon) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	var errs []error
	if e := d.exporter.Load(); e != nil {
		e.Close()
	}
	if d.keeper != nil {
		errs = append(errs, d.keeper.Close(ctx))
	}
	if d.snmp != nil {
		errs = append(errs, d.snmp.Close())
	}
	if d.hub != nil {
		errs = append(errs, d.hub.Close())
	}
	return errors.Join(errs...)
}

// runExporter runs the exporter, and each that a reload puts in its place.
func (d *daemon) runExporter(ctx context.Context) error {
	for ctx.Err() == nil {
		e := d.exporter.Load()
		running, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- e.Run(running) }()
		select {
		case <-d.replaced:
		case <-ctx.Done():
		}
		stop()
		err := <-done
		e.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// collect reads the named collectors afresh.
func (d *daemon) collect(ctx context.Context, names ...string) ([]minikeeper.Measurement, error) {
	return d.exporter.Load().Collect(ctx, names...)
}

// sources are the parts of the daemon that export metrics of their own.
func (d *daemon) sources() map[string]exporter.Entry {
	sources := map[string]exporter.Entry{"config": {Source: &d.reloads}}
	if d.snmp != nil {
		sources["snmp"] = exporter.Entry{Source: d.snmp}
	}
	if d.hub != nil {
		maps.Copy(sources, d.hub.sources())
	}
	return sources
}

// readiness is what has to hold before the daemon calls itself ready.
func (d *daemon) readiness() []exporter.Check {
	checks := []exporter.Check{{Name: "collectors", Ready: func(context.Context) error {
		configured := d.cfg.Load().Collectors.ByName() // all else is read when somebody scrapes, which may be never
		for _, c := range d.exporter.Load().Health() {
			if _, ok := configured[c.Name]; ok && c.LastSuccess.IsZero() && c.Error == "" {
				return fmt.Errorf("%s has not been read yet", c.Name)
			}
		}
		return nil
	}}}
	if d.hub != nil {
		checks = append(checks, exporter.Check{Name: "rules", Ready: d.hub.ready})
	}
	return checks
}

// accessPolicy is who may do what, with the local token of this machine.
func accessPolicy(cfg *config.Config) (access.Policy, error) {
	token, err := access.LoadOrCreateToken(tokenFile(cfg))
	if err != nil {
		return access.Policy{}, err
	}
	roles := make(map[access.Role][]string)
	for role, names := range cfg.Access.Roles() {
		roles[access.Role(role)] = names
	}
	names := []string{cfg.Server}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	return access.Policy{WebConfig: cfg.WebConfig, Roles: roles, Token: token, Names: names}, nil
}

// tokenFile holds the token that changing calls from this machine need.
func tokenFile(cfg *config.Config) string { return filepath.Join(cfg.DataDir, "token") }
