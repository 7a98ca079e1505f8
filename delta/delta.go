// Package delta finds out how a replica of a directory tree differs from its
// origin, and makes the replica equal to it.
//
// [Compare] reads both trees and changes neither. [Sync] writes to the replica
// alone, so that whoever reads it at any moment, or after a crash, sees each
// file as it was or as it is to be, and it deletes only what its limits allow,
// into a trash. Both reach every entry through the folder that holds it and
// never follow a symbolic link, so no link leads them out of the two trees.
//
// [Ingest] keeps a record of a tree, a manifest as package manifest has it: a
// hash of every block of every file. [Scrub] reads the files again and finds what
// rotted on the disk; [Accept] takes a corrupt file's bytes for right.
//
// Names are bytes: they need not be UTF-8, and two spellings of one word are
// two names. The folder .minikeeper at the root of either tree is the
// package's own (lock, temporary files, trash) and is part of neither.
//
// What is compared, and made equal: the kind of each entry (file, folder,
// symbolic link), the bytes of files, the targets of links, the permission
// bits of files and folders, and the modification times of files. What is
// not: owners, setuid and setgid bits (a replica's file never has them), extended
// attributes, times of folders and links, and which files are hard links to
// one another.
//
// The package knows nothing of shares, metrics or schedules.
package delta

import (
	"context"
	"errors"
	"fmt"
)

// A Kind is a way in which a replica differs from its origin.
type Kind string

// The kinds of difference. An entry is counted under one of them.
const (
	Missing  Kind = "missing"  // the replica does not have it
	Extra    Kind = "extra"    // the origin does not have it
	Content  Kind = "content"  // other bytes, another link target, or another kind of entry
	Metadata Kind = "metadata" // only permission bits or modification time differ
)

// Kinds returns all kinds that Compare can find, in the order of their names.
func Kinds() []Kind { return []Kind{Content, Extra, Metadata, Missing} }

// An Entry is one path at which the replica differs.
type Entry struct {
	Path  string // relative to the share, separated by slashes, bytes as they are
	Kind  Kind
	Bytes int64 // that would have to move to make it equal
}

// A Problem is a path that could not be compared or made equal, and why.
type Problem struct {
	Path string // as in Entry; "" is the share itself
	Err  error
}

// String shows the path quoted, so that no name can forge a line.
func (p Problem) String() string { return fmt.Sprintf("%q: %v", p.Path, p.Err) }

// A Report is what a comparison found.
type Report struct {
	Files       int64 // of the replica: everything that is not a folder
	Dirs        int64 // of the replica, without the share's own root
	Bytes       int64 // of the replica's files, by their sizes
	OriginFiles int64 // of the origin: everything that is not a folder

	Counts       map[Kind]int64 // exact; every kind is there
	DriftBytes   int64          // that would have to move; exact
	Entries      []Entry        // sorted by path; no more than Options.MaxEntries
	Problems     []Problem      // sorted by path; no more than Options.MaxEntries
	ProblemCount int64          // exact

	// Uncounted says that a folder of the replica could not be read, so that
	// Files, Dirs and Bytes are less than the truth.
	Uncounted bool

	BytesRead int64 // from both trees
}

// Drift returns how many entries differ.
func (r Report) Drift() int64 {
	var n int64
	for _, count := range r.Counts {
		n += count
	}
	return n
}

// InSync tells whether the replica is known to equal its origin: nothing
// differs, and everything could be compared.
func (r Report) InSync() bool { return r.Drift() == 0 && r.ProblemCount == 0 }

// DefaultMaxEntries is how many entries and problems a report names when
// Options do not say.
const DefaultMaxEntries = 1000

// Options say how to compare. The zero value is a good choice.
type Options struct {
	// Exclude lists what is neither drift nor deleted: patterns of path.Match.
	// One without a slash is for names in any folder; one with a slash is for
	// paths from the share's root. What lies in an excluded folder is excluded.
	// The word "default" stands for DefaultExclude. Nil means only these, an
	// empty list nothing at all. What is excluded by a pattern of DefaultExclude
	// is deleted with the folder that holds it; anything else keeps that folder.
	Exclude []string

	// MaxEntries bounds Report.Entries and Report.Problems: 0 means
	// DefaultMaxEntries, a negative number none.
	MaxEntries int

	// Quick takes two files of the same size and modification time for equal,
	// without reading them: much faster, and blind to rot.
	Quick bool

	// Workers is how many files are worked on at once: 0 means 2 to 4.
	Workers int

	// Progress is told how far the work is: by one goroutine at a time, at most
	// ten times a second, and at the end of each phase. It must return soon.
	Progress func(Progress)
}

// A Phase is a part of the work.
type Phase string

// The phases: of Compare the first, of Sync the first three in their order, of
// Ingest and Scrub their own.
const (
	PhaseCompare Phase = "compare"
	PhaseCopy    Phase = "copy"
	PhaseDelete  Phase = "delete"
	PhaseIngest  Phase = "record"
	PhaseScrub   Phase = "scrub"
)

// Progress is how far a phase is.
type Progress struct {
	Phase      Phase
	Files      int64 // done
	FilesTotal int64 // 0 while it is not known
	Bytes      int64 // read while comparing, written while copying
	BytesTotal int64 // 0 while it is not known
}

// Errors that Compare and Sync wrap when they refuse to begin.
var (
	ErrSameTree    = errors.New("origin and replica are the same folder, or one lies in the other")
	ErrOriginEmpty = errors.New("the origin holds no files")
	ErrPattern     = errors.New("exclude pattern")
)

// Compare compares the tree at replica with the one at origin, byte by byte
// unless Options.Quick says otherwise, and writes nothing. The two paths
// themselves may be symbolic links.
//
// A path that cannot be read, or that changes again while it is read a second
// time, is a Problem of the report; everything else is compared all the same.
// An error means that there is no answer: a root cannot be opened or listed, the
// two trees overlap, a pattern is malformed, or ctx ended. The report then
// holds what was seen until then.
func Compare(ctx context.Context, origin, replica string, o Options) (Report, error) {
	trees, err := openTrees(origin, replica)
	if err != nil {
		return Report{}, fmt.Errorf("compare replica: %w", err)
	}
	defer trees.close()
	c, err := newComparison(trees, o)
	if err != nil {
		return Report{}, fmt.Errorf("compare replica: %w", err)
	}
	if err := c.run(ctx); err != nil {
		return c.result(), fmt.Errorf("compare replica: %w", err)
	}
	return c.result(), nil
}
