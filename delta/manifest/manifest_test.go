package manifest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/minikeeper/minikeeper/delta/manifest"
)

// file is an entry of a file with size bytes, all blocks of which are alike.
func file(path string, size int64) manifest.Entry {
	e := manifest.Entry{
		Path: path, Kind: manifest.File, Mode: 0o644, Size: size, Inode: 7, Verified: 1700000000,
		Mtime: manifest.Time{Sec: -3, Nsec: 5}, Ctime: manifest.Time{Sec: 1680352215, Nsec: 999_999_999},
	}
	if n := e.BlockCount(); n <= manifest.InlineBlocks {
		e.Blocks = blocks(n)
	}
	id := manifest.NewIDHash(size)
	id.Add(blocks(e.BlockCount()))
	e.ID = id.Sum()
	return e
}

func blocks(n int64) manifest.Blocks {
	var b manifest.Blocks
	for i := range n {
		b = b.Append(manifest.SumBlock([]byte(strconv.FormatInt(i, 10))), uint64(i))
	}
	return b
}

func dir(path string) manifest.Entry {
	return manifest.Entry{Path: path, Kind: manifest.Dir, Mode: 0o755}
}

// encode writes entries as a manifest.
func encode(t testing.TB, entries []manifest.Entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := manifest.NewWriter(&buf, nil)
	for _, e := range entries {
		if e.BlockCount() > manifest.InlineBlocks {
			w.AddBlocks(blocks(e.BlockCount()))
		}
		if err := w.Add(&e); err != nil {
			t.Fatal(err)
		}
	}
	meta := manifest.Meta{Tree: "/share", Share: manifest.Hash{1}, Lineage: manifest.Hash{2}, Generation: 3, Written: time.Unix(5, 6)}
	if err := w.Close(meta); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func open(t testing.TB, data []byte) *manifest.Reader {
	t.Helper()
	r, err := manifest.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func readAll(r *manifest.Reader) ([]manifest.Entry, error) {
	var all []manifest.Entry
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, *e)
	}
}

// many are n files in folders of 100.
func many(n int) []manifest.Entry {
	var all []manifest.Entry
	for i := range n {
		if i%100 == 0 {
			all = append(all, dir(fmt.Sprintf("folder%06d", i/100)))
		}
		all = append(all, file(fmt.Sprintf("folder%06d/file%08d", i/100, i), int64(i)))
	}
	return all
}

func TestRoundTrip(t *testing.T) {
	unread := manifest.Entry{Path: "x", Kind: manifest.File, Size: 1 << 40, Flags: manifest.Unread}
	corrupt := file("y", 1)
	corrupt.Flags = manifest.Corrupt | manifest.Racy
	want := []manifest.Entry{
		file("a", 0), dir("d"), file("d/\xff\n..", 3), file("d-", manifest.BlockSize), file("e", manifest.BlockSize+1),
		file("large", 9000*manifest.BlockSize-5),
		{Path: "link", Kind: manifest.Link, Target: "../\xfe"},
		unread, corrupt,
	}
	r := open(t, encode(t, want))
	got, err := readAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(manifest.Entry{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	totals := r.Totals()
	totals.Root = manifest.Hash{}
	wantTotals := manifest.Totals{Files: 7, Dirs: 1, Links: 1, Bytes: 3 + 2*manifest.BlockSize + 1 + 9000*manifest.BlockSize - 5 + 1<<40 + 1, Corrupt: 1, Racy: 1, Unread: 1, Oldest: 1700000000}
	if diff := cmp.Diff(wantTotals, totals); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	if m := r.Meta(); m.Tree != "/share" || m.Generation != 3 || !m.Written.Equal(time.Unix(5, 6)) || m.Share[0] != 1 || m.Lineage[0] != 2 {
		t.Errorf("meta %+v", m)
	}
	large, err := r.Find("large")
	if err != nil || large == nil {
		t.Fatal(large, err)
	}
	for _, span := range [][2]int64{{0, 32}, {4095, 4096}, {4096, 4128}, {8999, 9000}} {
		got, err := r.Blocks(large, span[0], span[1])
		if err != nil {
			t.Fatal(err)
		}
		if want := blocks(span[1])[span[0]*24:]; !bytes.Equal(got, want) {
			t.Errorf("blocks %v are others", span)
		}
	}
}

func TestFind(t *testing.T) {
	all := many(5000)
	r := open(t, encode(t, all))
	for _, want := range []int{0, 1, 999, 2500, len(all) - 1} {
		if e, err := r.Find(all[want].Path); err != nil || e == nil || e.Path != all[want].Path {
			t.Errorf("find %q: %v, %v", all[want].Path, e, err)
		}
	}
	for _, path := range []string{"a", "folder000000/", "folder000007/file", "z"} {
		if e, err := r.Find(path); err != nil || e != nil {
			t.Errorf("find %q: %v, %v", path, e, err)
		}
	}
}

func TestComparePaths(t *testing.T) {
	sorted := []string{"a", "a/b", "a/b/c", "a/b-", "a\x01", "a-", "a.", "a0", "b"}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := manifest.ComparePaths(a, b); got < 0 != (i < j) || got > 0 != (i > j) {
				t.Errorf("%q with %q: %d", a, b, got)
			}
		}
	}
}

