package strictyaml

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A Wanter says what its values look like, such as "a duration such as 30m".
// It completes the messages about lists and blocks that stand in its place.
type Wanter interface{ Wants() string }

// A Defaulter is a struct that sets its own defaults. SetDefaults is called
// before its keys are read, also when its block is empty, but not when its key
// is absent: a struct sets the defaults of the structs that it holds by value.
type Defaulter interface{ SetDefaults() }

// decoder walks one document.
type decoder struct {
	doc      *Doc
	env      func(string) (string, bool) // nil: variables are left alone
	problems Problems
	path     []any
	alias    *yaml.Node // the first alias on the way to the current node, or nil
	aliased  int        // how many more values may be reached through aliases
}

func (d *decoder) add(n *yaml.Node, format string, args ...any) {
	d.problems = append(d.problems, Problem{d.doc.file, n.Line, n.Column, fmt.Sprintf(format, args...)})
}

// value decodes n into v, which is addressable.
func (d *decoder) value(n *yaml.Node, v reflect.Value) {
	if n.Kind == yaml.AliasNode {
		if d.alias == nil {
			d.alias = n
			defer func() { d.alias = nil }()
		}
		n = n.Alias
	}
	if !d.within(n) {
		return
	}
	if raw, ok := reflect.TypeAssert[*Raw](v.Addr()); ok {
		d.raw(n, raw)
		return
	}
	if t, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		d.text(n, t)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem())
	case reflect.Struct:
		if t, ok := reflect.TypeAssert[Defaulter](v.Addr()); ok {
			t.SetDefaults()
		}
		if d.is(n, yaml.MappingNode, "a block of keys") {
			d.structure(n, v)
		}
	case reflect.Map:
		if d.is(n, yaml.MappingNode, "a block of names and values") {
			d.mapping(n, v)
		}
	case reflect.Slice:
		if d.is(n, yaml.SequenceNode, "a list such as [a, b]") {
			d.list(n, v)
		}
	default:
		d.scalar(n, v)
	}
}

// within keeps the walk bounded, whatever aliases and nesting say.
func (d *decoder) within(n *yaml.Node) bool {
	if d.alias != nil {
		if d.aliased--; d.aliased == -1 {
			d.add(d.alias, "aliases stand for too much here: write it out")
		}
		if d.aliased < 0 {
			return false
		}
	}
	if len(d.path) > maxDepth {
		d.add(n, "more than %d levels of nesting", maxDepth)
		return false
	}
	return true
}

// is tells whether n has content of the wanted kind, and complains if it is
// another. A key without a value is an empty block or list, which is no problem.
func (d *decoder) is(n *yaml.Node, kind yaml.Kind, wants string) bool {
	if n.Kind == kind {
		return true
	}
	if !isNull(n) {
		d.add(n, "%s wants %s, not %s", d.name(), wants, show(n))
	}
	return false
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value) {
	fields := fieldsOf(v.Type(), nil)
	d.entries(n, func(key, val *yaml.Node) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == key.Value })
		if i < 0 {
			d.add(key, "unknown key %s (have %s)", show(key), names(fields))
			return
		}
		d.at(key.Value, func() { d.value(val, v.FieldByIndex(fields[i].index)) })
	})
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value) {
	if v.Type().Key().Kind() != reflect.String {
		d.add(n, "%s cannot be read into a %s", d.name(), v.Type())
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	d.entries(n, func(key, val *yaml.Node) {
		elem := reflect.New(v.Type().Elem()).Elem()
		d.at(key.Value, func() { d.value(val, elem) })
		v.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), elem)
	})
}

// entries calls f for each entry of n that has a usable key, once per key.
func (d *decoder) entries(n *yaml.Node, f func(key, val *yaml.Node)) {
	lines := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || isNull(key) {
			d.add(key, "a key must be a word, not %s", show(key))
			continue
		}
		if line, dup := lines[key.Value]; dup {
			d.add(key, "key %s is already given on line %d", show(key), line)
			continue
		}
		lines[key.Value] = key.Line
		f(key, n.Content[i+1])
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value) {
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		d.at(i, func() { d.value(item, v.Index(i)) })
	}
}

// at runs f one step further down the path.
func (d *decoder) at(step any, f func()) {
	d.path = append(d.path, step)
	f()
	d.path = d.path[:len(d.path)-1]
}

// name is what messages call the current value: its key, and its place in the
// list if it stands in one.
func (d *decoder) name() string {
	suffix := ""
	for _, step := range slices.Backward(d.path) {
		if key, ok := step.(string); ok {
			return key + suffix
		}
		suffix = fmt.Sprintf("[%d]", step) + suffix
	}
	return "the file"
}

// A field is one key that a struct has.
type field struct {
	name  string
	index []int
}

func fieldsOf(t reflect.Type, above []int) []field {
	var all []field
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(slices.Clone(above), i)
		name, flags, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "-":
		case name != "":
			all = append(all, field{name, index})
		case flags == "inline" && f.Type.Kind() == reflect.Struct:
			all = append(all, fieldsOf(f.Type, index)...)
		}
	}
	return all
}

func names(fields []field) string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.name
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// show says in a message what n is, as it is written: a variable is not filled in.
func show(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a block of keys"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias"
	case isNull(n):
		return "nothing"
	default:
		return quote(n.Value)
	}
}

// quote shows a text in a message, shortened if it is long.
func quote(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return fmt.Sprintf("%q", s)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }
