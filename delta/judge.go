package delta

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/minikeeper/minikeeper/delta/manifest"
)

// What is done about an entry.
type deed uint8

const (
	keep   deed = iota // write the entry as it is given
	verify             // read the file and hold it against its block list
	read               // read the file and make its block list
)

// How much goes through the stages at a time.
const (
	queued     = 8
	batchItems = 256
	batchBytes = 32 << 20
	batchDirs  = 16
	jobParts   = 16
	jobBytes   = 4 << 20
	partBlocks = manifest.InlineBlocks // of a file that is read in several parts: 8 MiB
)

// A work is one entry on its way into the new record.
type work struct {
	entry manifest.Entry
	was   *manifest.Entry // nil if it is new
	deed  deed
	dir   *dir // that the file is in; held for each part that is to be read
	name  string
	now   info
}

// A part is a work, or some blocks of a large file.
type part struct {
	*work
	first, last int64 // blocks

	blocks manifest.Blocks // what was read
	racy   bool
	bad    []int64 // the blocks that are not what was recorded
	err    error
}

// An item is what becomes one entry, or a part of one.
type item struct {
	kept *manifest.Entry // to be kept as it is; or
	*part
}

// A batch is some items, in order.
type batch struct {
	items []item
	bytes int64
	dirs  int
	dir   *dir           // the last one that is held
	open  sync.WaitGroup // those that are to be read and are not yet
}

// entry deals with an entry of the tree. They come in the order of the record.
func (p *pass) entry(rel string, d *dir, n node) error {
	if err := p.gone(rel); err != nil {
		return err
	}
	was, err := p.takeOld(rel)
	if err != nil {
		return err
	}
	switch n.kind {
	case isFolder:
		return p.plain(was, manifest.Entry{Path: rel, Kind: manifest.Dir, Mode: n.mode})
	case isLink:
		return p.link(was, rel, d, n)
	case isFile:
		return p.file(was, rel, d, n)
	default:
		p.problem(rel, errSpecial)
		if was != nil {
			return p.removed(was)
		}
		return nil
	}
}

func (p *pass) link(was *manifest.Entry, rel string, d *dir, n node) error {
	target, err := d.readlink(n.name)
	if err != nil {
		p.problem(rel, err)
		if was != nil && was.Kind == manifest.Link {
			return p.keep(was)
		}
		return nil
	}
	return p.plain(was, manifest.Entry{Path: rel, Kind: manifest.Link, Target: target})
}

// plain deals with a folder or link, which has nothing to be read.
func (p *pass) plain(was *manifest.Entry, e manifest.Entry) error {
	switch {
	case was == nil:
		if !p.ingest {
			p.count(func(r *RecordReport) { r.Stale++ })
			return nil
		}
		p.count(func(r *RecordReport) { r.Added++ })
		p.soil()
	case was.Kind == e.Kind && was.Mode == e.Mode && was.Target == e.Target:
		return p.keep(was)
	case !p.ingest:
		p.count(func(r *RecordReport) { r.Stale++ })
		return p.keep(was)
	default:
		p.count(func(r *RecordReport) { r.Changed++ })
		p.soil()
	}
	return p.send(&work{entry: e})
}

// file decides what is done about a file.
func (p *pass) file(was *manifest.Entry, rel string, d *dir, n node) error {
	now := newEntry(rel, n.info)
	before := was
	if was != nil && was.Kind != manifest.File {
		before = nil
	}
	do := p.judge(before, &now)
	switch {
	case do == keep && was != nil:
		if before == nil {
			p.count(func(r *RecordReport) { r.Stale++ })
		}
		return p.keep(was)
	case do == keep:
		p.count(func(r *RecordReport) { r.Stale++ })
		return nil
	}
	w := &work{was: before, deed: do, dir: d, name: n.name, now: n.info, entry: now}
	if do == verify && !p.ingest {
		w.entry = *before // Ingest alone records what is new of a file
	}
	return p.send(w)
}

// judge tells what is done about a file that is there now; was is nil if it
// was not recorded.
func (p *pass) judge(was, e *manifest.Entry) deed {
	if was != nil && p.accept != "" && p.accept == e.Path {
		p.acceptErr = ErrNotCorrupt
		if was.Flags&manifest.Corrupt != 0 {
			p.acceptErr = nil
			return read
		}
		return keep
	}
	if was == nil || was.Flags&(manifest.Unread|manifest.Racy) != 0 || !sameFile(was, e) {
		if p.ingest {
			return read
		}
		if was != nil && p.scrub {
			p.count(func(r *RecordReport) { r.Stale++ })
		}
		return keep
	}
	touched := was.Ctime != e.Ctime || was.Inode != e.Inode || was.Mode != e.Mode
	due := p.scrub && was.Verified < p.before && (p.quota == 0 || p.spent < p.quota)
	if due {
		p.spent += was.Size
	}
	if due || touched && p.ingest {
		return verify
	}
	return keep
}

