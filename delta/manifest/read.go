package manifest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/zeebo/xxh3"
)

// Bounds of frames. A foot has an index of all pages: 1 GiB is that of billions of entries.
const (
	maxFrame = 8 << 20
	maxFoot  = 1 << 30
)

// A Reader reads a manifest, entry by entry. Its method Blocks may be called by
// several goroutines at once; the others not.
type Reader struct {
	r      io.ReaderAt
	size   int64
	meta   Meta
	totals Totals
	pages  []Page

	next    int     // page to read
	entries []Entry // of the present page, not returned yet
	seq     int64   // of the entry that was returned last
	order   order
}

// Open reads what a manifest of size bytes says of itself.
func Open(r io.ReaderAt, size int64) (*Reader, error) {
	m := &Reader{r: r, size: size}
	if size < int64(headLen+tailLen) {
		return nil, damaged("it has only %d bytes", size)
	}
	if err := m.head(); err != nil {
		return nil, err
	}
	tail := make([]byte, tailLen)
	if err := m.read(tail, size-int64(tailLen)); err != nil {
		return nil, err
	}
	at := int64(binary.LittleEndian.Uint64(tail))
	length := size - int64(tailLen) - frameHead - at
	if string(tail[8:]) != endMark || at < int64(headLen) || at > size || length < 0 || length > maxFoot {
		return nil, damaged("its end is missing: it was cut off, or never finished")
	}
	foot, err := m.payload(frameFoot, at+frameHead, length)
	if err != nil {
		return nil, err
	}
	m.meta, m.totals, m.pages, err = decodeFoot(foot, at)
	return m, err
}

func (m *Reader) head() error {
	head := make([]byte, headLen)
	if err := m.read(head, 0); err != nil {
		return err
	}
	if string(head[:len(magic)]) != magic {
		return damaged("it does not begin as a manifest does")
	}
	v, h, bits := head[len(magic)], head[len(magic)+1], head[len(magic)+2]
	if v != version || h != sha256h || 1<<bits != BlockSize {
		return fmt.Errorf("the manifest is of version %d, hash %d, blocks of 2^%d bytes; this program reads version %d, hash %d, 2^18", v, h, bits, version, sha256h)
	}
	return nil
}

func (m *Reader) read(b []byte, at int64) error {
	_, err := m.r.ReadAt(b, at)
	if errors.Is(err, io.EOF) {
		err = damaged("it is cut off at byte %d", m.size)
	}
	return err
}

// payload reads the payload of a frame that lies at a known place.
func (m *Reader) payload(kind byte, at, length int64) ([]byte, error) {
	if at < int64(headLen+frameHead) || length < 0 || at+length > m.size {
		return nil, damaged("a frame lies outside of it")
	}
	frame := make([]byte, frameHead+length)
	if err := m.read(frame, at-frameHead); err != nil {
		return nil, err
	}
	payload := frame[frameHead:]
	if frame[0] != kind || int64(binary.LittleEndian.Uint32(frame[1:])) != length ||
		binary.LittleEndian.Uint64(frame[5:]) != xxh3.Hash(payload) {
		return nil, damaged("the frame at byte %d is not what was written", at-frameHead)
	}
	return payload, nil
}

// Meta is what the manifest says of itself.
func (m *Reader) Meta() Meta { return m.meta }

// Totals are the sums over all entries.
func (m *Reader) Totals() Totals { return m.totals }

// Pages are the leaves of the Merkle tree.
func (m *Reader) Pages() []Page { return m.pages }

// Next returns the next entry, and io.EOF after the last. The entry is good for as
// long as it is kept.
func (m *Reader) Next() (*Entry, error) {
	for len(m.entries) == 0 {
		if m.next == len(m.pages) {
			return nil, io.EOF
		}
		entries, err := m.page(m.next)
		if err != nil {
			return nil, err
		}
		m.entries = entries
		m.next++
	}
	e := &m.entries[0]
	m.entries = m.entries[1:]
	m.seq++
	e.seq = m.seq
	return e, m.order.check(e)
}

// count is how many entries there are.
func (m *Reader) count() int64 {
	n := int64(0)
	for _, p := range m.pages {
		n += int64(p.Count)
	}
	return n
}

// Rewind has Next begin anew.
func (m *Reader) Rewind() { m.next, m.entries, m.seq, m.order = 0, nil, 0, order{} }

// page reads the entries of page i.
func (m *Reader) page(i int) ([]Entry, error) {
	p := m.pages[i]
	payload, err := m.payload(framePage, p.at, p.length)
	if err != nil {
		return nil, err
	}
	entries, err := decodePage(payload)
	if err != nil {
		return nil, err
	}
	if len(entries) != p.Count || entries[0].Path != p.First {
		return nil, damaged("page %d is not the one in the index", i)
	}
	return entries, nil
}

// Page reads the entries of page i, and holds them against its hash in the Merkle
// tree.
func (m *Reader) Page(i int) ([]Entry, error) {
	entries, err := m.page(i)
	if err != nil {
		return nil, err
	}
	common := make([]byte, 0, 80*len(entries))
	for k := range entries {
		common = appendCommon(common, &entries[k])
	}
	if hashPage(common) != m.pages[i].Hash {
		return nil, damaged("page %d does not have its hash", i)
	}
	return entries, nil
}

// Find returns the entry at path, nil if there is none.
func (m *Reader) Find(path string) (*Entry, error) {
	i := sort.Search(len(m.pages), func(i int) bool { return ComparePaths(m.pages[i].First, path) > 0 }) - 1
	if i < 0 {
		return nil, nil
	}
	entries, err := m.Page(i)
	if err != nil {
		return nil, err
	}
	k := sort.Search(len(entries), func(k int) bool { return ComparePaths(entries[k].Path, path) >= 0 })
	if k == len(entries) || entries[k].Path != path {
		return nil, nil
	}
	return &entries[k], nil
}

// Blocks returns the blocks of e from the first up to, but without, the last: no more
// than 4096, and no more than there are.
func (m *Reader) Blocks(e *Entry, first, last int64) (Blocks, error) {
	count := e.BlockCount()
	if first < 0 || first > last || last > count {
		return nil, fmt.Errorf("read manifest: %q has no blocks %d to %d", e.Path, first, last)
	}
	if count <= InlineBlocks {
		return e.Blocks[first*blockBytes : last*blockBytes], nil
	}
	frame := first / blocksPerFrame
	n := min(blocksPerFrame, count-frame*blocksPerFrame)
	at := e.at + frame*(frameHead+blocksPerFrame*blockBytes) + frameHead
	payload, err := m.payload(frameBlocks, at, n*blockBytes)
	if err != nil {
		return nil, err
	}
	base := frame * blocksPerFrame
	return Blocks(payload[(first-base)*blockBytes : (min(last, base+n)-base)*blockBytes]), nil
}

// An order sees to it that entries come in order, each after its folder.
type order struct {
	last    string
	folders []string // that the last entry lies in
}

func (o *order) check(e *Entry) error {
	if o.last != "" && ComparePaths(o.last, e.Path) >= 0 {
		return damaged("path %q comes after %q", e.Path, o.last)
	}
	o.last = e.Path
	folder := ""
	if i := strings.LastIndexByte(e.Path, '/'); i >= 0 {
		folder = e.Path[:i]
	}
	for n := len(o.folders); n > 0 && o.folders[n-1] != folder; n = len(o.folders) {
		o.folders = o.folders[:n-1]
	}
	if folder != "" && len(o.folders) == 0 {
		return damaged("path %q lies in no folder that is listed", e.Path)
	}
	if e.Kind == Dir {
		o.folders = append(o.folders, e.Path)
	}
	return nil
}
