package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/exporter"
	"github.com/minikeeper/minikeeper/internal/calendar"
	"github.com/minikeeper/minikeeper/internal/config"
	"github.com/minikeeper/minikeeper/internal/journal"
	"github.com/minikeeper/minikeeper/internal/notify"
	"github.com/minikeeper/minikeeper/internal/topology"
	"github.com/minikeeper/minikeeper/remediate"
	"github.com/minikeeper/minikeeper/remediate/actions"
	"github.com/minikeeper/minikeeper/rules"
)

// hub is what judges, repairs and tells: the store with its rules, the journal,
// the engine and the notifier.
type hub struct {
	log     *slog.Logger
	local   minikeeper.Target // this machine
	metrics func() *exporter.Exporter

	fleet     fleet
	calendars calendars
	store     *rules.Store
	journal   *journal.Journal
	engine    *remediate.Engine
	notifier  atomic.Pointer[notify.Notifier]
	renotify  chan struct{} // the notifier was replaced
}

// newHub opens the journal and the store. d is the daemon that it is part of.
func newHub(ctx context.Context, cfg *config.Config, d *daemon) (*hub, error) {
	h := &hub{log: d.log, local: d.keeper, metrics: d.exporter.Load, renotify: make(chan struct{}, 1)}
	parts, err := h.prepare(cfg)
	if err != nil {
		return nil, wrongAsk(err)
	}
	h.fleet.Store(parts.topology)
	h.calendars.Store(&parts.calendars)
	if h.journal, err = journal.Open(ctx, cfg.Journal.SQLite); err != nil {
		return nil, cannotTell(err)
	}
	if err := h.openStore(ctx, cfg, parts, d.hurry); err != nil {
		return nil, errors.Join(err, h.journal.Close())
	}
	notifier, err := h.newNotifier(cfg)
	if err != nil {
		return nil, errors.Join(wrongAsk(err), h.Close())
	}
	h.notifier.Store(notifier)
	h.engine = remediate.New(remediate.Deps{
		Journal: telling{h.journal, h.wakeNotifier}, Alerts: h.store, Prover: h.store,
		Services: services{h.store}, Fleet: &h.fleet, Calendars: &h.calendars,
		PlanHash: actions.PlanHash, Log: d.log,
	}, engineOptions(cfg, d.hurry), parts.remedies)
	return h, nil
}

func engineOptions(cfg *config.Config, hurry bool) remediate.Options {
	o := remediate.Options{PageCap: time.Duration(cfg.Runner.PageCap)}
	if hurry {
		o.Every, o.Poll = 250*time.Millisecond, 500*time.Millisecond
	}
	return o
}

func (h *hub) openStore(ctx context.Context, cfg *config.Config, parts parts, hurry bool) error {
	owner, err := collectorOf()
	if err != nil {
		return wrongAsk(err)
	}
	o := rules.Options{
		Dir:         cfg.Store.Embedded.Dir,
		Retention:   time.Duration(cfg.Store.Embedded.Retention),
		MaxBytes:    int64(cfg.Store.Embedded.Size),
		Interval:    time.Duration(cfg.Store.Interval),
		CollectorOf: owner,
		Inputs:      parts.inputs,
		Log:         h.log,
	}
	if hurry {
		o.MaxFor = 2 * time.Second
	}
	if h.store, err = rules.Open(ctx, o); err != nil {
		return cannotTell(err)
	}
	return nil
}

// parts are what a configuration comes to, before any of it is in use.
type parts struct {
	topology  *topology.Topology
	calendars map[string]calendar.Calendar
	remedies  []*remediate.Remedy
	inputs    rules.Inputs
}

// prepare makes parts of cfg and changes nothing.
func (h *hub) prepare(cfg *config.Config) (parts, error) {
	var p parts
	var err error
	if p.topology, err = newTopology(cfg, h.local); err != nil {
		return p, err
	}
	if p.calendars, err = cfg.OpenCalendars(); err != nil {
		return p, err
	}
	if p.remedies, err = loadRemedies(cfg); err != nil {
		return p, err
	}
	p.inputs, err = storeInputs(cfg, exporter.Handler(h.metrics, h.log))
	return p, err
}

// reload puts cfg in use, or changes nothing.
func (h *hub) reload(ctx context.Context, cfg *config.Config) error {
	p, err := h.prepare(cfg)
	if err != nil {
		return err
	}
	notifier, err := h.newNotifier(cfg)
	if err != nil {
		return err
	}
	if err := h.store.Reload(ctx, p.inputs); err != nil {
		return err
	}
	h.fleet.Store(p.topology)
	h.calendars.Store(&p.calendars)
	h.engine.SetRemedies(p.remedies)
	h.notifier.Store(notifier)
	h.renotify <- struct{}{}
	return nil
}

func (h *hub) tasks() []task {
	return []task{
		{"store", h.store.Run},
		{"runner", h.engine.Run},
		{"notifier", h.runNotifier},
		{"alerts", h.watchAlerts},
	}
}

// watchAlerts wakes the engine after each evaluation of a rule group.
func (h *hub) watchAlerts(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.store.Changed():
			h.engine.Wake()
		}
	}
}

// runNotifier runs the notifier, and each that a reload puts in its place.
func (h *hub) runNotifier(ctx context.Context) error {
	for ctx.Err() == nil {
		running, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- h.notifier.Load().Run(running) }()
		select {
		case <-h.renotify:
		case <-ctx.Done():
		}
		stop()
		if err := <-done; err != nil {
			return err
		}
	}
	return nil
}

func (h *hub) wakeNotifier() {
	if n := h.notifier.Load(); n != nil {
		n.Wake()
	}
}

// Close closes the store, then the journal.
func (h *hub) Close() error {
	return errors.Join(h.store.Close(), h.journal.Close())
}

// ready tells whether every rule was evaluated at least once.
func (h *hub) ready(ctx context.Context) error {
	_, unsure, err := h.store.Snapshot(ctx)
	if err != nil {
		return err
	}
	if len(unsure) > 0 {
		return fmt.Errorf("%d alerts could not be judged yet", len(unsure))
	}
	return nil
}

func (h *hub) sources() map[string]exporter.Entry {
	return map[string]exporter.Entry{
		"runner": {Source: h.engine.Metrics()},
		"notify": {Source: notifying{&h.notifier}},
	}
}

// firing returns the alerts that fire now.
func (h *hub) firing(ctx context.Context) ([]minikeeper.Alert, error) {
	alerts, _, err := h.store.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	firing := alerts[:0]
	for _, a := range alerts {
		if a.State == minikeeper.AlertFiring {
			firing = append(firing, a)
		}
	}
	return firing, nil
}

// loadRemedies reads the remedy files that cfg names.
func loadRemedies(cfg *config.Config) ([]*remediate.Remedy, error) {
	files, err := remedyFiles(cfg.RemedyFiles)
	if err != nil {
		return nil, err
	}
	return remediate.Parse(files, knownToRemedies(cfg))
}

// remedyFiles reads the shipped remedies, if they are wanted, and all others.
func remedyFiles(set config.FileSet) ([]remediate.File, error) {
	var files []remediate.File
	if set.Builtin {
		shipped, err := shippedRemedies()
		if err != nil {
			return nil, err
		}
		files = shipped
	}
	for _, path := range set.Paths {
		src, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read remedies: %w", err)
		}
		files = append(files, remediate.File{Name: path, Src: src})
	}
	return files, nil
}
