package delta

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// SyncOptions say how to make a replica equal. The zero value copies and
// repairs, and deletes nothing.
type SyncOptions struct {
	Options

	// Delete moves what the origin does not have into the replica's trash.
	Delete bool

	// MaxDelete is how much may be deleted at once, of all files and folders of
	// the replica. A sync that would delete more does nothing at all.
	MaxDelete Limit

	// DryRun compares, and refuses what a sync would refuse, but for one that is
	// under way. It writes nothing.
	DryRun bool

	// KeepTrash is how long deleted files are kept; 0 means for ever.
	KeepTrash time.Duration
}

// A SyncReport is what a sync found and did.
type SyncReport struct {
	Compared Report // before anything was done

	FilesCopied   int64
	BytesCopied   int64 // written to the replica; holes are not
	BytesRead     int64 // to compare, to copy, and to check what was written
	LinksMade     int64
	FoldersMade   int64
	MetadataFixed int64
	Deleted       int64  // extra entries that went into the trash
	Kept          int64  // extra entries that stay because Delete is off
	Trash         string // where deleted entries are, from the share's root; "" if none are

	// Problems are the paths that are not equal now, those of Compared among them;
	// no more than Options.MaxEntries. ProblemCount is exact.
	Problems     []Problem
	ProblemCount int64
}

// Equal tells whether the replica was made equal to its origin, as that was when it
// was compared.
func (r SyncReport) Equal() bool { return r.ProblemCount == 0 && r.Kept == 0 }

// A TooManyDeletesError says that a sync was refused because of its limit.
type TooManyDeletesError struct {
	Deletes int64 // that would have been
	Of      int64 // entries that the replica has
	Limit   Limit
}

// Error gives the counts.
func (e *TooManyDeletesError) Error() string {
	return fmt.Sprintf("it would delete %d of the replica's %d entries, and no more than %s (%d) may be",
		e.Deletes, e.Of, e.Limit, e.Limit.Of(e.Of))
}

// Sync makes the tree at replica equal to the one at origin.
//
// It compares both as Compare does, and refuses to touch the replica if the origin
// holds no files (ErrOriginEmpty), the trees overlap (ErrSameTree), too much
// would be deleted (*TooManyDeletesError) or another sync is under way
// (*LockedError). A file is copied beside, made durable, read back and
// compared with what was read, and only then renamed over the old one.
// Deletions come last; there are none if a part of the origin could not be
// listed. Both folders must exist.
//
// A path that cannot be made equal is a problem of the report, and everything
// else goes on; so check SyncReport.Equal. An error means that the sync
// was refused or ended early: its cause is ctx's, or that the replica's disk is
// full or read-only. Whatever was done until then is whole, and another
// Sync goes on from there.
func Sync(ctx context.Context, origin, replica string, o SyncOptions) (SyncReport, error) {
	report, err := syncTrees(ctx, origin, replica, o)
	if err != nil {
		return report, fmt.Errorf("sync replica: %w", err)
	}
	return report, nil
}

func syncTrees(ctx context.Context, origin, replica string, o SyncOptions) (SyncReport, error) {
	trees, err := openTrees(origin, replica)
	if err != nil {
		return SyncReport{}, err
	}
	defer trees.close()
	c, err := newComparison(trees, o.Options)
	if err != nil {
		return SyncReport{}, err
	}
	if o.DryRun {
		return dryRun(ctx, c, o)
	}
	own, err := openOwn(trees.replica)
	if err != nil {
		return SyncReport{}, err
	}
	defer own.close()

	var p plan
	c.keep = p.add
	if err := c.run(ctx); err != nil {
		return SyncReport{Compared: c.result()}, err
	}
	a := newApplier(c, own, o)
	if err := refuse(a.report, o); err != nil {
		return a.report, err
	}
	err = a.run(ctx, p, origin)
	if o.KeepTrash > 0 {
		if expired := own.expire(time.Now(), o.KeepTrash); expired != nil {
			a.problem(reserved+"/"+trashName, expired)
		}
	}
	return a.result(), err
}

// dryRun compares, and tells whether a sync would be refused then.
func dryRun(ctx context.Context, c *comparison, o SyncOptions) (SyncReport, error) {
	if err := c.run(ctx); err != nil {
		return SyncReport{Compared: c.result()}, err
	}
	r := newSyncReport(c.result(), o)
	return r, refuse(r, o)
}

// newSyncReport is the report of a sync that has compared and done nothing yet.
func newSyncReport(found Report, o SyncOptions) SyncReport {
	r := SyncReport{Compared: found, BytesRead: found.BytesRead, ProblemCount: found.ProblemCount}
	r.Problems = slices.Clone(found.Problems)
	if !o.Delete {
		r.Kept = found.Counts[Extra]
	}
	return r
}

// refuse returns why nothing may be done after what was found.
func refuse(r SyncReport, o SyncOptions) error {
	found := r.Compared
	if found.OriginFiles == 0 {
		return ErrOriginEmpty
	}
	total := found.Files + found.Dirs
	if deletes := found.Counts[Extra]; o.Delete && deletes > o.MaxDelete.Of(total) {
		return &TooManyDeletesError{Deletes: deletes, Of: total, Limit: o.MaxDelete}
	}
	return nil
}

// isFatal tells whether err concerns the whole replica, so that trying the
// next path is pointless.
func isFatal(err error) bool {
	for _, fatal := range fatalErrors() {
		if errors.Is(err, fatal) {
			return true
		}
	}
	return false
}
