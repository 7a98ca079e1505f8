// Package manifest is the record of what a folder tree holds: a file of entries
// in the order of their paths, with a hash of every block of every file, that is
// written and read as a stream, whatever its size.
//
// The package knows bytes only. It neither walks a tree nor hashes its files,
// and it takes every file that it reads for hostile: what it returns is
// sorted, complete and within its bounds, or it returns an error.
//
// # Format, version 1
//
// A head of 12 bytes, frames, and a tail of 16 bytes that says where the last frame
// begins. A frame is its type, the length of its payload, the XXH3 of that, and
// the payload:
//
//	P  a page: entries, their paths coded against the one before
//	B  a part of the block list of a file that has more than InlineBlocks
//	F  the foot: share, lineage, generation, root, totals, and the index of pages
//
// Numbers are varints. Where a page ends is decided by the paths alone (one
// path in about 500 ends its page, and no page has more than MaxPage), so an
// entry that comes or goes changes one page, on every machine in the same way.
// The hashes of pages are the leaves of a Merkle tree whose nodes are cut by
// the same rule; its root names the whole content. What only one machine knows
// (inode, ctime, when a file was last read) is in the pages, but not
// in their hashes.
package manifest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"
)

// BlockSize is how many bytes of a file one block has; the last may have less.
const BlockSize = 256 << 10

// InlineBlocks is how many blocks a file may have for its list to be in its
// entry.
const InlineBlocks = 32

// A Kind is what an entry is.
type Kind uint8

// The kinds. Devices, pipes and sockets are not part of a share.
const (
	File Kind = 1
	Dir  Kind = 2
	Link Kind = 3
)

// Flags are what is to be known of a file's record.
type Flags uint8

const (
	// Corrupt says that the file's bytes are others than its block list
	// says, under the same size and modification time.
	Corrupt Flags = 1 << iota
	// Racy says that the file was modified so shortly before it was read that a
	// later change would not show in its times.
	Racy
	// Unread says that the file is there, but its bytes could not be read: there is no id
	// and no block list.
	Unread

	allFlags = Corrupt | Racy | Unread
)

// A Time is a point in time as filesystems keep it.
type Time struct {
	Sec  int64
	Nsec uint32
}

// A Hash is a SHA-256, cut to 16 bytes: of a block, of a page, of a tree.
type Hash [16]byte

// String is the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero tells whether h is no hash.
func (h Hash) IsZero() bool { return h == Hash{} }

// SumBlock is the strong hash of a block.
func SumBlock(block []byte) Hash {
	sum := sha256.Sum256(block)
	return Hash(sum[:16])
}

// An Entry is one file, folder or link.
type Entry struct {
	Path string // from the tree's root, separated by slashes, bytes as they are
	Kind Kind
	Mode uint32 // permission bits; not of links

	Target string // of a link

	// Of files only:
	Flags    Flags
	Size     int64
	Mtime    Time
	Ctime    Time
	Inode    uint64
	Verified int64  // when its bytes were last read, in Unix seconds
	ID       Hash   // of its size and block list
	Blocks   Blocks // nil if there are more than InlineBlocks: see Reader.Blocks

	at  int64 // where its block list begins in the file, if not here
	seq int64 // its number, from 1, among those that Reader.Next has returned
}

// BlockCount is how many blocks e has.
func (e *Entry) BlockCount() int64 {
	if e.Kind != File || e.Flags&Unread != 0 {
		return 0
	}
	return blockCount(e.Size)
}

func blockCount(size int64) int64 { return size/BlockSize + min(1, size%BlockSize) }

// blockBytes is how long a block's part in a Blocks is.
const blockBytes = 16 + 8

// Blocks is a list of blocks: of each its strong hash, and its XXH3.
type Blocks []byte

// Len is how many blocks b lists.
func (b Blocks) Len() int { return len(b) / blockBytes }

// Strong is the strong hash of block i.
func (b Blocks) Strong(i int) Hash { return Hash(b[i*blockBytes:][:16]) }

// Fast is the XXH3 of block i.
func (b Blocks) Fast(i int) uint64 { return binary.LittleEndian.Uint64(b[i*blockBytes+16:]) }

// Append adds a block to b.
func (b Blocks) Append(strong Hash, fast uint64) Blocks {
	return binary.LittleEndian.AppendUint64(append(b, strong[:]...), fast)
}

// An IDHash makes the id of a file from its block list.
type IDHash struct{ h hash.Hash }

// NewIDHash begins the id of a file of size bytes.
func NewIDHash(size int64) IDHash {
	h := sha256.New()
	h.Write([]byte("minikeeper file 1\x00"))
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(size)))
	return IDHash{h}
}

// Add adds the next blocks.
func (i IDHash) Add(b Blocks) {
	for n := range b.Len() {
		i.h.Write(b[n*blockBytes:][:16])
	}
}

// Sum is the id.
func (i IDHash) Sum() Hash { return Hash(i.h.Sum(nil)[:16]) }

// A Meta is what a manifest says of itself.
type Meta struct {
	Tree       string // the folder, as its machine calls it
	Share      Hash   // which share this is: made once, and the same on all machines that hold it
	Lineage    Hash   // made anew whenever a record begins without the one before
	Generation uint64 // counts the changes of Root within the lineage
	Written    time.Time
}

// Totals are the sums over all entries.
type Totals struct {
	Root    Hash
	Files   int64 // links not among them
	Dirs    int64
	Links   int64
	Bytes   int64
	Corrupt int64
	Racy    int64
	Unread  int64
	Oldest  int64 // the earliest Verified of all files that have bytes, in Unix seconds; 0 if there are none
}

func (t *Totals) add(e *Entry) {
	switch e.Kind {
	case Dir:
		t.Dirs++
	case Link:
		t.Links++
	case File:
		t.Files++
		t.Bytes += e.Size
		t.Corrupt += int64(e.Flags & Corrupt)
		t.Racy += int64(e.Flags & Racy / Racy)
		t.Unread += int64(e.Flags & Unread / Unread)
		if e.Size > 0 && e.Flags&Unread == 0 && (t.Oldest == 0 || e.Verified < t.Oldest) {
			t.Oldest = e.Verified
		}
	}
}

// ComparePaths orders paths as a manifest does: folder by folder, each before what it
// holds, names as bytes.
func ComparePaths(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] == b[i] {
			continue
		}
		switch {
		case a[i] == '/':
			return -1
		case b[i] == '/':
			return 1
		case a[i] < b[i]:
			return -1
		default:
			return 1
		}
	}
	return len(a) - len(b)
}

// Bounds of what a manifest may hold.
const (
	maxPath   = 128 << 10
	maxTarget = 64 << 10
	maxSize   = 1 << 60
)

// ErrCorrupt is wrapped by every error about a file that is no manifest, or is
// a damaged one.
var ErrCorrupt = errors.New("the manifest is damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// checkPath refuses what is no path within a tree.
func checkPath(path string) error {
	if path == "" || len(path) > maxPath {
		return damaged("a path of %d bytes", len(path))
	}
	if strings.IndexByte(path, 0) >= 0 {
		return damaged("path %q holds a zero byte", path)
	}
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." || name == ".." {
			return damaged("path %q is not plain", path)
		}
	}
	return nil
}
