package manifest

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"github.com/zeebo/xxh3"
)

// MaxPage is how many entries a page may have.
const MaxPage = 1000

// pageBits: one path in 2^pageBits ends its page.
const pageBits = 9

// maxPageText is how many bytes of paths and targets end a page.
const maxPageText = 256 << 10

// A pageWriter codes entries and decides where a page ends.
type pageWriter struct {
	payload []byte
	common  []byte // what all machines agree on, to be hashed
	first   string
	last    string
	count   int
	text    int
}

// add codes e, and tells whether the page ends with it.
func (p *pageWriter) add(e *Entry) (ends bool) {
	if p.count == 0 {
		p.first, p.last = e.Path, ""
	}
	p.payload = appendEntry(p.payload, p.last, e)
	p.common = appendCommon(p.common, e)
	p.last = e.Path
	p.count++
	p.text += len(e.Path) + len(e.Target)
	return endsPage(e.Path, p.count, p.text)
}

func (p *pageWriter) reset() {
	*p = pageWriter{payload: p.payload[:0], common: p.common[:0]}
}

func endsPage(path string, count, text int) bool {
	return count >= MaxPage || text >= maxPageText || xxh3.HashString(path)&(1<<pageBits-1) == 0
}

// appendEntry codes e after an entry whose path is last.
func appendEntry(b []byte, last string, e *Entry) []byte {
	shared := sharedPrefix(last, e.Path)
	b = binary.AppendUvarint(b, uint64(shared))
	b = appendString(b, e.Path[shared:])
	b = append(b, byte(e.Kind))
	switch e.Kind {
	case Link:
		return appendString(b, e.Target)
	case Dir:
		return binary.AppendUvarint(b, uint64(e.Mode))
	case File:
	}
	b = binary.AppendUvarint(b, uint64(e.Mode))
	b = append(b, byte(e.Flags))
	b = binary.AppendUvarint(b, uint64(e.Size))
	b = appendTime(b, e.Mtime)
	b = appendTime(b, e.Ctime)
	b = binary.AppendUvarint(b, e.Inode)
	if e.Flags&Unread != 0 {
		return b
	}
	b = binary.AppendVarint(b, e.Verified)
	b = append(b, e.ID[:]...)
	if e.BlockCount() > InlineBlocks {
		return binary.AppendUvarint(b, uint64(e.at))
	}
	return append(b, e.Blocks...)
}

// appendCommon codes what every machine that holds e must agree on.
func appendCommon(b []byte, e *Entry) []byte {
	b = append(b, byte(e.Kind))
	b = appendString(b, e.Path)
	switch e.Kind {
	case Link:
		return appendString(b, e.Target)
	case Dir:
		return binary.AppendUvarint(b, uint64(e.Mode&0o777))
	case File:
	}
	b = binary.AppendUvarint(b, uint64(e.Mode&0o777))
	b = binary.AppendUvarint(b, uint64(e.Size))
	b = appendTime(b, e.Mtime)
	return append(b, e.ID[:]...)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendTime(b []byte, t Time) []byte {
	return binary.AppendUvarint(binary.AppendVarint(b, t.Sec), uint64(t.Nsec))
}

func sharedPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// decodePage reads the entries of a page.
func decodePage(payload []byte) ([]Entry, error) {
	entries := make([]Entry, 0, min(MaxPage, 1+len(payload)/64))
	d := decoder{rest: payload}
	last := ""
	for len(d.rest) > 0 {
		if len(entries) == MaxPage {
			return nil, damaged("a page of more than %d entries", MaxPage)
		}
		e := d.entry(last)
		if d.err != nil {
			return nil, d.err
		}
		if last != "" && ComparePaths(last, e.Path) >= 0 {
			return nil, damaged("path %q comes after %q", e.Path, last)
		}
		last = e.Path
		entries = append(entries, e)
	}
	return entries, nil
}

// hashPage is the hash of what all machines agree on of a page.
func hashPage(common []byte) Hash {
	sum := sha256.Sum256(common)
	return Hash(sum[:16])
}

// A decoder reads a payload. After the first error it returns zero values.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = damaged("%s is cut off or out of bounds", what)
	}
	d.rest = nil
}

func (d *decoder) uvarint(what string, bound uint64) uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || v > bound {
		d.fail(what)
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) varint(what string) int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.fail(what)
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// bytes returns the next n bytes, which are not copied.
func (d *decoder) bytes(what string, n int) []byte {
	if n < 0 || n > len(d.rest) {
		d.fail(what)
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) byte(what string) byte {
	if b := d.bytes(what, 1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (d *decoder) text(what string, bound uint64) string {
	return string(d.bytes(what, int(d.uvarint(what, bound))))
}

func (d *decoder) hash(what string) Hash {
	if b := d.bytes(what, len(Hash{})); b != nil {
		return Hash(b)
	}
	return Hash{}
}

func (d *decoder) time(what string) Time {
	return Time{Sec: d.varint(what), Nsec: uint32(d.uvarint(what, 999_999_999))}
}

func (d *decoder) entry(last string) Entry {
	var e Entry
	e.Path = d.path(last)
	e.Kind = Kind(d.byte("a kind"))
	switch e.Kind {
	case Link:
		e.Target = d.text("a link's target", maxTarget)
		if d.err == nil && strings.IndexByte(e.Target, 0) >= 0 {
			d.err = damaged("the target of %q holds a zero byte", e.Path)
		}
	case Dir:
		e.Mode = uint32(d.uvarint("a mode", 0o7777))
	case File:
		d.file(&e)
	default:
		d.fail("a kind")
	}
	return e
}

func (d *decoder) path(last string) string {
	shared := int(d.uvarint("a path", uint64(len(last))))
	path := last[:shared] + d.text("a path", maxPath)
	if d.err == nil {
		d.err = checkPath(path)
	}
	return path
}

func (d *decoder) file(e *Entry) {
	e.Mode = uint32(d.uvarint("a mode", 0o7777))
	e.Flags = Flags(d.byte("flags"))
	e.Size = int64(d.uvarint("a size", maxSize))
	e.Mtime = d.time("a modification time")
	e.Ctime = d.time("a change time")
	e.Inode = d.uvarint("an inode", 1<<64-1)
	if e.Flags&^allFlags != 0 {
		d.fail("flags")
	}
	if e.Flags&Unread != 0 {
		return
	}
	e.Verified = d.varint("a time of verification")
	e.ID = d.hash("an id")
	n := e.BlockCount()
	if n > InlineBlocks {
		e.at = int64(d.uvarint("the place of a block list", 1<<62))
		return
	}
	e.Blocks = d.bytes("a block list", int(n)*blockBytes)
}
