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
	at     int64
	page   pageWriter
	pages  []Page
	totals Totals
	last   string

	blocks   Blocks // of the next entry, not written yet
	blocksAt int64  // where its first frame is
	counted  int64  // how many there are
}

// NewWriter begins a manifest on w.
func NewWriter(w io.Writer) *Writer {
	m := &Writer{w: bufio.NewWriterSize(w, 256<<10)}
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
	if err := m.check(e); err != nil {
		return err
	}
	if m.counted > 0 {
		if len(m.blocks) > 0 {
			m.frame(frameBlocks, m.blocks)
		}
		e.at = m.blocksAt
		m.blocks, m.counted = m.blocks[:0], 0
	}
	m.last = e.Path
	m.totals.add(e)
	if m.page.add(e) {
		m.endPage()
	}
	return nil
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
	m.endPage()
	m.totals.Root = rootOf(m.pages)
	return m.totals
}

// Close ends the manifest. It does not close what it is written to.
func (m *Writer) Close(meta Meta) error {
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
