package delta

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/minikeeper/minikeeper/delta/manifest"
)

// A Corruption is a file whose bytes are not those that were recorded, although
// its size and modification time are.
type Corruption struct {
	Path   string
	Blocks []int64 // which of its blocks of manifest.BlockSize, if they were read now; at most 1,000
}

// A RecordReport is what a pass over a tree and its record found and did.
type RecordReport struct {
	manifest.Totals // of the record as it is now
	manifest.Meta

	Added   int64 // entries that the record did not have
	Changed int64 // entries whose bytes, target, kind, permissions or time are others than it said
	Removed int64 // entries that are gone
	Stale   int64 // of a scrub: entries that were added, changed or removed, which Ingest has yet to record

	FilesRead int64
	BytesRead int64

	// Corruptions are the files that are corrupt now, those that were found so
	// earlier among them, sorted by path; no more than MaxEntries. Totals.Corrupt
	// is exact.
	Corruptions []Corruption

	// Problems are the paths that could not be read, sorted; what is recorded of them
	// stays. No more than MaxEntries; ProblemCount is exact.
	Problems     []Problem
	ProblemCount int64
}

// RecordOptions say how to bring a record up to date.
type RecordOptions struct {
	Exclude    []string       // as in Options
	MaxEntries int            // as in Options
	Workers    int            // how many files are read at once: 0 means 8
	Progress   func(Progress) // as in Options

	// Share is written into a new record; zero makes a new share.
	Share manifest.Hash

	// Rate bounds how many bytes are read a second; 0 does not.
	Rate int64
}

// ScrubOptions say what to read again.
type ScrubOptions struct {
	RecordOptions

	// Before spares what was read at this time or later. Zero reads everything.
	Before time.Time

	// Bytes bounds how much is read, about: what was read longest ago comes
	// first. 0 does not bound it.
	Bytes int64
}

// Reasons why a record is left as it is.
var (
	ErrNoRecord     = errors.New("there is no record of this folder yet")
	ErrEmptied      = errors.New("the folder holds nothing, but its record does")
	ErrOtherTree    = errors.New("the record is of another folder")
	ErrStateInside  = errors.New("the record may not lie in the folder that it is of")
	ErrNotRecorded  = errors.New("it is not in the record")
	ErrRecordLocked = errors.New("another process is at work on the record")
	ErrNotCorrupt   = errors.New("its record is what it holds")
)

// Ingest brings the record in the file at state up to date with the folder
// tree, or begins one. It reads the files that are new or whose size, modification
// time or inode changed, once; the others it only looks at. A file modified less
// than two seconds before it was read is read again, since another change might
// not have shown.
//
// Where a file's bytes changed and its inode, size and modification time did not,
// the record stays, and the file is a Corruption. The state file is replaced
// whole, or not at all.
func Ingest(ctx context.Context, tree, state string, o RecordOptions) (RecordReport, error) {
	report, err := ingest(ctx, tree, state, o)
	if err != nil {
		return report, fmt.Errorf("record folder %s: %w", tree, err)
	}
	return report, nil
}

func ingest(ctx context.Context, tree, state string, o RecordOptions) (RecordReport, error) {
	p := pass{tree: tree, state: state, opts: o, ingest: true}
	report, err := p.run(ctx)
	if err != nil || report.Racy == 0 && p.changing.Load() == 0 {
		return report, err
	}
	select {
	case <-ctx.Done():
		return report, context.Cause(ctx)
	case <-time.After(racyWithin):
	}
	again := pass{tree: tree, state: state, opts: o, ingest: true, again: true}
	second, err := again.run(ctx)
	second.Added, second.Changed, second.Removed = second.Added+report.Added, second.Changed+report.Changed, second.Removed+report.Removed
	second.FilesRead, second.BytesRead = second.FilesRead+report.FilesRead, second.BytesRead+report.BytesRead
	return second, err
}

// Scrub reads files of the tree again and holds them against the record at
// state: bytes that changed under unchanged inode, size and modification time
// are a Corruption, now and until they are what they were, or accepted. What was
// added or changed since is left to Ingest.
func Scrub(ctx context.Context, tree, state string, o ScrubOptions) (RecordReport, error) {
	before := o.Before
	if before.IsZero() {
		before = time.Now().Add(time.Hour) // all of it, whatever the clock was then
	}
	p := pass{tree: tree, state: state, opts: o.RecordOptions, before: before.Unix(), quota: o.Bytes, scrub: true}
	report, err := p.run(ctx)
	if err != nil {
		return report, fmt.Errorf("scrub folder %s: %w", tree, err)
	}
	return report, nil
}

// Accept takes the bytes that the file at path, from the tree's root, has now for
// right, although the record says otherwise.
func Accept(ctx context.Context, tree, state, path string, o RecordOptions) (RecordReport, error) {
	p := pass{tree: tree, state: state, opts: o, accept: path}
	report, err := p.run(ctx)
	if err == nil {
		err = p.acceptErr
	}
	if err == nil && report.ProblemCount > 0 {
		err = report.Problems[0].Err
	}
	if err != nil {
		return report, fmt.Errorf("accept file %q of %s: %w", path, tree, err)
	}
	return report, nil
}
