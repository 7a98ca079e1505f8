package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/minikeeper/minikeeper/internal/strictyaml"
)

// checker collects what is wrong with one file.
type checker struct {
	*Config
	file     string
	known    Known
	doc      *strictyaml.Doc
	unread   strictyaml.Problems // what could not even be decoded
	problems strictyaml.Problems // all
}

func newChecker(file string, known Known) *checker {
	c := &checker{Config: new(Config), file: file, known: known}
	c.Dir = filepath.Dir(file)
	if dir, err := filepath.Abs(c.Dir); err == nil {
		c.Dir = dir
	}
	return c
}

// result is the configuration if nothing is wrong with it.
func (c *checker) result() (*Config, error) {
	if err := c.problems.Err(); err != nil {
		return nil, err
	}
	return c.Config, nil
}

// at is a path in the file.
func at(steps ...any) []any { return steps }

// under is a path below another one.
func under(path []any, steps ...any) []any { return slices.Concat(path, steps) }

// bad notes a problem at path. A value that could not even be decoded has its
// problem already.
func (c *checker) bad(path []any, format string, args ...any) {
	for i, arg := range args {
		args[i] = c.masked(arg)
	}
	p := c.doc.Problem(path, format, args...)
	if !c.unread.At(p) {
		c.problems = append(c.problems, p)
	}
}

// masked puts variables back into what a message says: what they hold may be
// a secret.
func (c *checker) masked(arg any) any {
	var s string
	switch arg := arg.(type) {
	case string:
		s = arg
	case error:
		s = arg.Error()
	default:
		return arg
	}
	for _, v := range c.variables {
		if len(v.Value) < 3 {
			continue // no secret, and likely part of other words
		}
		s = strings.ReplaceAll(s, v.Value, v.Written)
		quoted := strconv.Quote(v.Value)
		s = strings.ReplaceAll(s, quoted[1:len(quoted)-1], v.Written)
	}
	return s
}

// require notes a problem if the key at path is missing. It tells whether the
// key is there, whatever its value is.
func (c *checker) require(path []any, format string, args ...any) bool {
	if c.doc.Has(path...) {
		return true
	}
	c.bad(path, format, args...)
	return false
}

// oneOf notes a problem if value is not one of choices.
func (c *checker) oneOf(path []any, key, value string, choices ...string) {
	if !slices.Contains(choices, value) {
		c.bad(path, "unknown %s %q (have %s)", key, value, have(choices))
	}
}

// name notes a problem if value cannot be the name of a what: such names stand
// in URLs, file names and labels.
func (c *checker) name(path []any, what, value string) {
	fits := func(r rune) bool {
		return strings.ContainsRune("._-", r) || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	odd := strings.ContainsFunc(value, func(r rune) bool { return !fits(r) })
	if value == "" || odd || strings.Contains("._-", value[:1]) {
		c.bad(path, "%s %q wants a name of letters, digits and . _ - that begins with a letter or digit", what, value)
	}
}

// duration notes a problem if d is shorter than least.
func (c *checker) duration(path []any, key string, d, least Duration) {
	if d < least {
		c.bad(path, "%s wants at least %v, not %v", key, least, d)
	}
}

// relative resolves paths against the folder of the file; an empty one stays.
func (c *checker) relative(paths ...*string) { resolve(c.Dir, paths...) }

func resolve(dir string, paths ...*string) {
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}

// unique notes a problem if name was seen before, and remembers it.
type unique struct {
	c    *checker
	what string
	seen map[string]int
}

func (u unique) add(path []any, name string) {
	line, dup := u.seen[name]
	if dup && name != "" {
		u.c.bad(path, "%s %q is already on line %d", u.what, name, line)
		return
	}
	u.seen[name] = u.c.doc.Line(path...)
}

// have lists names for a message.
func have(names []string) string {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	names = slices.DeleteFunc(names, func(name string) bool { return name == "" })
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// isAddress tells whether s is HOST:PORT with a number for a port. The host
// may be left out, which is every address of the machine.
func isAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil && !strings.HasPrefix(port, "+")
}

// httpURL says what is wrong with s as the base of HTTP requests.
func httpURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("wants an address such as https://lon-mini-1:9797, not %q", withoutPassword(u, s))
	case u.User != nil:
		return errors.New("wants no user in the address: give token_file or cert_file")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("wants an address without ? and #")
	}
	return nil
}

func withoutPassword(u *url.URL, s string) string {
	if u == nil || u.User != nil || strings.Contains(s, "@") {
		return "what is given here"
	}
	return s
}
