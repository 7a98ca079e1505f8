// Package strictyaml reads YAML that people write and reports everything that
// is wrong with it at once, each problem with its line and column.
//
// It exists because the decoder of the YAML library stops caring about unknown
// keys inside custom types, names Go types in its messages, and ignores second
// documents. Here the tree of nodes is walked against the Go type instead.
//
// It imports nothing of this module, opens no files and reads no environment:
// bytes come in, and variables through a function that the caller gives.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds on what a file may ask of this process.
const (
	maxFile    = 8 << 20 // bytes
	maxDepth   = 100     // levels of nesting
	maxAliased = 10_000  // values reached through aliases
)

// An Option changes how [Decode] reads.
type Option func(*decoder)

// WithEnv has ${NAME} in scalar values replaced by what lookup says. A name
// that it does not know is a problem; $${ stands for a plain ${. Keys and raw
// blocks are never touched, and without this option nothing is.
func WithEnv(lookup func(name string) (string, bool)) Option {
	return func(d *decoder) { d.env = lookup }
}

// Decode reads src, which came from file, into the value that into points to.
//
// Struct fields are found by their `yaml:"name"` tag; fields without one are
// not read; `yaml:",inline"` takes in the fields of an embedded struct. Scalar
// types of one's own implement [encoding.TextUnmarshaler], with errors that
// begin with "wants", and may implement [Wanter].
//
// A key without a value is an empty block where a block is wanted (a pointer to
// a struct is then not nil), and a problem where a scalar is wanted.
//
// What could be read is in into even when there are problems. The returned Doc
// is never nil. Decode panics only if into is not a pointer to a struct.
func Decode(file string, src []byte, into any, options ...Option) (*Doc, Problems) {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.Elem().Kind() != reflect.Struct {
		panic("strictyaml: Decode wants a pointer to a struct")
	}
	doc, problems := parse(file, src)
	d := &decoder{doc: doc, problems: problems, aliased: maxAliased}
	for _, o := range options {
		o(d)
	}
	if doc.root != nil {
		d.value(doc.root, target.Elem())
	}
	// What is wrong behind an anchor is found again through each alias.
	return doc, slices.Compact(d.problems.Sorted())
}

// parse turns src into a tree. A document that could be read is returned even
// if something is wrong behind it.
func parse(file string, src []byte) (*Doc, Problems) {
	doc := &Doc{file: file, src: bytes.TrimPrefix(src, []byte("\ufeff"))}
	fail := func(line, col int, format string, args ...any) (*Doc, Problems) {
		return doc, Problems{{file, line, col, fmt.Sprintf(format, args...)}}
	}
	if len(src) > maxFile {
		return fail(1, 1, "the file is larger than %d MiB", maxFile>>20)
	}
	if line, col, ok := validUTF8(doc.src); !ok {
		return fail(line, col, "this byte is not UTF-8 text")
	}

	dec := yaml.NewDecoder(bytes.NewReader(doc.src))
	root, err := next(dec)
	if errors.Is(err, io.EOF) || err == nil && isNull(root) && root.Value == "" {
		return fail(1, 1, "the file is empty")
	}
	if err != nil {
		line, message := syntax(err)
		return fail(line, 1, "%s", message)
	}
	doc.root = root

	second, err := next(dec)
	switch {
	case errors.Is(err, io.EOF):
		return doc, nil
	case err != nil:
		line, message := syntax(err)
		return fail(line, 1, "%s", message)
	default:
		return fail(second.Line, second.Column, "a second document begins here, and a file may hold one only")
	}
}

// next reads one document. The library panics on some inputs that are not
// YAML; to its caller that is one more syntax error.
func next(dec *yaml.Decoder) (root *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: this is not YAML: %v", r)
		}
	}()
	var n yaml.Node
	if err := dec.Decode(&n); err != nil {
		return nil, err
	}
	if n.Kind != yaml.DocumentNode || len(n.Content) != 1 {
		return nil, io.EOF
	}
	return n.Content[0], nil
}

// syntax takes the library's message "yaml: line 3: …" apart.
func syntax(err error) (line int, message string) {
	message = strings.TrimPrefix(err.Error(), "yaml: ")
	line = 1
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		number, text, found := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(number); found && err == nil {
			line, message = max(n, 1), text
			if strings.HasPrefix(text, "did not find expected") && !strings.HasSuffix(text, "character") {
				line++ // the library's parser counts from 0 here, its scanner does not
			}
		}
	}
	return line, "not valid YAML: " + strings.ToValidUTF8(plain(message), "?")
}

// plain says in words what the library says in terms of its grammar.
func plain(message string) string {
	switch message {
	case "did not find expected '-' indicator", "did not find expected key":
		return "a block that begins or ends here is not indented as it should be"
	case "did not find expected ',' or ']'":
		return "a list in [ ] is not closed or lacks a comma"
	case "did not find expected ',' or '}'":
		return "a block in { } is not closed or lacks a comma"
	case "found character that cannot start any token":
		return "a tab, @, ` or % cannot stand here"
	default:
		return message
	}
}

// validUTF8 returns the position of the first byte that is not UTF-8.
func validUTF8(src []byte) (line, col int, ok bool) {
	line, col = 1, 1
	for len(src) > 0 {
		r, size := utf8.DecodeRune(src)
		switch {
		case r == utf8.RuneError && size == 1:
			return line, col, false
		case r == '\n':
			line, col = line+1, 1
		default:
			col++
		}
		src = src[size:]
	}
	return 0, 0, true
}
