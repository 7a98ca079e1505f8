package delta

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Reasons why a path is left as it is.
var (
	errAppeared  = errors.New("it appeared on the origin meanwhile")
	errOther     = errors.New("it changed on the replica meanwhile")
	errKept      = errors.New("the origin has something else there, but the folder holds entries that must stay")
	errUnsafe    = errors.New("nothing is deleted, because a part of the origin could not be listed")
	errOriginOut = errors.New("nothing is deleted, because the origin's path leads elsewhere now")
)

// fatalErrors are those after which the next path would fail as well.
func fatalErrors() []error {
	return []error{unix.ENOSPC, unix.EDQUOT, unix.EROFS}
}

// An applier carries a plan out.
type applier struct {
	trees
	own     *own
	opts    SyncOptions
	max     int
	workers int
	buffers *sync.Pool
	unsafe  bool // to delete
	trash   *trash

	mu       sync.Mutex
	report   SyncReport
	touched  map[string]struct{} // folders whose entries changed
	progress *progress
}

func newApplier(c *comparison, own *own, o SyncOptions) *applier {
	return &applier{
		own: own, trash: newTrash(own, time.Now()), opts: o, unsafe: c.originUnlisted,
		trees: c.trees, max: c.max, workers: c.workers, buffers: &c.buffers,
		report: newSyncReport(c.result(), o), touched: make(map[string]struct{}),
	}
}

// result returns the report. Nothing may be under way any more.
func (a *applier) result() SyncReport {
	a.report.Trash = a.trash.path()
	slices.SortStableFunc(a.report.Problems, func(x, y Problem) int { return cmp.Compare(x.Path, y.Path) })
	return a.report
}

// run carries p out. What fails for one path is a problem; what fails for all
// is an error.
func (a *applier) run(ctx context.Context, p plan, origin string) (err error) {
	// Whether or not it goes well, what was renamed is made durable.
	defer func() { err = errors.Join(err, a.settle(), a.trash.close()) }()

	a.progress = newProgress(a.opts.Progress, PhaseCopy)
	a.progress.total(len(p.files)+len(p.late), p.copySize)
	if err := a.inOrder(ctx, p.folders, a.makeFolder); err != nil {
		return err
	}
	if err := a.atOnce(ctx, p.files, a.makeEqual); err != nil {
		return err
	}
	a.progress.end()
	if err := a.settle(); err != nil {
		return err
	}
	if a.opts.Delete && len(p.deletes) > 0 {
		a.progress = newProgress(a.opts.Progress, PhaseDelete)
		a.progress.total(len(p.deletes), 0)
		if err := a.deleteAll(ctx, p.deletes, origin); err != nil {
			return err
		}
		a.progress.end()
	}
	if err := a.inOrder(ctx, p.late, a.replaceFolder); err != nil {
		return err
	}
	slices.Reverse(p.modes) // a folder that is to be read-only comes after those within
	return a.inOrder(ctx, p.modes, a.setMode)
}

// inOrder has f deal with one difference after the other.
func (a *applier) inOrder(ctx context.Context, ds []difference, f func(context.Context, difference) error) error {
	for _, d := range ds {
		if err := a.judge(ctx, d, f(ctx, d)); err != nil {
			return err
		}
	}
	return nil
}

// atOnce has f deal with several differences at a time.
func (a *applier) atOnce(ctx context.Context, ds []difference, f func(context.Context, difference) error) error {
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(a.workers)
	for _, d := range ds {
		if working.Err() != nil {
			break
		}
		group.Go(func() error { return a.judge(working, d, f(working, d)) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// judge tells a problem of one path from a reason to end, which it returns.
func (a *applier) judge(ctx context.Context, d difference, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil:
		return nil
	case isFatal(err):
		return fmt.Errorf("make %q equal: %w", d.path, err)
	default:
		a.problem(d.path, err)
		return nil
	}
}

func (a *applier) problem(path string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report.ProblemCount++
	if len(a.report.Problems) < a.max {
		a.report.Problems = append(a.report.Problems, Problem{Path: path, Err: cause(err)})
	}
}

// count changes the report.
func (a *applier) count(f func(*SyncReport)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(&a.report)
}

// touch notes that the folder of the entry at rel is to be made durable.
func (a *applier) touch(rel string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.touched[path.Dir(rel)] = struct{}{}
}

// settle makes every folder durable in which something was renamed.
func (a *applier) settle() error {
	for _, rel := range slices.Sorted(maps.Keys(a.touched)) {
		d, err := a.replica.at(rel)
		if err != nil {
			continue // it is gone, or something else now; the folder around it is in the list
		}
		err = d.sync()
		d.release()
		if err != nil {
			return fmt.Errorf("make folder %q durable: %w", rel, err)
		}
	}
	clear(a.touched)
	return nil
}
