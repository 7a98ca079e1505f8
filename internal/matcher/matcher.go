// Package matcher reads the label matchers of Alertmanager, such as
// severity="page", and says whether they fit an alert's labels. It does
// nothing else and imports nothing of this module.
package matcher

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxLength bounds a matcher, and with it the time to compile its expression.
const maxLength = 4096

// An Op is how a matcher compares.
type Op string

// The operators of Alertmanager.
const (
	Equal     Op = "="
	NotEqual  Op = "!="
	Regexp    Op = "=~" // the expression must fit the whole value
	NotRegexp Op = "!~"
)

// A Matcher is a condition on one label. A label that is not there has the
// value "". The zero Matcher fits nothing.
type Matcher struct {
	Name  string
	Op    Op
	Value string

	re *regexp.Regexp // of Regexp and NotRegexp
}

// Parse reads NAME OP VALUE. The value may stand in double quotes, with \",
// \\ and \n inside; without them it ends at the first blank. The error is a
// sentence that lacks its subject, such as `wants a matcher …`.
func Parse(s string) (Matcher, error) {
	m, err := parse(s)
	if err != nil {
		return Matcher{}, fmt.Errorf(`wants a matcher such as severity="page", not %s: %w`, shown(s), err)
	}
	return m, nil
}

func parse(s string) (Matcher, error) {
	if len(s) > maxLength || !utf8.ValidString(s) {
		return Matcher{}, fmt.Errorf("it must be at most %d bytes of UTF-8", maxLength)
	}
	s = strings.TrimSpace(s)
	end := 0
	for end < len(s) && inName(s[end], end == 0) {
		end++
	}
	m := Matcher{Name: s[:end]}
	if m.Name == "" {
		return m, errors.New("it begins with no label name")
	}
	rest := strings.TrimLeft(s[end:], " \t")
	for _, op := range []Op{Regexp, NotRegexp, NotEqual, Equal} { // the longer first
		if after, ok := strings.CutPrefix(rest, string(op)); ok {
			m.Op, rest = op, strings.TrimLeft(after, " \t")
			break
		}
	}
	if m.Op == "" {
		return m, fmt.Errorf("no =, !=, =~ or !~ follows %q", m.Name)
	}
	var err error
	if m.Value, err = value(rest); err != nil {
		return m, err
	}
	if m.Op == Regexp || m.Op == NotRegexp {
		if _, err = regexp.Compile(m.Value); err != nil { // alone, so that )( cannot open the anchors
			return m, err
		}
		if m.re, err = regexp.Compile("^(?s:" + m.Value + ")$"); err != nil {
			return m, err
		}
	}
	return m, nil
}

// inName tells whether c may stand in a label's name.
func inName(c byte, first bool) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || !first && '0' <= c && c <= '9'
}

// value reads what follows the operator to the end of s.
func value(s string) (string, error) {
	quoted, ok := strings.CutPrefix(s, `"`)
	if !ok {
		if strings.ContainsAny(s, " \t\n\",{}") {
			return "", errors.New("its value needs double quotes")
		}
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(quoted); i++ {
		switch c := quoted[i]; c {
		case '"':
			if i+1 < len(quoted) {
				return "", fmt.Errorf("%q follows the value", quoted[i+1:])
			}
			return b.String(), nil
		case '\\':
			i++
			b.WriteString(unescape(quoted[i:min(i+1, len(quoted))]))
		default:
			b.WriteByte(c)
		}
	}
	return "", errors.New("its closing quote is missing")
}

// unescape returns what a backslash before c means. Before other characters it
// stands for itself, so that expressions such as \d need no doubling.
func unescape(c string) string {
	switch c {
	case "n":
		return "\n"
	case `"`, `\`:
		return c
	default:
		return `\` + c
	}
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (m *Matcher) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}

// Wants says what a matcher looks like.
func (Matcher) Wants() string { return `a matcher such as severity="page"` }

// String shows m so that [Parse] reads it back.
func (m Matcher) String() string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	return m.Name + string(m.Op) + `"` + quote.Replace(m.Value) + `"`
}

// MarshalText implements [encoding.TextMarshaler].
func (m Matcher) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// Matches tells whether m fits labels.
func (m Matcher) Matches(labels map[string]string) bool {
	got := labels[m.Name]
	switch m.Op {
	case Equal:
		return got == m.Value
	case NotEqual:
		return got != m.Value
	case Regexp:
		return m.re != nil && m.re.MatchString(got)
	case NotRegexp:
		return m.re != nil && !m.re.MatchString(got)
	default:
		return false
	}
}

// Matchers are conditions that must all hold. None at all fit everything.
type Matchers []Matcher

// ParseAll reads one matcher from each of list.
func ParseAll(list []string) (Matchers, error) {
	all := make(Matchers, 0, len(list))
	for _, s := range list {
		m, err := Parse(s)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// Matches tells whether all of ms fit labels.
func (ms Matchers) Matches(labels map[string]string) bool {
	for _, m := range ms {
		if !m.Matches(labels) {
			return false
		}
	}
	return true
}

// String shows ms as they would be written in a list.
func (ms Matchers) String() string {
	all := make([]string, len(ms))
	for i, m := range ms {
		all[i] = m.String()
	}
	return strings.Join(all, ", ")
}

// shown quotes s for a message, shortened if it is long.
func shown(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return strconv.Quote(s)
}
