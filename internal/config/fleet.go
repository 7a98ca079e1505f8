package config

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper/internal/segments"
	"github.com/minikeeper/minikeeper/internal/strictyaml"
)

// A Share is a directory tree that must be equal to its origin.
type Share struct {
	Name    string   `yaml:"name"`
	Path    string   `yaml:"path"`              // the replica on this machine
	From    []Source `yaml:"from"`              // exactly one, the origin
	Exclude []string `yaml:"exclude,omitempty"` // globs of names or paths; `default` is what macOS keeps for itself
	Rescan  Duration `yaml:"rescan"`            // how often it is compared with its origin, at least
	Sync    Sync     `yaml:"sync"`
}

// A Source is where a share comes from.
type Source struct {
	URL    string `yaml:"url"`    // the path of a directory
	Origin bool   `yaml:"origin"` // it holds the truth
}

// Sync is how a replica is made equal.
type Sync struct {
	Delete    bool             `yaml:"delete"`     // remove what the origin does not have
	MaxDelete strictyaml.Limit `yaml:"max_delete"` // do nothing at all if more would be removed
}

// SetDefaults implements strictyaml.Defaulter.
func (s *Share) SetDefaults() {
	*s = Share{Exclude: []string{"default"}, Rescan: Duration(15 * time.Minute)}
	s.Sync.SetDefaults()
}

// SetDefaults implements strictyaml.Defaulter.
func (s *Sync) SetDefaults() {
	*s = Sync{MaxDelete: strictyaml.Limit{Percent: 5, IsPercent: true}}
}

// Origin returns the directory that holds the truth.
func (s Share) Origin() string {
	if len(s.From) == 0 {
		return ""
	}
	return s.From[0].URL
}

// shortestRescan is how often the shares are compared.
func shortestRescan(shares []Share) Duration {
	shortest := Duration(15 * time.Minute)
	for i, s := range shares {
		if i == 0 || s.Rescan < shortest {
			shortest = s.Rescan
		}
	}
	return shortest
}

func (c *checker) checkShares() {
	names := unique{c, "share", make(map[string]int)}
	paths := unique{c, "the share of path", make(map[string]int)}
	for i := range c.Shares {
		s, path := &c.Shares[i], at("shares", i)
		if c.require(under(path, "name"), "shares[%d] has no name", i) {
			c.name(under(path, "name"), "share", s.Name)
			names.add(under(path, "name"), s.Name)
		}
		if c.require(under(path, "path"), "share %q has no path", s.Name) && s.Path == "" {
			c.bad(under(path, "path"), "path wants a directory")
		}
		c.relative(&s.Path)
		paths.add(under(path, "path"), s.Path)
		c.checkSource(path, s)
		c.checkExclude(under(path, "exclude"), s)
		c.duration(under(path, "rescan"), "rescan", s.Rescan, Duration(100*time.Millisecond))
	}
}

// checkSource also marks the only source as the origin.
func (c *checker) checkSource(path []any, s *Share) {
	if !c.require(under(path, "from"), "share %q does not say where it comes from: give from", s.Name) {
		return
	}
	if len(s.From) != 1 {
		c.bad(under(path, "from"), "from wants one source, the origin, not %d", len(s.From))
		return
	}
	source, path := &s.From[0], under(path, "from", 0)
	if c.doc.Has(under(path, "origin")...) && !source.Origin {
		c.bad(under(path, "origin"), "the only source of a share is its origin")
	}
	source.Origin = true
	if !c.require(under(path, "url"), "from[0] has no url") {
		return
	}
	path = under(path, "url")
	if scheme, _, remote := strings.Cut(source.URL, "://"); remote {
		c.bad(path, "url wants the path of a directory; this version cannot copy from %s", scheme)
		return
	}
	if source.URL == "" {
		c.bad(path, "url wants the path of a directory, not %q", source.URL)
		return
	}
	c.relative(&source.URL)
	if inside(source.URL, s.Path) || inside(s.Path, source.URL) {
		c.bad(path, "the origin %s and the share %s lie in each other", source.URL, s.Path)
	}
}