// sameFile tells whether the file that was recorded is the one that is there, so
// that its bytes have no reason to be others: nobody wrote to it since. On a
// filesystem that makes inodes up, ctime vouches for it.
func sameFile(was, now *manifest.Entry) bool {
	return was.Size == now.Size && was.Mtime == now.Mtime && (was.Inode == now.Inode || was.Ctime == now.Ctime)
}

func newEntry(rel string, i info) manifest.Entry {
	return manifest.Entry{
		Path: rel, Kind: manifest.File, Mode: i.mode, Size: i.size, Inode: i.ino,
		Mtime: manifest.Time{Sec: int64(i.mtime.Sec), Nsec: uint32(i.mtime.Nsec)}, //nolint:unconvert // their width differs between systems
		Ctime: manifest.Time{Sec: int64(i.ctime.Sec), Nsec: uint32(i.ctime.Nsec)}, //nolint:unconvert // likewise
	}
}

// isRacy tells whether a file that is read now might be changed without its times
// showing it.
func isRacy(mtime manifest.Time, now time.Time) bool {
	age := now.Sub(time.Unix(mtime.Sec, int64(mtime.Nsec)))
	return -racyWithin < age && age < racyWithin
}

// unknown keeps what is recorded of an entry that cannot be looked at or into.
func (p *pass) unknown(rel string, err error) {
	p.problem(rel, err)
	p.keepBelow = append(p.keepBelow, rel)
}

// kept tells whether the entry at path is one of which nothing is known now.
func (p *pass) kept(path string) bool {
	for _, rel := range p.keepBelow {
		if path == rel || strings.HasPrefix(path, rel) && path[len(rel)] == '/' {
			return true
		}
	}
	return false
}

// gone deals with the recorded entries before the one at rel: the tree does not
// have them any more. All that are left, if rel is "".
func (p *pass) gone(rel string) error {
	for p.head != nil && (rel == "" || manifest.ComparePaths(p.head.Path, rel) < 0) {
		e := p.head
		var err error
		if p.head, err = p.nextOld(); err != nil {
			return err
		}
		if p.kept(e.Path) {
			if err := p.keep(e); err != nil {
				return err
			}
			continue
		}
		if err := p.removed(e); err != nil {
			return err
		}
	}
	p.keepBelow = p.keepBelow[:0]
	return nil
}

// removed notes that the tree does not have e any more. Only Ingest forgets it.
func (p *pass) removed(e *manifest.Entry) error {
	if p.ingest {
		p.count(func(r *RecordReport) { r.Removed++ })
		p.soil()
		return nil
	}
	p.count(func(r *RecordReport) { r.Stale++ })
	return p.keep(e)
}

// takeOld returns the recorded entry at rel, nil if there is none.
func (p *pass) takeOld(rel string) (*manifest.Entry, error) {
	if p.head == nil || p.head.Path != rel {
		return nil, nil
	}
	e := p.head
	var err error
	p.head, err = p.nextOld()
	return e, err
}

func (p *pass) nextOld() (*manifest.Entry, error) {
	if p.old == nil {
		return nil, nil
	}
	e, err := p.old.Next()
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	return e, err
}

// soil notes that the new record says something else than the old one.
func (p *pass) soil() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dirty = true
}

func (p *pass) count(f func(*RecordReport)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.report)
}

// keep puts a recorded entry, as it is, into the present batch.
func (p *pass) keep(e *manifest.Entry) error {
	p.batch.items = append(p.batch.items, item{kept: e})
	return p.full()
}

// send puts w into the present batch, in parts if it is large.
func (p *pass) send(w *work) error {
	count := w.blockCount()
	for first := int64(0); first == 0 || first < count; first += partBlocks {
		last := min(first+partBlocks, count)
		if w.deed != keep {
			w.dir.retain()
			if p.batch.dir != w.dir {
				p.batch.dir = w.dir
				p.batch.dirs++
			}
			p.batch.bytes += (last - first) * manifest.BlockSize
		}
		p.batch.items = append(p.batch.items, item{part: &part{work: w, first: first, last: last}})
		if err := p.full(); err != nil {
			return err
		}
	}
	return nil
}

// full sends the present batch on if it is full.
func (p *pass) full() error {
	if b := p.batch; len(b.items) >= batchItems || b.bytes >= batchBytes || b.dirs > batchDirs {
		return p.flush()
	}
	return nil
}

// flush sends the present batch on: to those who read, and to the one who writes.
func (p *pass) flush() error {
	b := p.batch
	p.batch = &batch{}
	var todo []*part
	var size int64
	give := func() error {
		if len(todo) == 0 {
			return nil
		}
		b.open.Add(len(todo))
		select {
		case p.jobs <- job{b, todo}:
		case <-p.ctx.Done():
			return context.Cause(p.ctx)
		}
		todo, size = nil, 0
		return nil
	}
	for _, i := range b.items {
		if i.kept != nil || i.deed == keep {
			continue
		}
		todo = append(todo, i.part)
		size += min(i.entry.Size, (i.last-i.first)*manifest.BlockSize)
		if len(todo) >= jobParts || size >= jobBytes {
			if err := give(); err != nil {
				return err
			}
		}
	}
	if err := give(); err != nil {
		return err
	}
	select {
	case p.queue <- b:
		return nil
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
}
