package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"

	"github.com/spf13/cobra"

	"github.com/minikeeper/minikeeper/internal/config"
	"github.com/minikeeper/minikeeper/internal/segments"
)

func newSegment() *cobra.Command {
	var path string
	var asJSON bool
	cmd := withConfig(&cobra.Command{
		Use:   "segment IP",
		Short: "Tell which distribution point a client gets",
		Long: `Tell in which network segment a client at IP is, and which distribution point
and failover it gets. Of the segments that hold the address the narrowest wins,
and of equally wide ones that with the lowest start.

Where the configuration names a Jamf server, its segments and distribution
points count. Exit status 1 if no segment holds the address or nobody serves the segment.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return wrongAsk(fmt.Errorf("minikeeper segment: wants one address, not %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ip, err := netip.ParseAddr(args[0])
			if err != nil {
				return wrongAsk(fmt.Errorf("minikeeper segment: %q is no address", args[0]))
			}
			cfg, err := loadConfig(path)
			if err != nil {
				return err
			}
			found, err := locate(cfg, ip)
			if cfg.Jamf != nil {
				found, err = locateByJamf(cmd.Context(), cfg, ip, found)
			}
			if err != nil {
				return err
			}
			return found.show(cmd.OutOrStdout(), asJSON)
		},
	}, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "for machines")
	return cmd
}

// A location is where a client is, and who serves it.
type location struct {
	IP                string        `json:"ip"`
	Segment           string        `json:"segment"`        // its name, or the range as it is configured
	Range             string        `json:"range"`          // from the first address to the last
	Site              string        `json:"site,omitempty"` // empty if the configuration has the client in none
	LoadSharing       bool          `json:"load_sharing"`   // clients get either, at random
	DistributionPoint *servingPoint `json:"distribution_point,omitempty"`
	Failover          *servingPoint `json:"failover,omitempty"`
}

// A servingPoint is a distribution point as clients know it.
type servingPoint struct {
	Name string `json:"name"`
	URL  string `json:"url,omitempty"`
}

// locate finds ip in the segments of cfg.
func locate(cfg *config.Config, ip netip.Addr) (location, error) {
	type owned struct {
		text string
		site config.Site
	}
	var owners []owned
	var ranges []segments.Range
	for _, site := range cfg.Sites {
		for _, text := range site.Segments {
			r, err := segments.Parse(text)
			if err != nil {
				return location{}, wrongAsk(fmt.Errorf("site %q: %w", site.Name, err))
			}
			owners, ranges = append(owners, owned{text, site}), append(ranges, r)
		}
	}
	if len(ranges) == 0 {
		return location{}, wrongAsk(errors.New("minikeeper segment: no site has segments"))
	}
	i := segments.Choose(ip, ranges)
	if i < 0 {
		return location{}, wrongWorld(fmt.Errorf("no segment holds %s", ip))
	}
	found := location{IP: ip.String(), Segment: owners[i].text, Range: ranges[i].String(), Site: owners[i].site.Name}
	found.DistributionPoint, found.Failover = serving(cfg, owners[i].site)
	return found, nil
}

// serving returns the distribution points of a site: the first that is probed,
// and one of its partner.
func serving(cfg *config.Config, site config.Site) (first, failover *servingPoint) {
	if cfg.Probes == nil {
		return nil, nil
	}
	server := ""
	for _, p := range cfg.Probes.DistributionPoints {
		if !slices.ContainsFunc(site.Servers, func(s config.Server) bool { return s.Name == p.Server }) {
			continue
		}
		point := &servingPoint{Name: p.Server, URL: p.URL}
		switch {
		case first == nil:
			first, server = point, p.Server
		case failover == nil && partners(site, server, p.Server):
			failover = point
		}
	}
	return first, failover
}

// partners tells whether two servers take over for each other.
func partners(site config.Site, a, b string) bool {
	return a != b && slices.ContainsFunc(site.Pairs, func(pair []string) bool {
		return slices.Contains(pair, a) && slices.Contains(pair, b)
	})
}

// show prints l. A segment that nobody serves is wrong.
func (l location) show(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		if err := enc.Encode(l); err != nil {
			return cannotTell(fmt.Errorf("print the segment: %w", err))
		}
	} else {
		fmt.Fprintf(w, "segment             %s\n", l.Segment)
		if l.Range != l.Segment {
			fmt.Fprintf(w, "range               %s\n", l.Range)
		}
		fmt.Fprintf(w, "site                %s\n", cmp.Or(l.Site, "none"))
		fmt.Fprintf(w, "distribution point  %s\n", l.DistributionPoint)
		fmt.Fprintf(w, "failover            %s\n", l.Failover)
		if l.LoadSharing {
			fmt.Fprintln(w, "clients get either, at random")
		}
	}
	if l.DistributionPoint == nil {
		return wrongWorld(fmt.Errorf("nobody serves the segment %s", l.Segment))
	}
	return nil
}

// String implements fmt.Stringer.
func (p *servingPoint) String() string {
	switch {
	case p == nil:
		return "none"
	case p.URL == "":
		return p.Name
	default:
		return p.Name + "  " + p.URL
	}
}

// coverage tells of each segment of cfg whether its site has a distribution
// point. Where none is known anywhere, nothing can be said.
func coverage(cfg *config.Config) segments.Coverage {
	if cfg.Probes == nil || len(cfg.Probes.DistributionPoints) == 0 {
		return nil
	}
	var all segments.Coverage
	for _, site := range cfg.Sites {
		point, _ := serving(cfg, site)
		for _, text := range site.Segments {
			all = append(all, segments.Segment{Name: text, Covered: point != nil})
		}
	}
	return all
}
