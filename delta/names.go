package delta

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
)

// namesChunk is how many bytes of names lie side by side.
const namesChunk = 1 << 20

// A nameList is the names of a large folder, in little memory: a flat folder may
// hold a million.
type nameList struct {
	chunks [][]byte // each name after its length in one byte
	at     []uint32 // where each begins, over all chunks
}

func (l *nameList) add(name string) {
	n := len(l.chunks) - 1
	if n < 0 || len(l.chunks[n])+1+len(name) > namesChunk {
		l.chunks = append(l.chunks, make([]byte, 0, namesChunk))
		n++
	}
	l.at = append(l.at, uint32(n*namesChunk+len(l.chunks[n])))
	l.chunks[n] = append(append(l.chunks[n], byte(len(name))), name...)
}

func (l *nameList) name(at uint32) []byte {
	chunk := l.chunks[at/namesChunk]
	from := int(at%namesChunk) + 1
	return chunk[from : from+int(chunk[from-1])]
}

func (l *nameList) sort() {
	slices.SortFunc(l.at, func(a, b uint32) int { return bytes.Compare(l.name(a), l.name(b)) })
}

// take returns the next n names, or as many as are left.
func (l *nameList) take(n int) []node {
	n = min(n, len(l.at))
	nodes := make([]node, n)
	for i, at := range l.at[:n] {
		nodes[i].name = string(l.name(at))
	}
	l.at = l.at[n:]
	return nodes
}

// errLongName is about a name that no filesystem of ours has.
var errLongName = errors.New("a name in it has more than 255 bytes")

// list reads the names that keep wants, sorted: as nodes if there are few, and as
// a list if there are many.
func (d *dir) list(few int, keep func(string) bool) ([]node, *nameList, error) {
	var nodes []node
	var many *nameList
	for {
		names, err := d.f.Readdirnames(few)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, cause(err)
		}
		if nodes != nil && many == nil {
			many = new(nameList)
			for _, n := range nodes {
				many.add(n.name)
			}
		}
		if nodes == nil {
			nodes = make([]node, 0, len(names))
		}
		for _, name := range names {
			switch {
			case !keep(name):
			case len(name) > 255:
				return nil, nil, errLongName
			case many == nil:
				nodes = append(nodes, node{name: name})
			default:
				many.add(name)
			}
		}
	}
	if many != nil {
		many.sort()
		return nil, many, nil
	}
	slices.SortFunc(nodes, func(a, b node) int { return strings.Compare(a.name, b.name) })
	return nodes, nil, nil
}