// inside tells whether the absolute path a is b or lies in it.
func inside(a, b string) bool {
	rel, err := filepath.Rel(b, a)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

func (c *checker) checkExclude(list []any, s *Share) {
	for i, glob := range s.Exclude {
		if _, err := path.Match(glob, ""); err != nil || strings.Trim(glob, "/") == "" {
			c.bad(under(list, i), "exclude[%d] wants a glob such as *.tmp, or default, not %q", i, glob)
		}
	}
}

// A Site is a place.
type Site struct {
	Name     string     `yaml:"name"`
	Segments []string   `yaml:"segments,omitempty"` // networks and ranges of its clients; see segments.Parse
	Pairs    [][]string `yaml:"pairs,omitempty"`    // servers that fail over to each other
	Servers  []Server   `yaml:"servers"`
}

// A Server is one watched machine, and how an action reaches it. One that is
// neither local nor has a keeper is only known by name.
type Server struct {
	Name   string  `yaml:"name"`
	Local  bool    `yaml:"local,omitempty"`  // it is this very process
	Keeper *Keeper `yaml:"keeper,omitempty"` // its keeper's API; nil if it has none
}

// A Keeper is the address of a minikeeper and what to show it.
type Keeper struct {
	URL       string `yaml:"url"`
	CAFile    string `yaml:"ca_file,omitempty"`   // who signed its certificate; empty for the system's authorities
	CertFile  string `yaml:"cert_file,omitempty"` // our certificate, with KeyFile
	KeyFile   string `yaml:"key_file,omitempty"`
	TokenFile string `yaml:"token_file,omitempty"`
	Token     Secret `yaml:"-"` // reads TokenFile
}

func (c *checker) checkSites() {
	sites := unique{c, "site", make(map[string]int)}
	servers := unique{c, "server", make(map[string]int)}
	ranges := unique{c, "the segment", make(map[string]int)}
	for i := range c.Sites {
		site, path := &c.Sites[i], at("sites", i)
		if c.require(under(path, "name"), "sites[%d] has no name", i) {
			sites.add(under(path, "name"), site.Name)
			if strings.TrimSpace(site.Name) == "" {
				c.bad(under(path, "name"), "site wants a name, not %q", site.Name)
			}
		}
		if len(site.Servers) == 0 {
			c.bad(under(path, "servers"), "site %q has no servers", site.Name)
		}
		for j := range site.Servers {
			c.checkServer(under(path, "servers", j), &site.Servers[j], servers)
		}
		c.checkPairs(under(path, "pairs"), site)
		c.checkSegments(under(path, "segments"), site, ranges)
	}
	c.checkSelf()
}

func (c *checker) checkServer(path []any, s *Server, names unique) {
	if c.require(under(path, "name"), "a server has no name") {
		c.name(under(path, "name"), "server", s.Name)
		names.add(under(path, "name"), s.Name)
	}
	switch {
	case s.Local && s.Keeper != nil:
		c.bad(under(path, "local"), "server %q is either local or reached through its keeper", s.Name)
	case s.Local && c.Server != "" && s.Name != c.Server:
		c.bad(under(path, "local"), "server %q cannot be local: this is %q", s.Name, c.Server)
	case s.Keeper == nil && s.Name == c.Server && !c.doc.Has(under(path, "local")...):
		s.Local = true
	}
	if s.Keeper != nil {
		c.checkKeeper(under(path, "keeper"), s.Keeper)
	}
}

func (c *checker) checkKeeper(path []any, k *Keeper) {
	if c.require(under(path, "url"), "keeper has no url") {
		if err := httpURL(k.URL); err != nil {
			c.bad(under(path, "url"), "url %v", err)
		}
	}
	if (k.CertFile == "") != (k.KeyFile == "") {
		c.bad(path, "cert_file and key_file belong together: give both or neither")
	}
	if k.CAFile+k.CertFile != "" && strings.HasPrefix(k.URL, "http:") {
		c.bad(under(path, "url"), "certificates need https")
	}
	c.relative(&k.CAFile, &k.CertFile, &k.KeyFile, &k.TokenFile)
	k.Token = Secret{File: k.TokenFile}
}

func (c *checker) checkPairs(path []any, site *Site) {
	var names []string
	for _, s := range site.Servers {
		names = append(names, s.Name)
	}
	for i, pair := range site.Pairs {
		if len(pair) < 2 {
			c.bad(under(path, i), "a pair wants two servers or more, not %d", len(pair))
		}
		for j, name := range pair {
			switch {
			case !slices.Contains(names, name):
				c.bad(under(path, i, j), "a pair names server %q, which site %q does not have (have %s)", name, site.Name, have(names))
			case slices.Contains(pair[:j], name):
				c.bad(under(path, i, j), "a pair names server %q twice", name)
			}
		}
	}
}

// checkSegments refuses equal segments too: nobody could say in which a client
// is.
func (c *checker) checkSegments(path []any, site *Site, ranges unique) {
	for i, text := range site.Segments {
		r, err := segments.Parse(text)
		if err != nil {
			c.bad(under(path, i), "segments[%d] wants a network such as 10.20.0.0/16 or a range such as 10.20.3.5-10.20.3.90: %v", i, err)
			continue
		}
		ranges.add(under(path, i), r.String())
	}
}

// checkSelf looks whether this machine is one of the servers.
func (c *checker) checkSelf() {
	var names []string
	for _, site := range c.Sites {
		for _, s := range site.Servers {
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 || slices.Contains(names, c.Server) {
		return
	}
	if c.require(at("server"), "server is missing: which of the servers is this? (have %s)", have(names)) {
		c.bad(at("server"), "server %q is in none of the sites (have %s)", c.Server, have(names))
	}
}

// Find returns the server called name and its site.
func (c *Config) Find(name string) (Site, Server, error) {
	for _, site := range c.Sites {
		for _, s := range site.Servers {
			if s.Name == name {
				return site, s, nil
			}
		}
	}
	return Site{}, Server{}, fmt.Errorf("find server %q: it is in none of the sites", name)
}
