package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper/delta"
	"github.com/minikeeper/minikeeper/delta/manifest"
	"github.com/minikeeper/minikeeper/internal/strictyaml"
)

// A sizeFlag is a flag for sizes as people write them: 512kB, 40MB, 1GiB.
type sizeFlag struct{ strictyaml.Size }

// String implements pflag.Value.
func (f *sizeFlag) String() string {
	if f.Size == 0 {
		return ""
	}
	return f.Size.String()
}

// Type implements pflag.Value.
func (f *sizeFlag) Type() string { return "size" }

// Set implements pflag.Value.
func (f *sizeFlag) Set(s string) error {
	if err := f.UnmarshalText([]byte(s)); err != nil || f.Size <= 0 {
		return fmt.Errorf("wants %s a second", f.Wants())
	}
	return nil
}

func printRecord(w io.Writer, r delta.RecordReport, took time.Duration) error {
	for _, c := range r.Corruptions {
		if _, err := fmt.Fprintf(w, "corrupt  %s%s\n", showPath(c.Path), showBlocks(c.Blocks)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d files, %d folders, %d links, %s; added %d, changed %d, removed %d, stale %d; read %d files, %s; corrupt %d; %v\n",
		r.Files, r.Dirs, r.Links, showBytes(r.Bytes), r.Added, r.Changed, r.Removed, r.Stale,
		r.FilesRead, showBytes(r.BytesRead), r.Corrupt, took.Round(time.Millisecond))
	return err
}

// showBlocks tells where a file is corrupt.
func showBlocks(blocks []int64) string {
	if len(blocks) == 0 {
		return ""
	}
	more := ""
	if len(blocks) > 1 {
		more = fmt.Sprintf(" and in %d more", len(blocks)-1)
	}
	return fmt.Sprintf("  (in the block of 256 KiB at byte %d%s)", blocks[0]*manifest.BlockSize, more)
}

// A headJSON is what a manifest says of itself.
type headJSON struct {
	Tree       string    `json:"tree"`
	Share      string    `json:"share"`
	Lineage    string    `json:"lineage"`
	Generation uint64    `json:"generation"`
	Root       string    `json:"root"`
	Written    time.Time `json:"written"`
	Files      int64     `json:"files"`
	Folders    int64     `json:"folders"`
	Links      int64     `json:"links"`
	Bytes      int64     `json:"bytes"`
	CorruptNow int64     `json:"corrupt_files"`
	Unread     int64     `json:"unread"`
	Oldest     string    `json:"oldest_verified,omitempty"`
}

func newHeadJSON(m manifest.Meta, t manifest.Totals) headJSON {
	return headJSON{
		Tree: m.Tree, Share: m.Share.String(), Lineage: m.Lineage.String(), Generation: m.Generation,
		Root: t.Root.String(), Written: m.Written.UTC(), Files: t.Files, Folders: t.Dirs, Links: t.Links, Bytes: t.Bytes,
		CorruptNow: t.Corrupt, Unread: t.Unread, Oldest: showUnix(t.Oldest),
	}
}

func showUnix(t int64) string {
	if t == 0 {
		return ""
	}
	return time.Unix(t, 0).UTC().Format(time.RFC3339)
}

type corruptJSON struct {
	pathJSON
	Blocks []int64 `json:"blocks,omitempty"`
}

// A recordJSON is what build, verify and accept print with --json.
type recordJSON struct {
	headJSON
	Added     int64         `json:"added"`
	Changed   int64         `json:"changed"`
	Removed   int64         `json:"removed"`
	Stale     int64         `json:"stale"`
	FilesRead int64         `json:"files_read"`
	BytesRead int64         `json:"bytes_read"`
	Seconds   float64       `json:"seconds"`
	Corrupt   []corruptJSON `json:"corrupt"`
	Problems  []problemJSON `json:"problems"`
}

func newRecordJSON(r delta.RecordReport, took time.Duration) recordJSON {
	j := recordJSON{
		headJSON: newHeadJSON(r.Meta, r.Totals), Added: r.Added, Changed: r.Changed, Removed: r.Removed, Stale: r.Stale,
		FilesRead: r.FilesRead, BytesRead: r.BytesRead, Seconds: took.Seconds(),
		Corrupt: make([]corruptJSON, len(r.Corruptions)), Problems: newProblemsJSON(r.Problems),
	}
	for i, c := range r.Corruptions {
		j.Corrupt[i] = corruptJSON{newPathJSON(c.Path), c.Blocks}
	}
	return j
}

type manifestEntryJSON struct {
	pathJSON
	Kind     string `json:"kind"`
	Mode     string `json:"mode,omitempty"`
	Size     int64  `json:"size,omitempty"`
	Modified string `json:"modified,omitempty"`
	Verified string `json:"verified,omitempty"`
	ID       string `json:"id,omitempty"`
	Target   string `json:"target,omitempty"`
	Corrupt  bool   `json:"corrupt,omitempty"`
	Unread   bool   `json:"unread,omitempty"`
}

func newManifestEntryJSON(e *manifest.Entry) manifestEntryJSON {
	j := manifestEntryJSON{pathJSON: newPathJSON(e.Path), Kind: kindName(e.Kind), Target: strings.ToValidUTF8(e.Target, "\uFFFD")}
	if e.Kind != manifest.Link {
		j.Mode = fmt.Sprintf("%04o", e.Mode)
	}
	if e.Kind == manifest.File {
		j.Size, j.ID, j.Verified = e.Size, e.ID.String(), showUnix(e.Verified)
		j.Modified = time.Unix(e.Mtime.Sec, int64(e.Mtime.Nsec)).UTC().Format(time.RFC3339Nano)
		j.Corrupt, j.Unread = e.Flags&manifest.Corrupt != 0, e.Flags&manifest.Unread != 0
	}
	return j
}

func kindName(k manifest.Kind) string {
	switch k {
	case manifest.Dir:
		return "folder"
	case manifest.Link:
		return "link"
	default:
		return "file"
	}
}

func (a *manifestAsk) showPath(w io.Writer, r *manifest.Reader, path string) error {
	e, err := r.Find(path)
	if err != nil {
		return err
	}
	if e == nil {
		return wrongAsk(fmt.Errorf("minikeeper: %s: %w", showPath(path), delta.ErrNotRecorded))
	}
	if a.asJSON {
		return writeJSON(w, newManifestEntryJSON(e))
	}
	return printEntry(w, e)
}

// showAll prints what the manifest says of itself, and then each of its entries.
func (a *manifestAsk) showAll(w io.Writer, r *manifest.Reader) error {
	head := newHeadJSON(r.Meta(), r.Totals())
	if a.asJSON {
		return writeManifestJSON(w, head, r)
	}
	fmt.Fprintf(w, "# %s: share %s, lineage %s, generation %d, root %s\n", showPath(head.Tree), head.Share, head.Lineage, head.Generation, head.Root)
	fmt.Fprintf(w, "# %d files, %d folders, %d links, %s; corrupt %d; all read since %s\n",
		head.Files, head.Folders, head.Links, showBytes(head.Bytes), head.CorruptNow, head.Oldest)
	return eachEntry(r, func(e *manifest.Entry) error { return printEntry(w, e) })
}

// writeManifestJSON writes an object a line: the head first, then the entries.
func writeManifestJSON(w io.Writer, head headJSON, r *manifest.Reader) error {
	if err := writeLine(w, head); err != nil {
		return err
	}
	return eachEntry(r, func(e *manifest.Entry) error { return writeLine(w, newManifestEntryJSON(e)) })
}

func eachEntry(r *manifest.Reader, do func(*manifest.Entry) error) error {
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = do(e)
		}
		if err != nil {
			return err
		}
	}
}

// printEntry prints an entry as a line: id, mode, size, time, path.
func printEntry(w io.Writer, e *manifest.Entry) error {
	id, size, when, more := "-", "-", "-", ""
	mode := os.FileMode(e.Mode & 0o777)
	switch e.Kind {
	case manifest.Dir:
		mode |= os.ModeDir
	case manifest.Link:
		mode, more = os.ModeSymlink, " -> "+showPath(e.Target)
	case manifest.File:
		id, size = e.ID.String(), strconv.FormatInt(e.Size, 10)
		when = time.Unix(e.Mtime.Sec, 0).UTC().Format(time.RFC3339)
		if e.Flags&manifest.Corrupt != 0 {
			more = "  corrupt"
		}
		if e.Flags&manifest.Unread != 0 {
			id, more = "-", "  unread"
		}
	}
	_, err := fmt.Fprintf(w, "%-32s  %v  %12s  %-20s  %s%s\n", id, mode, size, when, showPath(e.Path), more)
	return err
}

// writeLine writes v as JSON on a line of its own.
func writeLine(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }
