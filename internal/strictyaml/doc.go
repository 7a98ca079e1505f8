package strictyaml

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// A Doc is a file that was decoded; it knows where each value stands.
type Doc struct {
	file     string
	src      []byte
	root     *yaml.Node // nil if the file could not be parsed
	expanded []Expansion
}

// An Expansion is a scalar in which variables were filled in.
type Expansion struct {
	Path    []any
	Written string // as it stands in the file
	Value   string // what it came to, which may be a secret
}

// Key is a name that stands, as the last element of a path, for the key itself
// rather than for its value.
type Key string

// Problem returns a problem at the value that path leads to. Elements of path
// are strings and [Key] for keys and ints for items of lists, from 0. If the
// value is not in the file, the position is that of its nearest ancestor.
func (d *Doc) Problem(path []any, format string, args ...any) Problem {
	p := Problem{File: d.file, Line: 1, Col: 1, Message: fmt.Sprintf(format, args...)}
	if n, _ := d.find(path); n != nil {
		p.Line, p.Col = n.Line, n.Column
	}
	return p
}

// Has tells whether the file has a value at path.
func (d *Doc) Has(path ...any) bool {
	_, exact := d.find(path)
	return exact
}

// Line returns the line of the value at path, or of its nearest ancestor.
func (d *Doc) Line(path ...any) int { return d.Problem(path, "").Line }

// Written returns the scalar at path as it stands in the file, before
// variables are filled in; "" if there is none.
func (d *Doc) Written(path ...any) string {
	n, exact := d.find(path)
	if !exact || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// Expanded returns the scalars in which variables were filled in.
func (d *Doc) Expanded() []Expansion { return d.expanded }

// find walks down path. exact tells whether it came to its end.
func (d *Doc) find(path []any) (n *yaml.Node, exact bool) {
	n = d.root
	if n == nil {
		return nil, false
	}
	for _, step := range path {
		child := descend(n, step)
		if child == nil {
			return n, false
		}
		n = child
	}
	return n, true
}

func descend(n *yaml.Node, step any) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch step := step.(type) {
	case int:
		if n.Kind == yaml.SequenceNode && step >= 0 && step < len(n.Content) {
			return n.Content[step]
		}
	case string:
		if key := entry(n, step); key >= 0 {
			return n.Content[key+1]
		}
	case Key:
		if key := entry(n, string(step)); key >= 0 {
			return n.Content[key]
		}
	}
	return nil
}

// entry returns the index of the key called name in the mapping n, or -1.
func entry(n *yaml.Node, name string) int {
	if n.Kind != yaml.MappingNode {
		return -1
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Kind == yaml.ScalarNode && n.Content[i].Value == name {
			return i
		}
	}
	return -1
}