func TestAnEntryChangesOnePage(t *testing.T) {
	all := many(20000)
	before := open(t, encode(t, all))
	changes := map[string]func() []manifest.Entry{
		"added":   func() []manifest.Entry { return slices.Insert(slices.Clone(all), 7001, file(all[7000].Path+"x", 1)) },
		"removed": func() []manifest.Entry { return slices.Delete(slices.Clone(all), 7001, 7002) },
		"changed": func() []manifest.Entry { c := slices.Clone(all); c[7001] = file(c[7001].Path, 9); return c },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			after := open(t, encode(t, change()))
			if after.Totals().Root == before.Totals().Root {
				t.Error("the root is the same")
			}
			have := make(map[manifest.Hash]bool)
			for _, p := range before.Pages() {
				have[p.Hash] = true
			}
			others := 0
			for _, p := range after.Pages() {
				if !have[p.Hash] {
					others++
				}
				if p.Count > manifest.MaxPage {
					t.Errorf("a page of %d entries", p.Count)
				}
			}
			if others == 0 || others > 2 {
				t.Errorf("%d of %d pages are others", others, len(after.Pages()))
			}
		})
	}
}

func TestWhatOneMachineKnowsIsNotInTheRoot(t *testing.T) {
	a, b := file("a", 5), file("a", 5)
	b.Inode, b.Ctime.Sec, b.Verified, b.Flags = 8, 9, 10, manifest.Racy
	if x, y := open(t, encode(t, []manifest.Entry{a})), open(t, encode(t, []manifest.Entry{b})); x.Totals().Root != y.Totals().Root {
		t.Error("the roots differ")
	}
	b.Mtime.Nsec++
	if x, y := open(t, encode(t, []manifest.Entry{a})), open(t, encode(t, []manifest.Entry{b})); x.Totals().Root == y.Totals().Root {
		t.Error("another time has the same root")
	}
}

