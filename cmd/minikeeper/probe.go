package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"strings"

	"github.com/minikeeper/minikeeper/exporter"
	"github.com/minikeeper/minikeeper/internal/access"
	"github.com/minikeeper/minikeeper/internal/config"
	"github.com/minikeeper/minikeeper/internal/probes"
)

// probeRoute is /probe, which looks at one service when somebody asks.
func (d *daemon) probeRoute() exporter.Route {
	find := func(module, target string) (exporter.Source, error) {
		prober, err := moduleProber(d.cfg.Load().Probes, module, target)
		if err != nil {
			return nil, err
		}
		return probes.Once{Prober: prober}, nil
	}
	return exporter.Route{Pattern: "/probe", Role: access.Scrape, Handler: exporter.ProbeHandler(find, d.log), InFlight: 32}
}

// modules are the ways in which /probe looks.
const modules = "afp, http, jss, smb, smtp, smtp_starttls, tcp"

// moduleProber returns what looks at target in the way of module.
func moduleProber(p *config.Probes, module, target string) (probes.Prober, error) {
	switch module {
	case "tcp", "smb", "afp", "smtp", "smtp_starttls":
		host, _, err := net.SplitHostPort(target)
		if err != nil {
			return nil, fmt.Errorf("target wants HOST:PORT, not %q", target)
		}
		if err := mayProbe(p, host); err != nil {
			return nil, err
		}
		if strings.HasPrefix(module, "smtp") {
			return probes.SMTP{Address: target, Hello: helloName(), RequireSTARTTLS: module == "smtp_starttls"}, nil
		}
		return probes.TCP{Address: target, Speak: module}, nil
	case "http", "jss":
		u, err := url.Parse(target)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
			return nil, errors.New("target wants an address such as http://lon-mini-1/CasperShare/Packages/canary.pkg, without user and ?")
		}
		if err := mayProbe(p, u.Hostname()); err != nil {
			return nil, err
		}
		return webProber(module, u)
	default:
		return nil, fmt.Errorf("unknown module %q (have %s)", module, modules)
	}
}

func webProber(module string, u *url.URL) (probes.Prober, error) {
	client, err := probes.NewClient("")
	if err != nil {
		return nil, err
	}
	if module == "jss" {
		return probes.JSS{Client: client, URL: u}, nil
	}
	share := *u
	share.RawPath = ""
	share.Path = path.Dir(u.Path)
	return probes.DistributionPoint{Client: client, URL: &share, File: path.Base(u.Path)}, nil
}

// mayProbe refuses hosts that nobody allowed.
func mayProbe(p *config.Probes, host string) error {
	if p.MayProbe(host) {
		return nil
	}
	return fmt.Errorf("host %q is none that is probed, and probes.allow in the configuration does not name it", host)
}
