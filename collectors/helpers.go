package collectors

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"howett.net/plist"

	"github.com/minikeeper/minikeeper"
)

// tool runs the program usually called name, or the path that command names
// for it. An exit status other than zero is an error that carries the first
// line of what the program complained about; the result is returned beside it.
func (d Deps) tool(ctx context.Context, command map[string]string, name string, args ...string) (minikeeper.Result, error) {
	c := minikeeper.Command{Path: cmp.Or(command[name], name), Args: args}
	res, err := d.Run.Run(ctx, c)
	if err != nil {
		return minikeeper.Result{}, err // it names the program already
	}
	if res.Exit != 0 {
		said := cmp.Or(firstLine(res.Stderr), firstLine(res.Stdout), "it said nothing")
		return res, fmt.Errorf("%s: exit status %d: %s", c, res.Exit, said)
	}
	return res, nil
}

// output is tool where only what the program printed matters.
func (d Deps) output(ctx context.Context, command map[string]string, name string, args ...string) ([]byte, error) {
	res, err := d.tool(ctx, command, name, args...)
	return res.Stdout, err
}

// partOf returns ctx with the given part of the time that is left of it, so
// that a source that hangs leaves time for the others. The caller has to call
// the function that is returned with it.
func partOf(ctx context.Context, part float64) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(part*float64(time.Until(deadline))))
}

// Bounds of the lists that parsers read: what is longer is nonsense.
const (
	listLimit = 4 << 20  // bytes of the whole
	lineLimit = 64 << 10 // bytes of a line
)

// checkLength refuses a list that is too long to be one.
func checkLength(list string) error {
	if len(list) > listLimit {
		return fmt.Errorf("%d MiB are too much to be true", len(list)>>20)
	}
	return nil
}

// labels makes labels of name and value pairs.
func labels(pairs ...string) []minikeeper.Label {
	made := make([]minikeeper.Label, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		made = append(made, minikeeper.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return made
}

// sample makes a sample whose labels are name and value pairs.
func sample(name string, value float64, pairs ...string) minikeeper.Sample {
	return minikeeper.Sample{Name: name, Labels: labels(pairs...), Value: value}
}

// bool01 is a truth as a sample's value.
func bool01(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// firstLineLimit bounds how much of a program's words goes into an error.
const firstLineLimit = 200

// firstLine returns the first line of b that is not blank, shortened.
func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(b), []byte("\n"))
	line = bytes.TrimSpace(line)
	if len(line) > firstLineLimit {
		return string(bytes.ToValidUTF8(line[:firstLineLimit], nil)) + "…"
	}
	return string(bytes.ToValidUTF8(line, []byte("?")))
}

// plistDepth is how deep a program's property list may be. The reader of
// property lists is recursive, and a stack that overflows cannot be caught.
const plistDepth = 64

// readPlist decodes the XML property list that a program printed. (The other
// forms are files' alone, and one of them takes any word for a property list.)
func readPlist(b []byte, into any) error {
	b = bytes.TrimSpace(b)
	switch {
	case !bytes.HasPrefix(b, []byte("<?xml")):
		return fmt.Errorf("read property list: not one: %q", firstLine(b))
	case len(b) > listLimit:
		return fmt.Errorf("read property list: longer than %d MiB", listLimit>>20)
	case depth(b) > plistDepth:
		return fmt.Errorf("read property list: more than %d levels deep", plistDepth)
	}
	if _, err := plist.Unmarshal(b, into); err != nil {
		return fmt.Errorf("read property list: %w", err)
	}
	return nil
}

// depth returns how deep elements are nested in b.
func depth(b []byte) int {
	deepest, level := 0, 0
	for {
		_, after, _ := bytes.Cut(b, []byte("<"))
		tag, rest, found := bytes.Cut(after, []byte(">"))
		if !found {
			return deepest
		}
		b = rest
		switch {
		case bytes.HasPrefix(tag, []byte("?")), bytes.HasPrefix(tag, []byte("!")), bytes.HasSuffix(tag, []byte("/")):
		case bytes.HasPrefix(tag, []byte("/")):
			level = max(level-1, 0)
		default:
			level++
			deepest = max(deepest, level)
		}
	}
}

// sorted ranges over m in the order of its keys, so that samples and errors
// have the same order each time.
func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}
