package strictyaml

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// scalar decodes n into a string, boolean or number.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d.text(n, (*Duration)(v.Addr().Interface().(*time.Duration)))
		return
	}
	d.text(n, basic{v})
}

// text hands the scalar n to t.
func (d *decoder) text(n *yaml.Node, t encoding.TextUnmarshaler) {
	wants := "one value"
	if w, ok := t.(Wanter); ok {
		wants = w.Wants()
	}
	if isNull(n) {
		d.add(n, "%s has no value; it wants %s", d.name(), wants)
		return
	}
	if n.Kind != yaml.ScalarNode {
		d.add(n, "%s wants %s, not %s", d.name(), wants, show(n))
		return
	}
	text, ok := d.expand(n)
	if !ok {
		return
	}
	err := t.UnmarshalText([]byte(text))
	switch {
	case err == nil:
	case text != n.Value: // the error may show what a variable holds, which may be a secret
		d.add(n, "%s wants %s, and %s does not hold that", d.name(), wants, show(n))
	default:
		d.add(n, "%s %v", d.name(), err)
	}
}

// expand fills in the variables of the scalar n.
func (d *decoder) expand(n *yaml.Node) (text string, ok bool) {
	if d.env == nil || !strings.Contains(n.Value, "${") {
		return n.Value, true
	}
	text, errs := expand(n.Value, d.env)
	for _, err := range errs {
		d.add(n, "%s: %v", d.name(), err)
	}
	if text != n.Value {
		d.doc.expanded = append(d.doc.expanded, Expansion{slices.Clone(d.path), n.Value, text})
	}
	return text, len(errs) == 0
}

func expand(s string, env func(string) (string, bool)) (string, []error) {
	var b strings.Builder
	var errs []error
	for {
		before, rest, found := strings.Cut(s, "${")
		if !found {
			return b.String() + s, errs
		}
		if plain, escaped := strings.CutSuffix(before, "$"); escaped {
			b.WriteString(plain + "${")
			s = rest
			continue
		}
		b.WriteString(before)
		name, after, closed := strings.Cut(rest, "}")
		switch value, set := env(name); {
		case !closed || !isName(name):
			return b.String(), append(errs, errors.New("after ${ comes the name of an environment variable and }; write $${ for a plain ${"))
		case !set:
			errs = append(errs, fmt.Errorf("environment variable %s is not set", name))
		default:
			b.WriteString(value)
		}
		s = after
	}
}

// isName tells whether s can be the name of an environment variable.
func isName(s string) bool {
	for i, r := range s {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// basic decodes Go's own scalar kinds.
type basic struct{ v reflect.Value }

func (b basic) Wants() string {
	switch {
	case b.v.Kind() == reflect.String:
		return "a text"
	case b.v.Kind() == reflect.Bool:
		return "true or false"
	case b.v.CanInt(), b.v.CanUint():
		return "a whole number"
	case b.v.CanFloat():
		return "a number"
	default:
		return "what this program cannot read, a " + b.v.Type().String()
	}
}

func (b basic) UnmarshalText(text []byte) error {
	s, v := string(text), b.v
	bad := fmt.Errorf("wants %s, not %s", b.Wants(), quote(s))
	switch {
	case v.Kind() == reflect.String:
		v.SetString(s)
	case v.Kind() == reflect.Bool && (s == "true" || s == "false"):
		v.SetBool(s == "true")
	case v.CanInt():
		n, err := strconv.ParseInt(s, 10, v.Type().Bits())
		if err != nil {
			return outOfRange(err, bad, s)
		}
		v.SetInt(n)
	case v.CanUint():
		n, err := strconv.ParseUint(s, 10, v.Type().Bits())
		if err != nil {
			return outOfRange(err, bad, s)
		}
		v.SetUint(n)
	case v.CanFloat():
		f, err := strconv.ParseFloat(s, v.Type().Bits())
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return bad
		}
		v.SetFloat(f)
	default:
		return bad
	}
	return nil
}

func outOfRange(err, otherwise error, s string) error {
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("wants a smaller number than %s", quote(s))
	}
	return otherwise
}
