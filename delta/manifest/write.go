package manifest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/zeebo/xxh3"
)

// The bytes around the frames.
const (
	magic   = "\x89MKM\r\n\x1a\n"
	version = 1
	sha256h = 1 // the strong hash is SHA-256
	headLen = len(magic) + 4
	endMark = "MKMEND\r\n"
	tailLen = 8 + len(endMark)
)

// The types of frames, and the length of what is before a payload.
const (
	framePage   = 'P'
	frameBlocks = 'B'
	frameFoot   = 'F'
	frameHead   = 1 + 4 + 8
)

// blocksPerFrame is how many blocks a frame of a block list has, but for the
// last of a file.
const blocksPerFrame = 4096

// A Writer writes a manifest.
type Writer struct {
	w      *bufio.Writer
	from   *Reader // whose entries are kept
	at     int64
	page   pageWriter
	pages  []Page
	totals Totals
	last   string

	blocks   Blocks // of the next entry, not written yet
	blocksAt int64  // where its first frame is
	counted  int64  // how many there are

	// While all that was added is what old begins with, nothing is written.
	old   *Reader // nil if there is none, or if it differs
	same  int64   // how many entries those are
	fault error   // of reading old
}

// NewWriter begins a manifest on w. Entries of old, which may be nil, can be kept.
func NewWriter(w io.Writer, old *Reader) *Writer {
	m := &Writer{w: bufio.NewWriterSize(w, 256<<10), from: old, old: old}
	m.write([]byte(magic))
	m.write([]byte{version, sha256h, 18, 0}) // blocks of 2^18 bytes
	return m
}

// write counts bytes; an error comes back from the bufio.Writer at the end.
func (m *Writer) write(b []byte) {
	n, _ := m.w.Write(b)
	m.at += int64(n)
}

func (m *Writer) frame(kind byte, payload []byte) {
	head := make([]byte, 0, frameHead)
	head = append(head, kind)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(payload)))
	head = binary.LittleEndian.AppendUint64(head, xxh3.Hash(payload))
	m.write(head)
	m.write(payload)
}

// AddBlocks adds to the block list of the file that is added next, if that has more than
// InlineBlocks.
func (m *Writer) AddBlocks(b Blocks) {
	m.differ()
	if m.counted == 0 {
		m.blocksAt = m.at
	}
	m.counted += int64(b.Len())
	m.blocks = append(m.blocks, b...)
	for m.blocks.Len() >= blocksPerFrame {
		m.frame(frameBlocks, m.blocks[:blocksPerFrame*blockBytes])
		m.blocks = append(m.blocks[:0], m.blocks[blocksPerFrame*blockBytes:]...)
	}
}

// DropBlocks forgets the blocks that were added and not used.
func (m *Writer) DropBlocks() { m.blocks, m.counted = m.blocks[:0], 0 }

// Add adds an entry, which must come after the one before.
func (m *Writer) Add(e *Entry) error {
	m.differ()
	if err := errors.Join(m.fault, m.check(e)); err != nil {
		return err
	}
	m.totals.add(e)
	m.put(e)
	return nil
}

// Keep adds an entry of the old manifest as it is, with its block list. It must
// come after the one before.
func (m *Writer) Keep(e *Entry) error {
	if m.old != nil && e.seq == m.same+1 {
		m.same++
		m.last = e.Path
		m.totals.add(e)
		return nil
	}
	m.differ()
	kept := *e // where its blocks are is another thing now
	m.copyBlocks(e)
	return m.Add(&kept)
}

// copyBlocks copies the block list of a large file.
func (m *Writer) copyBlocks(e *Entry) {
	count := e.BlockCount()
	if count <= InlineBlocks {
		return
	}
	for first := int64(0); first < count; first += blocksPerFrame {
		blocks, err := m.from.Blocks(e, first, min(first+blocksPerFrame, count))
		if err != nil {
			m.fault = errors.Join(m.fault, err)
			return
		}
		m.AddBlocks(blocks)
	}
}

// differ writes what is the same as in the old manifest, since what comes is not: whole
// pages as they are, with all that lies before them.
func (m *Writer) differ() {
	if m.old == nil {
		return
	}
	old, left := m.old, m.same
	m.old = nil
	whole, end := 0, m.at
	// The last page ended for want of entries: what comes may belong to it.
	for ; whole < len(old.pages)-1 && int64(old.pages[whole].Count) <= left; whole++ {
		left -= int64(old.pages[whole].Count)
		end = old.pages[whole].at + old.pages[whole].length
	}
	m.pages = append(m.pages, old.pages[:whole]...)
	n, err := io.Copy(m.w, io.NewSectionReader(old.r, m.at, end-m.at))
	m.at += n
	m.fault = err
	if left == 0 || err != nil {
		return
	}
	entries, err := old.page(whole)
	if err != nil {
		m.fault = err
		return
	}
	for i := range entries[:left] {
		m.copyBlocks(&entries[i])
		m.put(&entries[i])
	}
}

// put codes an entry.
func (m *Writer) put(e *Entry) {
	if m.counted > 0 {
		if len(m.blocks) > 0 {
			m.frame(frameBlocks, m.blocks)
		}
		e.at = m.blocksAt
		m.blocks, m.counted = m.blocks[:0], 0
	}
	m.last = e.Path
	if m.page.add(e) {
		m.endPage()
	}
}

func (m *Writer) check(e *Entry) error {
	if err := checkPath(e.Path); err != nil {
		return err
	}
	if m.last != "" && ComparePaths(m.last, e.Path) >= 0 {
		return fmt.Errorf("write manifest: %q comes after %q", e.Path, m.last)
	}
	if len(e.Target) > maxTarget {
		return fmt.Errorf("write manifest: the target of %q is too long", e.Path)
	}
	want := e.BlockCount()
	if got := m.counted + int64(e.Blocks.Len()); got != want || (want > InlineBlocks) != (m.counted > 0) {
		return fmt.Errorf("write manifest: %q has %d blocks, not %d", e.Path, want, got)
	}
	return nil
}

func (m *Writer) endPage() {
	if m.page.count == 0 {
		return
	}
	at := m.at + frameHead
	m.pages = append(m.pages, Page{
		First: m.page.first, Hash: hashPage(m.page.common), Count: m.page.count,
		at: at, length: int64(len(m.page.payload)),
	})
	m.frame(framePage, m.page.payload)
	m.page.reset()
}

// Root ends the entries and returns their root and totals.
func (m *Writer) Root() Totals {
	if m.old != nil && m.same == m.old.count() {
		m.totals.Root = m.old.totals.Root
		return m.totals
	}
	m.differ()
	m.endPage()
	m.totals.Root = rootOf(m.pages)
	return m.totals
}

// Close ends the manifest. It does not close what it is written to.
func (m *Writer) Close(meta Meta) error {
	m.differ()
	if m.fault != nil {
		return fmt.Errorf("write manifest: %w", m.fault)
	}
	totals := m.Root()
	at := m.at
	m.frame(frameFoot, appendFoot(nil, meta, totals, m.pages))
	m.write(binary.LittleEndian.AppendUint64(nil, uint64(at)))
	m.write([]byte(endMark))
	if err := m.w.Flush(); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	if m.counted > 0 {
		return errors.New("write manifest: a block list without its file")
	}
	return nil
}
