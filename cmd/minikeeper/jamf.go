package main

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/minikeeper/minikeeper/exporter"
	"github.com/minikeeper/minikeeper/internal/config"
	"github.com/minikeeper/minikeeper/internal/jamf"
	"github.com/minikeeper/minikeeper/internal/probes"
)

// jamfSource reads the server that c names on its schedule.
func jamfSource(c *config.Jamf) (exporter.Entry, error) {
	client, err := jamfClient(c)
	if err != nil {
		return exporter.Entry{}, err
	}
	return exporter.Entry{
		Source:   jamf.Source{Client: client},
		Schedule: exporter.Schedule{Every: time.Duration(c.Every), Timeout: time.Duration(c.Timeout)},
	}, nil
}

func jamfClient(c *config.Jamf) (*jamf.Client, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("jamf: %w", err)
	}
	client, err := probes.NewClient(c.CAFile) // which carries no password to where a redirect leads
	if err != nil {
		return nil, fmt.Errorf("jamf: %w", err)
	}
	return &jamf.Client{HTTP: client, URL: u, User: c.User, Password: c.Password().Read}, nil
}

// locateByJamf asks the Jamf server where ip is. seen is what the
// configuration says, and keeps its word about the site.
func locateByJamf(ctx context.Context, cfg *config.Config, ip netip.Addr, seen location) (location, error) {
	client, err := jamfClient(cfg.Jamf)
	if err != nil {
		return location{}, wrongAsk(err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(cfg.Jamf.Timeout))
	defer cancel()
	// The one record that could not be read may be the one that counts.
	v, err := client.Inventory(ctx)
	if err != nil {
		return location{}, cannotTell(err)
	}
	segment, ok := v.Locate(ip)
	if !ok {
		return location{}, wrongWorld(fmt.Errorf("no segment of the Jamf server holds %s", ip))
	}
	found := location{IP: ip.String(), Segment: segment.Name, Range: segment.Range.String(), Site: seen.Site}
	point, _, ok := v.Serving(segment)
	if !ok {
		return found, nil
	}
	found.DistributionPoint, found.LoadSharing = &servingPoint{Name: point.Name, URL: point.URL}, point.LoadSharing
	if point.Failover != "" {
		failover, _ := v.Point(point.Failover) // the cloud has no record
		found.Failover = &servingPoint{Name: point.Failover, URL: failover.URL}
	}
	return found, nil
}
