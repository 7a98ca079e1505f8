package manifest

import (
	"bytes"
	"testing"
)

// FuzzPage decodes payloads whose checksum is right: those of a hostile writer.
func FuzzPage(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(appendEntry(nil, "", &Entry{Path: "d", Kind: Dir, Mode: 0o755}))
	f.Add(appendEntry(nil, "", &Entry{Path: "l", Kind: Link, Target: "t"}))
	f.Add(appendEntry(nil, "", &Entry{Path: "f", Kind: File, Size: 1, Blocks: make([]byte, blockBytes)}))
	f.Add(appendEntry(nil, "", &Entry{Path: "g", Kind: File, Size: 1 << 40, at: 12}))
	f.Fuzz(func(t *testing.T, payload []byte) {
		entries, err := decodePage(payload)
		if err != nil {
			return
		}
		var again pageWriter
		last := ""
		for i := range entries {
			e := &entries[i]
			if checkPath(e.Path) != nil || last != "" && ComparePaths(last, e.Path) >= 0 {
				t.Fatalf("path %q after %q", e.Path, last)
			}
			if e.BlockCount() <= InlineBlocks && int64(e.Blocks.Len()) != e.BlockCount() {
				t.Fatalf("%q: %d blocks of %d", e.Path, e.Blocks.Len(), e.BlockCount())
			}
			last = e.Path
			again.add(e)
		}
		twice, err := decodePage(again.payload)
		if err != nil || len(twice) != len(entries) {
			t.Fatalf("what was written again cannot be read: %v", err)
		}
	})
}

// FuzzFoot decodes feet whose checksum is right.
func FuzzFoot(f *testing.F) {
	f.Add(appendFoot(nil, Meta{}, Totals{Root: rootOf(nil)}, nil), int64(100))
	pages := []Page{{First: "a", Count: 1, at: 20, length: 9}, {First: "b", Count: 1000, at: 50, length: 9}}
	f.Add(appendFoot(nil, Meta{Tree: "/t"}, Totals{Root: rootOf(pages)}, pages), int64(100))
	f.Fuzz(func(t *testing.T, payload []byte, end int64) {
		m, totals, pages, err := decodeFoot(payload, end)
		if err != nil {
			return
		}
		m2, totals2, pages2, err := decodeFoot(appendFoot(nil, m, totals, pages), end)
		if err != nil || !m2.Written.Equal(m.Written) || totals2 != totals || len(pages2) != len(pages) {
			t.Fatalf("what was written again cannot be read: %v", err)
		}
		if !bytes.Equal([]byte(m2.Tree), []byte(m.Tree)) {
			t.Fatal("another tree")
		}
	})
}
