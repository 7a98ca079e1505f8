package config

import (
	"slices"
	"strings"

	"github.com/minikeeper/minikeeper/internal/strictyaml"
)

// Actions are what may be done on this machine.
type Actions struct {
	Allow    []string            `yaml:"allow,omitempty"`    // names of actions; none if empty
	Commands map[string][]string `yaml:"commands,omitempty"` // argument lists that the action `command` may run, by name
}

// Access says which users and client certificates have which role.
type Access struct {
	View    []string `yaml:"view,omitempty"`    // see the pages
	Scrape  []string `yaml:"scrape,omitempty"`  // read metrics
	Share   []string `yaml:"share,omitempty"`   // read shares
	Operate []string `yaml:"operate,omitempty"` // ask for actions
	Approve []string `yaml:"approve,omitempty"` // approve and deny runs
}

// Roles returns the names by role.
func (a Access) Roles() map[string][]string {
	return map[string][]string{
		"view": a.View, "scrape": a.Scrape, "share": a.Share, "operate": a.Operate, "approve": a.Approve,
	}
}

func (c *checker) checkActions() {
	for i, name := range c.Actions.Allow {
		c.oneOf(at("actions", "allow", i), "action", name, c.known.Actions...)
	}
	for name, args := range c.Actions.Commands {
		path := at("actions", "commands", name)
		c.name(at("actions", "commands", strictyaml.Key(name)), "command", name)
		if len(args) == 0 || args[0] == "" {
			c.bad(path, "command %q wants a program and its arguments, such as [/usr/sbin/sharing, -l]", name)
			continue
		}
		if strings.Contains(args[0], "/") { // a bare name is looked up in path
			c.relative(&args[0])
		}
	}
	for role, names := range c.Access.Roles() {
		path := at("access", role)
		if len(names) > 0 && c.WebConfig == "" && !c.doc.Has("web_config") {
			c.bad(path, "%s names people, but without web_config nobody can be told apart", role)
		}
		if i := slices.Index(names, ""); i >= 0 {
			c.bad(under(path, i), "%s[%d] wants the name of a user or client certificate", role, i)
		}
	}
}
