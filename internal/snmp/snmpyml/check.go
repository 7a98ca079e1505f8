package snmpyml

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/minikeeper/minikeeper/internal/strictyaml"
)

// checker collects what is wrong with one file.
type checker struct {
	doc      *strictyaml.Doc
	unread   strictyaml.Problems
	problems strictyaml.Problems
	env      func(string) (string, bool)
	path     []any // of the block that is being checked
}

// bad notes a problem at steps below the current path.
func (c *checker) bad(steps []any, format string, args ...any) {
	p := c.doc.Problem(slices.Concat(c.path, steps), format, args...)
	if !c.unread.At(p) {
		c.problems = append(c.problems, p)
	}
}

// in runs f for the block at steps below the current one.
func (c *checker) in(f func(), steps ...any) {
	was := c.path
	c.path = slices.Concat(was, steps)
	f()
	c.path = was
}

func key(steps ...any) []any { return steps }

func (c *checker) oneOf(name, value string, choices ...string) {
	if !slices.Contains(choices, value) {
		slices.Sort(choices)
		c.bad(key(name), "unknown %s %q (have %s)", name, value, strings.Join(choices, ", "))
	}
}

// oid returns s without a leading dot.
func (c *checker) oid(steps []any, s string) string {
	plain := strings.TrimPrefix(s, ".")
	for part := range strings.SplitSeq(plain, ".") {
		if _, err := strconv.ParseUint(part, 10, 32); err != nil {
			c.bad(steps, "%v wants an OID such as 1.3.6.1.2.1.1, not %q", lastKey(steps), s)
			return ""
		}
	}
	return plain
}

// lastKey is what messages call the value at steps.
func lastKey(steps []any) string {
	suffix := ""
	for _, step := range slices.Backward(steps) {
		if name, ok := step.(string); ok {
			return name + suffix
		}
		suffix = fmt.Sprintf("[%d]", step)
	}
	return "value"
}

// name checks the name of a metric or label as Prometheus has always had them.
func (c *checker) name(steps []any, s string, colons bool) {
	for i, r := range s {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || colons && r == ':'
		if !letter && (i == 0 || r < '0' || r > '9') {
			c.bad(steps, "%s wants letters, digits and _, not %q", lastKey(steps), s)
			return
		}
	}
	if s == "" {
		c.bad(steps, "%s is missing", lastKey(steps))
	}
}

// enum turns the numbers of an enumeration into numbers.
func (c *checker) enum(raw map[string]string) map[int]string {
	if len(raw) == 0 {
		return nil
	}
	values := make(map[int]string, len(raw))
	for _, number := range slices.Sorted(maps.Keys(raw)) {
		n, err := strconv.ParseInt(number, 0, 32)
		if err != nil {
			c.bad(key("enum_values", strictyaml.Key(number)), "enum_values wants whole numbers, not %q", number)
		}
		values[int(n)] = raw[number]
	}
	return values
}
