package delta

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// DefaultExclude returns the patterns of what macOS leaves in every folder that
// it touches and that is never a share's content.
func DefaultExclude() []string {
	return []string{".DS_Store", ".Spotlight-V100", ".Trashes", ".fseventsd", ".TemporaryItems", "._*"}
}

// A verdict is what the rules say of a path.
type verdict uint8

const (
	included   verdict = iota
	perishable         // junk of macOS: it goes when the folder around it goes
	protected          // excluded for a reason of the user's: it stays, whatever happens around it
)

// rules decide which entries are part of a share.
type rules struct {
	names    []string // patterns for names in any folder
	paths    []string // patterns for whole paths
	defaults []string // those for names that DefaultExclude has too
}

// newRules makes rules of patterns, or says which of them is malformed.
func newRules(patterns []string) (rules, error) {
	if patterns == nil {
		patterns = []string{"default"}
	}
	var r rules
	for _, p := range patterns {
		switch trimmed := strings.Trim(p, "/"); {
		case p == "default":
			r.defaults = append(r.defaults, DefaultExclude()...)
		case slices.Contains(DefaultExclude(), p):
			r.defaults = append(r.defaults, p)
		case trimmed == "":
			return rules{}, fmt.Errorf("%w %q: it names nothing", ErrPattern, p)
		case strings.Contains(strings.TrimSuffix(p, "/"), "/"):
			r.paths = append(r.paths, trimmed)
		default:
			r.names = append(r.names, trimmed)
		}
	}
	for _, p := range slices.Concat(r.names, r.paths) {
		if _, err := path.Match(p, ""); err != nil {
			return rules{}, fmt.Errorf("%w %q: %w", ErrPattern, p, err)
		}
	}
	return r, nil
}

// judge tells what the rules say of the entry name at the path rel.
func (r rules) judge(name, rel string) verdict {
	match := func(patterns []string, s string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool {
			if !strings.ContainsAny(p, `*?[\`) {
				return p == s // nearly all of them, and much faster
			}
			ok, _ := path.Match(p, s) // newRules has seen that it is well-formed
			return ok
		})
	}
	switch {
	case match(r.names, name) || match(r.paths, rel):
		return protected
	case match(r.defaults, name):
		return perishable
	default:
		return included
	}
}

// isReserved tells whether the path rel is the package's own folder, however a
// filesystem without cases might have it spelled.
func isReserved(rel string) bool { return strings.EqualFold(rel, reserved) }
