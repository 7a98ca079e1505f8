package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/config"
)

// Reload reads the configuration again and puts it in use. A bad one changes
// nothing, and the error says what is wrong with it.
func (d *daemon) Reload(ctx context.Context) error {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	if err := d.reload(ctx); err != nil {
		d.reloads.fail()
		d.log.ErrorContext(ctx, "configuration not reloaded; the old one stays in use", "file", d.path, "err", err)
		return err
	}
	d.reloads.succeed(time.Now())
	d.log.InfoContext(ctx, "configuration reloaded", "file", d.path)
	return nil
}

// reload checks everything before it changes anything.
func (d *daemon) reload(ctx context.Context) error {
	cfg, err := loadConfig(d.path)
	if err != nil {
		return err
	}
	if err := fixed(d.cfg.Load(), cfg); err != nil {
		return err
	}
	policy, err := accessPolicy(cfg)
	if err != nil {
		return err
	}
	modules, err := loadModules(cfg)
	if err != nil {
		return err
	}
	e, err := newExporter(cfg, d.sources(), d.log)
	if err != nil {
		return err
	}
	if d.hub != nil {
		if err := d.hub.reload(ctx, cfg); err != nil {
			e.Close()
			return err
		}
	}
	if err := errors.Join(d.guard.Set(policy), d.keeper.Configure(machine(cfg), cfg.Actions.Allow)); err != nil {
		e.Close()
		return err
	}
	if d.snmp != nil {
		d.snmp.Set(modules)
	}
	was := d.cfg.Swap(cfg)
	if sameReadings(was, cfg) {
		e.Close() // what was read stays: comparing a share again may take hours
		return nil
	}
	d.exporter.Store(e)
	d.replaced <- struct{}{}
	return nil
}

// sameReadings tells whether a reload leaves alone what is read and how.
func sameReadings(was, is *config.Config) bool {
	readings := func(c *config.Config) []any {
		return []any{c.Collectors, c.Shares, c.Labels, c.Path, c.Probes, c.Jamf, c.Sites}
	}
	return reflect.DeepEqual(readings(was), readings(is))
}

// fixed refuses changes of what a running process cannot give up.
func fixed(was, is *config.Config) error {
	var changed []string
	note := func(key string, differs bool) {
		if differs {
			changed = append(changed, key)
		}
	}
	note("listen", was.Listen != is.Listen)
	note("web_config", was.WebConfig != is.WebConfig)
	note("data_dir", was.DataDir != is.DataDir)
	note("server", was.Server != is.Server)
	note("journal", was.Journal != is.Journal)
	note("snmp", (was.SNMP == nil) != (is.SNMP == nil))
	note("store", (was.Store == nil) != (is.Store == nil))
	if was.Store != nil && is.Store != nil {
		note("store.embedded", was.Store.Embedded != is.Store.Embedded)
		note("store.interval", was.Store.Interval != is.Store.Interval)
	}
	if len(changed) > 0 {
		return fmt.Errorf("a reload cannot change %s: restart minikeeper", strings.Join(changed, ", "))
	}
	return nil
}

// reloads remembers how the last reload went. It is a source of metrics.
type reloads struct {
	mu   sync.Mutex
	ok   bool
	last time.Time // when one last succeeded
}

func (r *reloads) succeed(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ok, r.last = true, at
}

func (r *reloads) fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ok = false
}

// Names of the metrics of reloads.
const (
	reloadSuccessful = "minikeeper_config_last_reload_successful"
	reloadTimestamp  = "minikeeper_config_last_reload_success_timestamp_seconds"
)

// Families implements exporter.Source.
func (*reloads) Families() []minikeeper.Family {
	return []minikeeper.Family{
		{Name: reloadSuccessful, Help: "Whether the last attempt to load the configuration succeeded (1) or not (0).", Type: minikeeper.Gauge},
		{Name: reloadTimestamp, Help: "When the configuration was last loaded, in seconds since 1970.", Type: minikeeper.Gauge},
	}
}

// Collect implements exporter.Source.
func (r *reloads) Collect(context.Context) ([]minikeeper.Sample, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	samples := []minikeeper.Sample{
		{Name: reloadSuccessful},
		{Name: reloadTimestamp, Value: float64(r.last.UnixMilli()) / 1000},
	}
	if r.ok {
		samples[0].Value = 1
	}
	return samples, nil
}
