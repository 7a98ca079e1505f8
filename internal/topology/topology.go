// Package topology knows which servers there are, where they stand, who takes
// over for whom, and how the runner reaches each. It holds what the
// configuration says and asks nobody; a name that it does not hold does not
// exist, and nothing is ever done to it.
package topology

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/minikeeper/minikeeper"
)

// A Site is one site as the configuration has it.
type Site struct {
	Name    string
	Servers []string
	Pairs   [][]string // servers that fail over to each other
}

// Topology is immutable, so it may be shared.
type Topology struct {
	sites   []minikeeper.Site
	servers map[string]minikeeper.Server
	targets map[string]minikeeper.Target
}

// New returns the topology of sites. It refuses a server that is named twice
// and a pair that names a server of another site or of none.
func New(sites []Site) (*Topology, error) {
	t := &Topology{
		servers: make(map[string]minikeeper.Server),
		targets: make(map[string]minikeeper.Target),
	}
	for _, s := range sites {
		if err := t.add(s); err != nil {
			return nil, fmt.Errorf("site %q: %w", s.Name, err)
		}
	}
	return t, nil
}

func (t *Topology) add(s Site) error {
	partners, err := partnersOf(s)
	if err != nil {
		return err
	}
	site := minikeeper.Site{Name: s.Name}
	for _, name := range s.Servers {
		if other, dup := t.servers[name]; dup {
			return fmt.Errorf("server %q is already in site %q", name, other.Site)
		}
		server := minikeeper.Server{Name: name, Site: s.Name, Partners: partners[name]}
		t.servers[name] = server
		site.Servers = append(site.Servers, server)
	}
	t.sites = append(t.sites, site)
	return nil
}

// partnersOf returns, for each server of s, who takes over when it is down.
func partnersOf(s Site) (map[string][]string, error) {
	partners := make(map[string][]string)
	for _, pair := range s.Pairs {
		for _, name := range pair {
			if !slices.Contains(s.Servers, name) {
				return nil, fmt.Errorf("pair names %q (have %s)", name, strings.Join(s.Servers, ", "))
			}
			for _, other := range pair {
				if other != name && !slices.Contains(partners[name], other) {
					partners[name] = append(partners[name], other)
				}
			}
		}
	}
	return partners, nil
}

// Reach returns a copy of t in which the server called name is reached by way
// of target.
func (t *Topology) Reach(name string, target minikeeper.Target) (*Topology, error) {
	if _, ok := t.servers[name]; !ok {
		return nil, fmt.Errorf("server %q is in no site (have %s)", name, strings.Join(t.names(), ", "))
	}
	reached := &Topology{sites: t.sites, servers: t.servers, targets: make(map[string]minikeeper.Target, len(t.targets)+1)}
	maps.Copy(reached.targets, t.targets)
	reached.targets[name] = target
	return reached, nil
}

// Sites returns all sites in the order of the configuration.
func (t *Topology) Sites() []minikeeper.Site { return slices.Clone(t.sites) }

// Server returns the server called name.
func (t *Topology) Server(name string) (minikeeper.Server, bool) {
	s, ok := t.servers[name]
	return s, ok
}

// Target returns the way to the server called name.
func (t *Topology) Target(name string) (minikeeper.Target, error) {
	if target, ok := t.targets[name]; ok {
		return target, nil
	}
	if _, ok := t.servers[name]; ok {
		return nil, fmt.Errorf("server %q has neither keeper nor local in its site: nothing can be done on it", name)
	}
	return nil, fmt.Errorf("server %q is in no site (have %s)", name, strings.Join(t.names(), ", "))
}

func (t *Topology) names() []string {
	var names []string
	for _, site := range t.sites {
		for _, s := range site.Servers {
			names = append(names, s.Name)
		}
	}
	return names
}
