package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/collectors"
	"github.com/minikeeper/minikeeper/exporter"
	"github.com/minikeeper/minikeeper/internal/command"
	"github.com/minikeeper/minikeeper/internal/config"
	"github.com/minikeeper/minikeeper/internal/jamf"
	"github.com/minikeeper/minikeeper/internal/keeper"
	"github.com/minikeeper/minikeeper/internal/probes"
	"github.com/minikeeper/minikeeper/internal/segments"
	"github.com/minikeeper/minikeeper/remediate/actions"
)

// known is what configurations may refer to.
func known() config.Known {
	return config.Known{
		Collectors: slices.Sorted(maps.Keys(collectors.Builtin())),
		Actions:    slices.Sorted(maps.Keys(actions.Builtin())),
		Programs: map[string][]string{
			"caching": {"AssetCacheManagerUtil", "serveradmin"},
			"disk":    {"df", "diskutil", "mount"},
			"host":    {"chronyc", "sntp", "sysctl", "vm_stat"},
			"netboot": {},
			"postfix": {"launchctl", "postconf", "postfix", "postqueue"},
			"raid":    {"diskutil"},
			"replica": {},
			"smart":   {"smartctl"},
		},
	}
}

// newRunner runs programs of this machine, those in the configuration's path
// before all others.
func newRunner(cfg *config.Config) minikeeper.Runner {
	return command.NewLocal(strings.Join(append(slices.Clone(cfg.Path), os.Getenv("PATH")), string(os.PathListSeparator)))
}

// newExporter returns an exporter of the configured collectors and of extra
// sources. Nothing is read before it runs.
func newExporter(cfg *config.Config, extra map[string]exporter.Entry, log *slog.Logger) (*exporter.Exporter, error) {
	entries := maps.Clone(extra)
	if entries == nil {
		entries = make(map[string]exporter.Entry)
	}
	builtin, settings, run := collectors.Builtin(), collectorSettings(cfg), newRunner(cfg)
	for name, common := range cfg.Collectors.ByName() {
		c, err := builtin[name](collectors.Deps{Run: run, GOOS: runtime.GOOS, Root: common.Root, Settings: settings})
		if err != nil {
			return nil, fmt.Errorf("collector %s: %w", name, err)
		}
		entries[name] = exporter.Entry{Source: c, Schedule: exporter.Schedule{
			Every: time.Duration(common.Every), Timeout: time.Duration(common.Timeout),
		}}
	}
	probed, err := probeSources(cfg, log)
	if err != nil {
		return nil, err
	}
	maps.Copy(entries, probed)
	if covered := coverage(cfg); len(covered) > 0 {
		entries["segments"] = exporter.Entry{Source: covered, Schedule: exporter.Schedule{Every: time.Duration(cfg.Probes.Every)}}
	}
	if cfg.Jamf != nil {
		if entries["jamf"], err = jamfSource(cfg.Jamf); err != nil {
			return nil, err
		}
	}
	return exporter.New(exporter.Options{Labels: cfg.Labels, Version: buildVersion(), Log: log}, entries)
}

