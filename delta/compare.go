package delta

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// blockSize is how much of each of two files is read at a time.
const blockSize = 1 << 20

// A difference is what Sync needs to know beyond an Entry.
type difference struct {
	path    string
	kind    Kind // "" for what is excluded and goes with its folder
	origin  info // zero if missing there
	replica info // zero if missing there
}

// A comparison walks two trees side by side in one goroutine, and has several
// others read the pairs of files that only their bytes can tell apart.
type comparison struct {
	trees
	rules   rules
	max     int
	quick   bool
	workers int
	buffers sync.Pool
	pairs   chan pair

	// keep is given every difference, by one goroutine at a time; may be nil.
	keep func(difference)

	mu       sync.Mutex
	report   Report
	progress *progress

	originUnlisted bool // some of the origin is not known: what is extra may not be
}

// A pair is a file of equal size in both trees.
type pair struct {
	origin, replica *dir
	name, path      string
}

func newComparison(t trees, o Options) (*comparison, error) {
	rules, err := newRules(o.Exclude)
	if err != nil {
		return nil, err
	}
	c := &comparison{
		trees:    t,
		rules:    rules,
		max:      max(0, cmp.Or(o.MaxEntries, DefaultMaxEntries)),
		quick:    o.Quick,
		workers:  o.workers(),
		progress: newProgress(o.Progress, PhaseCompare),
	}
	c.buffers.New = func() any { b := make([]byte, 2*blockSize); return &b }
	c.report.Counts = make(map[Kind]int64)
	for _, kind := range Kinds() {
		c.report.Counts[kind] = 0
	}
	return c, nil
}

func (o Options) workers() int {
	if o.Workers > 0 {
		return o.Workers
	}
	return min(4, max(2, runtime.GOMAXPROCS(0)))
}

// run compares the trees. After it, result has what it found.
func (c *comparison) run(ctx context.Context) error {
	c.pairs = make(chan pair, 64) // each holds two folders open
	group, working := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(c.pairs)
		return c.walk(working)
	})
	for range c.workers {
		group.Go(func() error {
			for p := range c.pairs {
				if working.Err() == nil {
					c.compareFiles(working, p)
				}
				p.origin.release()
				p.replica.release()
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	c.progress.end()
	return nil
}

// result returns the report, in order.
func (c *comparison) result() Report {
	r := c.report
	slices.SortFunc(r.Entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind))
	})
	slices.SortStableFunc(r.Problems, func(a, b Problem) int { return cmp.Compare(a.Path, b.Path) })
	return r
}

// differs notes a difference.
func (c *comparison) differs(d difference) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keep != nil {
		c.keep(d)
	}
	if d.kind == "" {
		return
	}
	e := Entry{Path: d.path, Kind: d.kind}
	if (d.kind == Missing || d.kind == Content) && d.origin.kind == isFile {
		e.Bytes = d.origin.size
	}
	c.report.Counts[d.kind]++
	c.report.DriftBytes += e.Bytes
	if len(c.report.Entries) < c.max {
		c.report.Entries = append(c.report.Entries, e)
	}
}

// problem notes a path that could not be compared.
func (c *comparison) problem(path string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.ProblemCount++
	if len(c.report.Problems) < c.max {
		c.report.Problems = append(c.report.Problems, Problem{Path: path, Err: cause(err)})
	}
}

// compareFiles reads both files of p and notes how they differ. What changed
// while it was read is read once more.
func (c *comparison) compareFiles(ctx context.Context, p pair) {
	buf, _ := c.buffers.Get().(*[]byte)
	defer c.buffers.Put(buf)
	for again := range 2 {
		d, read, err := p.read(ctx, *buf)
		c.read(read)
		switch {
		case ctx.Err() != nil:
			return // run reports it
		case errors.Is(err, errChanged) && again == 0:
			continue
		case err != nil:
			c.problem(p.path, err)
		case d.kind != "":
			c.differs(d)
		}
		break
	}
	c.progress.add(1, 0)
}

// read counts bytes that were read from both trees together.
func (c *comparison) read(n int64) {
	c.mu.Lock()
	c.report.BytesRead += n
	c.mu.Unlock()
	c.progress.add(0, n)
}

// read compares the files of p. It returns the difference, whose kind is "" if
// there is none, and how many bytes it read.
func (p pair) read(ctx context.Context, buf []byte) (difference, int64, error) {
	o, err := p.origin.open(p.name)
	if err != nil {
		return difference{}, 0, sideError("origin", err)
	}
	defer o.close()
	r, err := p.replica.open(p.name)
	if err != nil {
		return difference{}, 0, sideError("replica", err)
	}
	defer r.close()

	d := difference{path: p.path}
	if d.origin, err = o.stat(); err != nil {
		return d, 0, sideError("origin", err)
	}
	if d.replica, err = r.stat(); err != nil {
		return d, 0, sideError("replica", err)
	}
	same, read, err := sameBytes(ctx, o, r, d, buf)
	if err != nil {
		return d, read, err
	}
	if err := stillAs(o, d.origin); err != nil {
		return d, read, sideError("origin", err)
	}
	if err := stillAs(r, d.replica); err != nil {
		return d, read, sideError("replica", err)
	}
	switch {
	case !same:
		d.kind = Content
	case !sameMetadata(d.origin, d.replica):
		d.kind = Metadata
	}
	return d, read, nil
}

// sameBytes compares two open files up to the first difference.
func sameBytes(ctx context.Context, o, r *file, d difference, buf []byte) (same bool, read int64, err error) {
	if d.origin.size != d.replica.size {
		return false, 0, nil
	}
	half := len(buf) / 2
	for offset := int64(0); offset < d.origin.size; {
		if ctx.Err() != nil {
			return false, read, context.Cause(ctx)
		}
		n := int(min(int64(half), d.origin.size-offset))
		a, b := buf[:n], buf[half:half+n]
		if err := o.readFull(a, offset); err != nil {
			return false, read, sideError("origin", err)
		}
		if err := r.readFull(b, offset); err != nil {
			return false, read, sideError("replica", err)
		}
		read += 2 * int64(n)
		if !bytes.Equal(a, b) {
			return false, read, nil
		}
		offset += int64(n)
	}
	return true, read, nil
}

// stillAs returns errChanged unless f is as it was.
func stillAs(f *file, was info) error {
	now, err := f.stat()
	if err != nil {
		return err
	}
	if !unchanged(was, now) {
		return errChanged
	}
	return nil
}

// A treeError is an error of one of the two trees.
type treeError struct {
	side string
	err  error
}

func sideError(side string, err error) error { return &treeError{side, err} }

func (e *treeError) Error() string { return e.side + ": " + e.err.Error() }
func (e *treeError) Unwrap() error { return e.err }
