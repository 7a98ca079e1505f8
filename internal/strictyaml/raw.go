package strictyaml

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Raw is a block that belongs to somebody else's format. It is kept as it is
// written and not looked into; no variables are filled in.
type Raw struct {
	// Text is the block, indented as in the file, from its first line to the
	// line before whatever follows it. A block in [flow, {style: x}] is
	// written anew.
	Text []byte
	// Line is the line of the file on which Text begins, from 1.
	Line int
	// Node is the parsed block; it must not be changed.
	Node *yaml.Node
}

// Items returns how many items the block has; 0 if it is not a list.
func (r Raw) Items() int {
	if r.Node == nil || r.Node.Kind != yaml.SequenceNode {
		return 0
	}
	return len(r.Node.Content)
}

// Under returns a YAML document in which the block stands under key. Its lines
// have the numbers that they have in the file, so that messages of whoever
// parses it point there.
func (r Raw) Under(key string) []byte {
	if r.Node == nil {
		return nil
	}
	var b bytes.Buffer
	if r.Line > 1 {
		b.WriteString(strings.Repeat("\n", r.Line-2) + key + ":\n")
	} else {
		b.WriteString(key + ": ") // a block cannot stand on the first line, so this is flow style
	}
	b.Write(r.Text)
	return b.Bytes()
}

// MarshalYAML implements [yaml.Marshaler].
func (r Raw) MarshalYAML() (any, error) {
	if r.Node == nil {
		return nil, nil
	}
	return r.Node, nil
}

// IsZero tells whether the file has no such block.
func (r Raw) IsZero() bool { return r.Node == nil }

func (d *decoder) raw(n *yaml.Node, into *Raw) {
	if isNull(n) {
		return
	}
	inside := make(map[*yaml.Node]bool)
	walk(n, func(n *yaml.Node) { inside[n] = true })
	closed := true
	walk(n, func(n *yaml.Node) {
		if n.Kind == yaml.AliasNode && !inside[n.Alias] {
			d.add(n, "an alias in %s may stand only for something in %s", d.name(), d.name())
			closed = false
		}
	})
	if !closed {
		return
	}
	into.Line, into.Node = n.Line, n
	if text := d.doc.block(n); sameTree(text, n) {
		into.Text = text
		return
	}
	text, err := yaml.Marshal(n)
	if err != nil {
		d.add(n, "%s cannot be written as YAML: %v", d.name(), err)
		return
	}
	into.Text = append([]byte(" "), bytes.ReplaceAll(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"), []byte("\n "))...)
	into.Text = append(into.Text, '\n')
}

// block cuts the lines of n out of the source, up to the node that follows it.
func (d *Doc) block(n *yaml.Node) []byte {
	if n.Style&yaml.FlowStyle != 0 {
		return nil
	}
	from := offset(d.src, n.Line, n.Column)
	to := len(d.src)
	if after := following(d.root, n); after != nil {
		to = offset(d.src, after.Line, 1)
	}
	if from > to {
		return nil
	}
	text := append([]byte(strings.Repeat(" ", n.Column-1)), bytes.TrimRight(d.src[from:to], " \t\r\n")...)
	return append(text, '\n')
}

// following returns the node that comes after n and all it holds, or nil.
func following(root, n *yaml.Node) *yaml.Node {
	within := make(map[*yaml.Node]bool)
	walk(n, func(n *yaml.Node) { within[n] = true })
	var next *yaml.Node
	seen := false
	walk(root, func(m *yaml.Node) {
		if seen && next == nil && !within[m] {
			next = m
		}
		seen = seen || m == n
	})
	return next
}

// walk calls f for n and all nodes in it, in the order of the source.
func walk(n *yaml.Node, f func(*yaml.Node)) {
	f(n)
	for _, child := range n.Content {
		walk(child, f)
	}
}

// offset turns a position, as the library counts, into an index of src. YAML
// knows more line breaks than \n.
func offset(src []byte, line, col int) int {
	at := 0
	for at < len(src) && (line > 1 || col > 1) {
		r, size := utf8.DecodeRune(src[at:])
		if r == '\r' && bytes.HasPrefix(src[at+1:], []byte("\n")) {
			size = 2
			r = '\n'
		}
		switch r {
		case '\n', '\r', '\u0085', '\u2028', '\u2029':
			if line == 1 {
				return at
			}
			line--
		default:
			if line == 1 {
				col--
			}
		}
		at += size
	}
	return at
}

// sameTree tells whether text alone means what n means.
func sameTree(text []byte, n *yaml.Node) bool {
	if text == nil {
		return false
	}
	m, err := next(yaml.NewDecoder(bytes.NewReader(text)))
	return err == nil && equal(m, n)
}

func equal(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Value != b.Value || a.ShortTag() != b.ShortTag() || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !equal(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}
