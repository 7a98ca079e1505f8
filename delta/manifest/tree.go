package manifest

import (
	"crypto/sha256"

	"github.com/zeebo/xxh3"
)

// A Page is a leaf of the Merkle tree.
type Page struct {
	First string // the path of its first entry
	Hash  Hash
	Count int // of its entries

	at, length int64 // of its frame's payload
}

// Bounds of the nodes above pages.
const (
	nodeBits = 5 // one child in 2^nodeBits ends its node
	maxNode  = 128
)

// A Node is a node of the Merkle tree: some neighbours of the level below.
type Node struct {
	First    string // the path of the first entry below it
	Hash     Hash
	From, To int // which nodes (or pages) of the level below
}

// Levels returns the Merkle tree above pages, the lowest level first. The last level has
// one node, the root; without pages there is no level.
func Levels(pages []Page) [][]Node {
	if len(pages) == 0 {
		return nil
	}
	below := make([]Node, len(pages))
	for i, p := range pages {
		below[i] = Node{First: p.First, Hash: p.Hash}
	}
	var levels [][]Node
	for shift := pageBits; ; shift += nodeBits {
		level := group(below, shift)
		levels = append(levels, level)
		if len(level) == 1 {
			return levels
		}
		below = level
	}
}

// group cuts the nodes of one level into those of the next. Where is decided by
// their first paths, so that what comes or goes moves few of the cuts.
func group(below []Node, shift int) []Node {
	var level []Node
	from := 0
	for i := range below {
		n := i + 1 - from
		last := i+1 == len(below)
		cut := !last && n > 1 && xxh3.HashString(below[i+1].First)>>(shift%(64-nodeBits))&(1<<nodeBits-1) == 0
		if last || cut || n == maxNode {
			level = append(level, Node{First: below[from].First, Hash: hashNode(below[from : i+1]), From: from, To: i + 1})
			from = i + 1
		}
	}
	return level
}

func hashNode(children []Node) Hash {
	b := make([]byte, 0, 24+16*len(children))
	b = append(b, "minikeeper node 1\x00"...)
	for _, c := range children {
		b = append(b, c.Hash[:]...)
	}
	sum := sha256.Sum256(b)
	return Hash(sum[:16])
}

// rootOf is the root of the Merkle tree above pages.
func rootOf(pages []Page) Hash {
	levels := Levels(pages)
	if levels == nil {
		return hashNode(nil)
	}
	return levels[len(levels)-1][0].Hash
}
