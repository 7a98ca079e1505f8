package main

import (
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/minikeeper/minikeeper/exporter"
	"github.com/minikeeper/minikeeper/internal/config"
	"github.com/minikeeper/minikeeper/internal/probes"
	"github.com/minikeeper/minikeeper/internal/topology"
)

// probesName is what the probes are called among the collectors.
const probesName = "probes"

// probeSources are the probes that cfg asks for, and which of the probed
// servers take over for each other.
func probeSources(cfg *config.Config, log *slog.Logger) (map[string]exporter.Entry, error) {
	if cfg.Probes == nil {
		return nil, nil
	}
	targets, err := probeTargets(cfg)
	if err != nil {
		return nil, err
	}
	source := probes.New(probes.Options{Timeout: time.Duration(cfg.Probes.Timeout), Log: log}, targets)
	return map[string]exporter.Entry{
		probesName: {Source: source, Schedule: exporter.Schedule{Every: time.Duration(cfg.Probes.Every), Timeout: source.Timeout()}},
		"topology": {Source: topology.Pairs(probedSites(cfg, targets)), Schedule: exporter.Schedule{Every: time.Duration(cfg.Probes.Every)}},
	}, nil
}

// topologySites are the sites of cfg with the names of their servers.
func topologySites(cfg *config.Config) []topology.Site {
	var sites []topology.Site
	for _, s := range cfg.Sites {
		site := topology.Site{Name: s.Name, Pairs: s.Pairs}
		for _, server := range s.Servers {
			site.Servers = append(site.Servers, server.Name)
		}
		sites = append(sites, site)
	}
	return sites
}

// probedSites are the sites of cfg; where it has none, the probed servers,
// each of which stands alone.
func probedSites(cfg *config.Config, targets []probes.Target) []topology.Site {
	if sites := topologySites(cfg); len(sites) > 0 {
		return sites
	}
	var alone topology.Site
	for _, t := range targets {
		if t.Server != "" && !slices.Contains(alone.Servers, t.Server) {
			alone.Servers = append(alone.Servers, t.Server)
		}
	}
	return []topology.Site{alone}
}

// probeTargets are the services that cfg has looked at.
func probeTargets(cfg *config.Config) ([]probes.Target, error) {
	p, site := cfg.Probes, make(map[string]string)
	for _, s := range servers(cfg) {
		site[s.Name] = s.site
	}
	var targets []probes.Target
	add := func(kind, name, server string, prober probes.Prober) {
		targets = append(targets, probes.Target{Probe: kind, Name: name, Server: server, Site: site[server], Prober: prober})
	}
	for _, c := range p.TCP {
		add(c.Name, c.Address, c.Server, probes.TCP{Address: c.Address, Speak: c.Name})
	}
	hello := helloName()
	for _, c := range p.SMTP {
		add(config.ProbeSMTP, c.Address, c.Server, probes.SMTP{Address: c.Address, Hello: hello, RequireSTARTTLS: c.STARTTLS})
	}
	for _, c := range p.DistributionPoints {
		prober, err := distributionPoint(c)
		if err != nil {
			return nil, fmt.Errorf("probe %s: %w", c.URL, err)
		}
		add(config.ProbeDistributionPoint, c.URL, c.Server, prober)
	}
	for _, c := range p.JSS {
		client, err := probes.NewClient(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("probe %s: %w", c.URL, err)
		}
		u, err := url.Parse(c.URL)
		if err != nil {
			return nil, fmt.Errorf("probe: %w", err)
		}
		add(config.ProbeJSS, c.URL, "", probes.JSS{Client: client, URL: u})
	}
	for _, c := range p.BSDP {
		add(config.ProbeBSDP, c.Target(), c.Server, probes.BSDP{Interface: c.Interface, Address: c.Address, Model: c.Model})
	}
	return targets, nil
}

func distributionPoint(c config.DistributionPointProbe) (probes.Prober, error) {
	client, err := probes.NewClient(c.CAFile)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	p := probes.DistributionPoint{Client: client, URL: u, File: c.File, User: c.User, Password: config.Secret{File: c.PasswordFile}.Read, SHA256: c.SHA256}
	if c.Origin != "" {
		origin, err := url.Parse(c.Origin)
		if err != nil {
			return nil, err
		}
		p.Origin = &probes.Origin{Client: client, URL: origin}
	}
	return p, nil
}

// helloName is how this machine calls itself to mail servers; "" if it does
// not know.
func helloName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}