// collectorSettings are the settings of all collectors that are configured.
func collectorSettings(cfg *config.Config) collectors.Settings {
	var s collectors.Settings
	c := cfg.Collectors
	if c.Caching != nil {
		s.Caching = collectors.CachingSettings{Command: c.Caching.Command}
	}
	if c.Disk != nil {
		s.Disk = collectors.DiskSettings{Command: c.Disk.Command, Exclude: c.Disk.Exclude}
	}
	if c.RAID != nil {
		s.RAID = collectors.RAIDSettings{Backend: c.RAID.Backend, Expect: c.RAID.Expect, Command: c.RAID.Command}
	}
	if c.Postfix != nil {
		s.Postfix = collectors.PostfixSettings{ConfigDir: c.Postfix.ConfigDir, Command: c.Postfix.Command}
	}
	if c.NetBoot != nil {
		s.NetBoot = collectors.NetBootSettings{Roots: c.NetBoot.Roots, Hash: c.NetBoot.Hash}
	}
	if c.Host != nil {
		s.Host = collectors.HostSettings{NTPServer: c.Host.NTPServer, Command: c.Host.Command}
	}
	if u := c.Updates; u != nil {
		s.Updates = collectors.UpdatesSettings{Preferences: u.Preferences, Command: u.Command}
	}
	if d := c.DNS; d != nil {
		s.DNS = collectors.DNSSettings{Names: d.Names, Server: d.Server, Addresses: d.Addresses, Command: d.Command}
	}
	if l := c.Launchd; l != nil {
		s.Launchd = collectors.LaunchdSettings{Labels: l.Labels, DaemonsDir: l.DaemonsDir, Evidence: l.Evidence, Command: l.Command}
	}
	if c.Smart != nil {
		s.Smart = collectors.SmartSettings{Command: c.Smart.Command, Exclude: c.Smart.Exclude, Wake: c.Smart.Wake}
		for _, device := range c.Smart.Devices {
			s.Smart.Devices = append(s.Smart.Devices, collectors.SmartDevice{Name: device.Name, Type: device.Type})
		}
	}
	if c.SyncLog != nil {
		s.SyncLog = collectors.SyncLogSettings{Files: c.SyncLog.Files}
	}
	for _, share := range cfg.Shares {
		s.Replica.Shares = append(s.Replica.Shares, collectors.ReplicaShare{
			Name: share.Name, Path: share.Path, Origin: share.Origin(), Exclude: share.Exclude,
		})
	}
	return s
}

// machine is this machine as actions see it.
func machine(cfg *config.Config) actions.Machine {
	m := actions.Machine{
		Run: newRunner(cfg), GOOS: runtime.GOOS,
		Commands: cfg.Actions.Commands,
		StateDir: filepath.Join(cfg.DataDir, "actions"),
	}
	if p := cfg.Collectors.Postfix; p != nil {
		m.Postfix = actions.PostfixMachine{ConfigDir: p.ConfigDir, Command: p.Command}
	}
	if n := cfg.Collectors.NetBoot; n != nil {
		m.NetBoot = actions.NetBootMachine{Roots: n.Roots}
	}
	if u := cfg.Collectors.Updates; u != nil {
		m.Updates = actions.UpdatesMachine{Command: u.Command}
	}
	if l := cfg.Collectors.Launchd; l != nil {
		m.Launchd = actions.LaunchdMachine{DaemonsDir: l.DaemonsDir, Command: l.Command}
	}
	for _, share := range cfg.Shares {
		m.Shares = append(m.Shares, actions.Share{
			Name: share.Name, Path: share.Path, Origin: share.Origin(), Exclude: share.Exclude,
			Delete: share.Sync.Delete, MaxDelete: share.Sync.MaxDelete.String(),
		})
	}
	return m
}

// newKeeper returns what carries actions out on this machine.
func newKeeper(cfg *config.Config, collect func(context.Context, ...string) ([]minikeeper.Measurement, error), log *slog.Logger) (*keeper.Keeper, error) {
	k, err := keeper.New(keeper.Config{
		Machine: machine(cfg), Actions: actions.Builtin(), Allow: cfg.Actions.Allow,
		StateDir: filepath.Join(cfg.DataDir, "keeper"), Collect: collect, Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("start keeper: %w", err)
	}
	return k, nil
}

// collectorOf tells which collector a metric comes from.
func collectorOf() (func(metric string) (string, bool), error) {
	owner := make(map[string]string)
	for _, f := range probes.Families() {
		owner[f.Name] = probesName
	}
	for _, f := range jamf.Families() {
		if f.Name != segments.Covered { // the configuration's segments are read from nobody
			owner[f.Name] = "jamf"
		}
	}
	for name, build := range collectors.Builtin() {
		c, err := build(collectors.Deps{GOOS: runtime.GOOS})
		if err != nil {
			return nil, fmt.Errorf("collector %s: %w", name, err)
		}
		for _, f := range c.Families() {
			owner[f.Name] = name
		}
	}
	return func(metric string) (string, bool) {
		name, ok := owner[metric]
		return name, ok
	}, nil
}
