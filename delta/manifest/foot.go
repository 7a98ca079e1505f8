package manifest

import (
	"encoding/binary"
	"time"
)

func appendFoot(b []byte, m Meta, t Totals, pages []Page) []byte {
	b = appendString(b, m.Tree)
	b = append(b, m.Share[:]...)
	b = append(b, m.Lineage[:]...)
	b = binary.AppendUvarint(b, m.Generation)
	b = binary.AppendVarint(b, m.Written.UnixNano())
	b = append(b, t.Root[:]...)
	for _, n := range []int64{t.Files, t.Dirs, t.Links, t.Bytes, t.Corrupt, t.Racy, t.Unread} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b = binary.AppendVarint(b, t.Oldest)
	b = binary.AppendUvarint(b, uint64(len(pages)))
	for _, p := range pages {
		b = binary.AppendUvarint(b, uint64(p.at))
		b = binary.AppendUvarint(b, uint64(p.length))
		b = binary.AppendUvarint(b, uint64(p.Count))
		b = append(b, p.Hash[:]...)
		b = appendString(b, p.First)
	}
	return b
}

// decodeFoot reads the foot of a manifest, which lies at end.
func decodeFoot(payload []byte, end int64) (Meta, Totals, []Page, error) {
	d := decoder{rest: payload}
	var m Meta
	var t Totals
	m.Tree = d.text("the tree's name", maxPath)
	m.Share = d.hash("the share")
	m.Lineage = d.hash("the lineage")
	m.Generation = d.uvarint("the generation", 1<<64-1)
	m.Written = time.Unix(0, d.varint("the time of writing"))
	t.Root = d.hash("the root")
	for _, n := range []*int64{&t.Files, &t.Dirs, &t.Links, &t.Bytes, &t.Corrupt, &t.Racy, &t.Unread} {
		*n = int64(d.uvarint("a total", 1<<62))
	}
	t.Oldest = d.varint("the oldest verification")
	pages := d.pages(end)
	if d.err == nil && len(d.rest) > 0 {
		d.fail("the foot")
	}
	if d.err == nil && rootOf(pages) != t.Root {
		d.err = damaged("its root is not that of its pages")
	}
	return m, t, pages, d.err
}

func (d *decoder) pages(end int64) []Page {
	const least = 1 + 1 + 1 + 16 + 2 // bytes of a page in the index
	count := d.uvarint("the number of pages", uint64(len(d.rest)/least))
	pages := make([]Page, 0, count)
	for range count {
		p := Page{at: int64(d.uvarint("a page's place", uint64(max(0, end))))}
		p.length = int64(d.uvarint("a page's length", maxFrame))
		p.Count = int(d.uvarint("a page's count", MaxPage))
		p.Hash = d.hash("a page's hash")
		p.First = d.text("a page's first path", maxPath)
		if n := len(pages); d.err == nil && (p.Count == 0 || n > 0 && ComparePaths(pages[n-1].First, p.First) >= 0) {
			d.fail("the index of pages")
		}
		if d.err != nil {
			return nil
		}
		pages = append(pages, p)
	}
	return pages
}
