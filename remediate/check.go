package remediate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/minikeeper/minikeeper/internal/strictyaml"
)

// A checker judges what remedies mean, once they could be read.
type checker struct {
	known    Known
	remedies []*Remedy
	where    map[string]place // of each remedy, by name
	problems strictyaml.Problems
}

// A place is where a remedy stands.
type place struct {
	doc   *strictyaml.Doc
	index int
	at    string
	found strictyaml.Problems // what could not be read in its file
}

// say adds a problem, unless the value could not even be read.
func (p place) say(c *checker, path []any, format string, args ...any) {
	problem := p.doc.Problem(append([]any{"remedies", p.index}, path...), format, args...)
	if !p.found.At(problem) {
		c.problems = append(c.problems, problem)
	}
}

// file checks the remedies of one file.
func (c *checker) file(doc *strictyaml.Doc, name string, found strictyaml.Problems, in fileYAML) {
	for i, r := range in.Remedies {
		p := place{doc: doc, index: i, at: fmt.Sprintf("%s:%d", name, doc.Line("remedies", i)), found: found}
		c.name(p, r.Name)
		c.action(p, r)
		c.guards(p, r.Guards)
		c.verify(p, r.Verify)
		if r.Target.String() == "" {
			p.say(c, []any{"target"}, `target is missing: it names the server, as in "{{ .server }}"`)
		}
		c.remedies = append(c.remedies, r.remedy(p.at))
		if _, dup := c.where[r.Name]; !dup {
			c.where[r.Name] = p
		}
	}
	if !doc.Has("remedies") && len(found) == 0 {
		c.problems = append(c.problems, doc.Problem(nil, "remedies is missing"))
	}
}

func (c *checker) name(p place, name string) {
	other, dup := c.where[name]
	switch {
	case name == "":
		p.say(c, []any{"name"}, "name is missing")
	case !isName(name):
		p.say(c, []any{"name"}, "name %q may hold letters, digits, - and _ only", name)
	case dup:
		p.say(c, []any{"name"}, "remedy %q is already at %s", name, other.at)
	}
}

// isName tells whether s can be typed as an argument and used as a label.
func isName(s string) bool {
	return s != "" && s[0] != '-' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

func (c *checker) action(p place, r remedyYAML) {
	names := slices.Sorted(maps.Keys(c.known.Actions))
	info, ok := c.known.Actions[r.Action]
	switch {
	case r.Action == "":
		p.say(c, []any{"action"}, "action is missing (have %s)", list(names))
		return
	case !ok:
		p.say(c, []any{"action"}, "unknown action %q (have %s)", r.Action, list(names))
		return
	case info.Check == nil:
		return
	}
	with := make(map[string]string, len(r.With))
	for name, t := range r.With {
		with[name] = t.String()
	}
	if err := info.Check(with); err != nil {
		p.say(c, []any{"with"}, "action %s: %v", r.Action, err)
	}
}

func (c *checker) guards(p place, g guardsYAML) {
	if g.Calendar != "" && !slices.Contains(c.known.Calendars, g.Calendar) {
		p.say(c, []any{"guards", "calendar"}, "unknown calendar %q (have %s)", g.Calendar, list(c.known.Calendars))
	}
	if g.Attempts.Max < 1 {
		p.say(c, []any{"guards", "attempts", "max"}, "max must be at least 1")
	}
	if g.Attempts.Per <= 0 {
		p.say(c, []any{"guards", "attempts", "per"}, "per must be longer than 0")
	}
	if g.Concurrent.Site < 1 {
		p.say(c, []any{"guards", "concurrent", "site"}, "site must be at least 1")
	}
	if g.Concurrent.Total < 1 {
		p.say(c, []any{"guards", "concurrent", "total"}, "total must be at least 1")
	}
}

func (c *checker) verify(p place, v verifyYAML) {
	if v.Within <= 0 {
		p.say(c, []any{"verify", "within"}, "within must be longer than 0")
	}
	if v.StableFor >= v.Within && v.Within > 0 {
		p.say(c, []any{"verify", "stable_for"}, "stable_for %s must be shorter than within %s", v.StableFor, v.Within)
	}
	if v.Expr.String() == "" {
		p.say(c, []any{"verify", "expr"}, "verify.expr is missing: nothing else proves that a run helped")
		return
	}
	if c.known.CheckExpr == nil {
		return
	}
	if err := c.known.CheckExpr(sample(v.Expr)); err != nil {
		p.say(c, []any{"verify", "expr"}, "verify.expr: %v", err)
	}
}

// sample fills in values that are only accepted between quotes, so that an
// expression into which a label would be put bare is refused.
func sample(t Template) string {
	labels := make(map[string]string)
	for _, name := range t.Labels() {
		labels[name] = "a value"
	}
	s, err := t.RenderExpr(labels)
	if err != nil {
		panic("a template lacks a label that it names itself: " + err.Error())
	}
	return s
}

// references checks what remedies say of each other.
func (c *checker) references() {
	names := slices.Sorted(maps.Keys(c.where))
	escalated, seen := make(map[string]bool), make(map[string]bool)
	for _, r := range c.remedies {
		if seen[r.Name] {
			continue // it is complained of already
		}
		seen[r.Name] = true
		for i, next := range r.Escalate {
			escalated[next] = true
			if _, ok := c.where[next]; !ok {
				c.where[r.Name].say(c, []any{"escalate", i}, "unknown remedy %q (have %s)", next, list(names))
			}
		}
		if cycle := c.cycle(r.Name); cycle != nil {
			c.where[r.Name].say(c, []any{"escalate"}, "escalation goes in a circle: %s", strings.Join(cycle, " → "))
		}
	}
	for _, r := range c.remedies {
		if len(r.Match) == 0 && !escalated[r.Name] {
			c.where[r.Name].say(c, []any{"match"}, "match is missing, and no remedy escalates to %q", r.Name)
		}
	}
}

// cycle returns the way from the remedy called name back to itself, or nil.
func (c *checker) cycle(name string) []string {
	seen := make(map[string]bool)
	var walk func(at string, way []string) []string
	walk = func(at string, way []string) []string {
		for _, r := range c.remedies {
			if r.Name != at {
				continue
			}
			for _, next := range r.Escalate {
				if next == name {
					return append(way, next)
				}
				if seen[next] {
					continue
				}
				seen[next] = true
				if found := walk(next, append(slices.Clone(way), next)); found != nil {
					return found
				}
			}
		}
		return nil
	}
	return walk(name, []string{name})
}

func list(names []string) string {
	return orElse(strings.Join(slices.Sorted(slices.Values(names)), ", "), "none")
}
