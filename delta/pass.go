package delta

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/minikeeper/minikeeper/delta/manifest"
)

// racyWithin is how long after its modification a file may be changed again
// without its times showing it.
const racyWithin = 2 * time.Second

// A pass goes through a tree and its record side by side and writes the new
// record, in three stages: one goroutine merges the two, several read files, one
// writes the entries in order.
type pass struct {
	tree, state string
	opts        RecordOptions

	ingest bool   // read what is new or changed
	again  bool   // what changes while it is read is a problem: it was tried before
	scrub  bool   // read what was last read before a time
	before int64  // in Unix seconds
	quota  int64  // of bytes to scrub; 0 is no bound
	spent  int64  // of it
	accept string // a path to read as if it had changed

	rules   rules
	root    *dir
	now     int64
	old     *manifest.Reader // nil if there is none
	head    *manifest.Entry  // the next entry of old; nil at its end
	limiter *rate.Limiter

	ctx       context.Context // of the stages
	keepBelow []string        // paths of which, and below which, nothing is known now
	batch     *batch
	queue     chan *batch
	jobs      chan job
	buffers   sync.Pool

	mu        sync.Mutex
	report    RecordReport
	max       int
	dirty     bool // the new record says something else than the old one
	readBytes atomic.Int64
	changing  atomic.Int64 // files that changed while they were read
	acceptErr error
	progress  *progress
}

// run makes one pass.
func (p *pass) run(ctx context.Context) (report RecordReport, err error) {
	if p.rules, err = newRules(p.opts.Exclude); err != nil {
		return RecordReport{}, err
	}
	if p.root, err = openRoot(p.tree); err != nil {
		return RecordReport{}, err
	}
	defer p.root.release()
	file, err := openState(p.state, p.root)
	if err != nil {
		return RecordReport{}, err
	}
	defer file.close()
	if err := p.open(file); err != nil {
		return RecordReport{}, err
	}
	if err := p.prepare(); err != nil {
		return RecordReport{}, err
	}
	tmp, err := file.create()
	if err != nil {
		return RecordReport{}, err
	}
	err = p.merge(ctx, tmp)
	if err == nil && p.dirty {
		err = file.replace(tmp)
	}
	return p.result(), errors.Join(err, file.discard(tmp))
}

// open reads what the old record says of itself.
func (p *pass) open(file *stateFile) error {
	if file.old == nil {
		if !p.ingest {
			return ErrNoRecord
		}
		p.dirty = true
		return nil
	}
	st, err := file.old.Stat()
	if err != nil {
		return err
	}
	if p.old, err = manifest.Open(file.old, st.Size()); err != nil {
		return fmt.Errorf("read %s: %w", p.state, err)
	}
	if was := p.old.Meta().Tree; was != p.name() {
		return fmt.Errorf("%w: %s, not %s", ErrOtherTree, was, p.name())
	}
	if p.head, err = p.nextOld(); err != nil {
		return err
	}
	return nil
}

// name is what the record calls the tree.
func (p *pass) name() string {
	if abs, err := filepath.Abs(p.tree); err == nil {
		return abs
	}
	return p.tree
}

func (p *pass) prepare() error {
	p.now = time.Now().Unix()
	p.max = max(0, cmp.Or(p.opts.MaxEntries, DefaultMaxEntries))
	p.queue, p.jobs = make(chan *batch, queued), make(chan job, 64)
	p.batch = &batch{}
	p.buffers.New = func() any { b := make([]byte, manifest.BlockSize); return &b }
	p.progress = newProgress(p.opts.Progress, p.phase())
	if r := p.opts.Rate; r > 0 {
		p.limiter = rate.NewLimiter(rate.Limit(r), int(max(r, manifest.BlockSize)))
	}
	if p.accept != "" {
		p.acceptErr = ErrNotRecorded
	}
	if p.scrub && p.quota > 0 {
		return p.choose()
	}
	return nil
}

func (p *pass) phase() Phase {
	if p.scrub {
		return PhaseScrub
	}
	return PhaseIngest
}

// choose lowers the time before which files are read again, so that about quota
// bytes are.
func (p *pass) choose() error {
	const step = 60 // seconds: so long ago is the same as a little longer
	bytes := make(map[int64]int64)
	p.old.Rewind()
	for {
		e, err := p.old.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if e.Kind == manifest.File && e.Flags&manifest.Unread == 0 && e.Verified < p.before {
			bytes[e.Verified/step] += e.Size
		}
	}
	due := int64(0)
	for _, at := range slices.Sorted(maps.Keys(bytes)) {
		if due += bytes[at]; due >= p.quota {
			p.before = min(p.before, (at+1)*step)
			break
		}
	}
	p.old.Rewind()
	var err error
	p.head, err = p.nextOld()
	return err
}

// merge runs the stages, and writes the new record to tmp.
func (p *pass) merge(ctx context.Context, tmp *os.File) error {
	group, working := errgroup.WithContext(ctx)
	w := manifest.NewWriter(tmp, p.old)
	s := &scan{rules: p.rules, found: p.unknown, entry: p.entry, hints: make(chan *folder, 64)}
	walk, stop := context.WithCancel(working)
	for range 2 {
		group.Go(func() error { s.readAhead(walk); return nil })
	}
	for range cmp.Or(p.opts.Workers, 8) {
		group.Go(func() error { p.work(working); return nil })
	}
	group.Go(func() error { return p.write(working, w) })
	group.Go(func() error {
		defer stop()
		defer close(p.queue)
		defer close(p.jobs)
		p.ctx = working
		if err := s.run(working, p.root); err != nil {
			return err
		}
		if err := p.gone(""); err != nil {
			return err
		}
		return p.flush()
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	p.progress.end()
	return p.finish(w)
}

// finish ends the new record.
func (p *pass) finish(w *manifest.Writer) error {
	totals := w.Root()
	meta := manifest.Meta{Tree: p.name(), Share: p.opts.Share, Generation: 1, Written: time.Now()}
	if p.old != nil {
		was := p.old.Totals()
		if totals.Files == 0 && was.Files > 0 && p.report.ProblemCount == 0 {
			p.dirty = false
			return ErrEmptied
		}
		meta.Share, meta.Lineage, meta.Generation = p.old.Meta().Share, p.old.Meta().Lineage, p.old.Meta().Generation
		if totals.Root != was.Root {
			meta.Generation++
			p.dirty = true
		}
	} else {
		if meta.Share.IsZero() {
			_, _ = rand.Read(meta.Share[:]) // it never fails
		}
		_, _ = rand.Read(meta.Lineage[:])
	}
	if !p.dirty {
		meta.Written = p.old.Meta().Written
	}
	p.report.Totals, p.report.Meta = totals, meta
	if !p.dirty {
		return nil // the old record stands
	}
	return w.Close(meta)
}

func (p *pass) result() RecordReport {
	p.report.BytesRead = p.readBytes.Load()
	slices.SortFunc(p.report.Corruptions, func(a, b Corruption) int { return manifest.ComparePaths(a.Path, b.Path) })
	slices.SortStableFunc(p.report.Problems, func(a, b Problem) int { return manifest.ComparePaths(a.Path, b.Path) })
	return p.report
}

func (p *pass) problem(path string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.report.ProblemCount++
	if len(p.report.Problems) < p.max {
		p.report.Problems = append(p.report.Problems, Problem{Path: path, Err: cause(err)})
	}
}