func TestWriterRefuses(t *testing.T) {
	short := file("a", manifest.BlockSize)
	short.Blocks = nil
	for name, entries := range map[string][]manifest.Entry{
		"disorder":          {file("b", 1), file("a", 1)},
		"a path twice":      {file("a", 1), file("a", 1)},
		"no path":           {file("", 1)},
		"an absolute path":  {file("/a", 1)},
		"a way out":         {dir("a"), file("a/../b", 1)},
		"a zero byte":       {file("a\x00", 1)},
		"an endless path":   {file(strings.Repeat("a", 1<<20), 1)},
		"a block too few":   {short},
		"an endless target": {{Path: "l", Kind: manifest.Link, Target: strings.Repeat("a", 1<<17)}},
	} {
		t.Run(name, func(t *testing.T) {
			w := manifest.NewWriter(io.Discard, nil)
			var err error
			for _, e := range entries {
				err = errors.Join(err, w.Add(&e))
			}
			if err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestReaderRefusesAnEntryWithoutItsFolder(t *testing.T) {
	for name, entries := range map[string][]manifest.Entry{
		"none":   {file("d/a", 1)},
		"a file": {file("d", 1), file("d/a", 1)},
	} {
		r := open(t, encode(t, entries))
		if _, err := readAll(r); !errors.Is(err, manifest.ErrCorrupt) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestKeep holds a manifest of which some entries are kept from an old one
// against one that is written anew.
func TestKeep(t *testing.T) {
	all := append(many(3000), file("large", 5000*manifest.BlockSize), file("large2", 40*manifest.BlockSize), file("z", 1))
	old := open(t, encode(t, all))
	n := len(all)
	changes := map[string]func(i int, e *manifest.Entry) bool{ // false drops the entry
		"nothing":            func(int, *manifest.Entry) bool { return true },
		"the first is gone":  func(i int, _ *manifest.Entry) bool { return i != 0 },
		"the second is gone": func(i int, _ *manifest.Entry) bool { return i != 1 },
		"one is another": func(i int, e *manifest.Entry) bool {
			if i == 1501 {
				e.Mode = 0o600
			}
			return true
		},
		"a large one is": func(i int, e *manifest.Entry) bool {
			if i == n-2 {
				e.Mode = 0o600
			}
			return true
		},
		"the last is": func(i int, e *manifest.Entry) bool {
			if i == n-1 {
				e.Mode = 0o600
			}
			return true
		},
		"the last is gone":     func(i int, _ *manifest.Entry) bool { return i != n-1 },
		"a large one is gone":  func(i int, _ *manifest.Entry) bool { return i != n-3 },
		"one is added":         func(int, *manifest.Entry) bool { return true },
		"all are gone":         func(int, *manifest.Entry) bool { return false },
		"only one in three is": func(i int, e *manifest.Entry) bool { return e.Kind == manifest.Dir || i%3 != 0 },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			old.Rewind()
			var buf bytes.Buffer
			w := manifest.NewWriter(&buf, old)
			var want []manifest.Entry
			for i := range all {
				e, err := old.Next()
				if err != nil {
					t.Fatal(err)
				}
				changed := *e
				if !change(i, &changed) {
					continue
				}
				want = append(want, changed)
				if changed.Mode == e.Mode {
					err = w.Keep(e)
				} else {
					if e.BlockCount() > manifest.InlineBlocks {
						w.AddBlocks(blocks(e.BlockCount()))
					}
					err = w.Add(&changed)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if name == "one is added" {
				added := file("zz", 1)
				want = append(want, added)
				if err := w.Add(&added); err != nil {
					t.Fatal(err)
				}
			}
			totals := w.Root()
			if err := w.Close(old.Meta()); err != nil {
				t.Fatal(err)
			}
			fresh := encode(t, want)
			if !bytes.Equal(buf.Bytes(), fresh) {
				t.Errorf("%d bytes, not the %d that are written anew", buf.Len(), len(fresh))
			}
			if diff := cmp.Diff(open(t, fresh).Totals(), totals); diff != "" {
				t.Errorf("totals (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDamageIsSeen(t *testing.T) {
	good := encode(t, append(many(300), file("large", 40*manifest.BlockSize)))
	read := func(data []byte) error {
		r, err := manifest.Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return err
		}
		all, err := readAll(r)
		for i := range all {
			if err == nil {
				_, err = r.Blocks(&all[i], 0, min(4096, all[i].BlockCount()))
			}
		}
		return err
	}
	if err := read(good); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(good); at += 13 {
		bad := bytes.Clone(good)
		bad[at] ^= 1 << (at % 8)
		if read(bad) == nil && at != 11 { // byte 11 is kept for later
			t.Errorf("a flipped bit in byte %d of %d is not seen", at, len(good))
		}
	}
	for n := 0; n < len(good); n += 101 {
		if err := read(good[:n]); !errors.Is(err, manifest.ErrCorrupt) {
			t.Errorf("cut off after %d bytes: %v", n, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(encode(f, many(3)))
	f.Add(encode(f, nil))
	f.Add(encode(f, []manifest.Entry{file("large", 40*manifest.BlockSize)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := manifest.Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		all, _ := readAll(r)
		for i := range all {
			_, _ = r.Blocks(&all[i], 0, min(4096, all[i].BlockCount()))
		}
	})
}
