package delta

import (
	"context"
	"errors"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/minikeeper/minikeeper/delta/manifest"
)

// A job is some parts of a batch for one goroutine to read.
type job struct {
	batch *batch
	parts []*part
}

// work reads files until there are no more.
func (p *pass) work(ctx context.Context) {
	for j := range p.jobs {
		for _, part := range j.parts {
			if ctx.Err() == nil {
				part.err = p.read(ctx, part)
			}
			part.dir.release()
			j.batch.open.Done()
		}
	}
}

// read reads a part of a file, between two looks at the file.
func (p *pass) read(ctx context.Context, part *part) error {
	if part.now.size == 0 {
		return nil
	}
	f, err := part.dir.open(part.name)
	if err != nil {
		return err
	}
	defer f.close()
	part.racy = isRacy(part.entry.Mtime, time.Now())
	if err := stillAs(f, part.now); err != nil {
		return err
	}
	buf, _ := p.buffers.Get().(*[]byte)
	defer p.buffers.Put(buf)
	if part.deed == verify {
		err = p.check(ctx, part, f, *buf)
	} else {
		err = p.sum(ctx, part, f, *buf)
	}
	if err != nil {
		return err
	}
	return stillAs(f, part.now)
}

// sum makes the block list of a part.
func (p *pass) sum(ctx context.Context, part *part, f *file, buf []byte) error {
	for i := part.first; i < part.last; i++ {
		block, err := p.block(ctx, part, f, buf, i)
		if err != nil {
			return err
		}
		part.blocks = part.blocks.Append(manifest.SumBlock(block), xxh3.Hash(block))
	}
	return nil
}

// check holds a part against its block list.
func (p *pass) check(ctx context.Context, part *part, f *file, buf []byte) error {
	list, err := p.old.Blocks(part.was, part.first, part.last)
	if err != nil {
		return err
	}
	for i := part.first; i < part.last; i++ {
		block, err := p.block(ctx, part, f, buf, i)
		if err != nil {
			return err
		}
		if xxh3.Hash(block) != list.Fast(int(i-part.first)) {
			part.bad = append(part.bad, i)
		}
	}
	return nil
}

// block reads block i of a file, no faster than is allowed.
func (p *pass) block(ctx context.Context, part *part, f *file, buf []byte, i int64) ([]byte, error) {
	offset := i * manifest.BlockSize
	block := buf[:min(manifest.BlockSize, part.now.size-offset)]
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if p.limiter != nil {
		if err := p.limiter.WaitN(ctx, len(block)); err != nil {
			return nil, err
		}
	}
	if err := f.readFull(block, offset); err != nil {
		return nil, err
	}
	p.readBytes.Add(int64(len(block)))
	p.progress.add(0, int64(len(block)))
	return block, nil
}

// maxBad is how many blocks of a corrupt file are named.
const maxBad = 1000

// An outcome is what became of the parts of one entry.
type outcome struct {
	id   manifest.IDHash
	racy bool
	bad  []int64
	err  error
}

// write writes the entries of all batches, in order.
func (p *pass) write(ctx context.Context, w *manifest.Writer) error {
	var o outcome
	for b := range p.queue {
		b.open.Wait()
		if ctx.Err() != nil {
			continue // those who read have given up
		}
		for _, i := range b.items {
			if i.kept != nil {
				if err := p.writeKept(w, i.kept); err != nil {
					return err
				}
				continue
			}
			part := i.part
			if part.first == 0 {
				o = outcome{id: manifest.NewIDHash(part.entry.Size)}
			}
			o.add(part, w)
			if part.last < part.blockCount() {
				continue
			}
			if err := p.settle(w, part.work, &o); err != nil {
				return err
			}
		}
	}
	return nil
}

// blockCount is how many blocks are read of w.
func (w *work) blockCount() int64 {
	if w.deed == keep {
		return 0
	}
	return w.entry.BlockCount()
}

// add takes what became of one part.
func (o *outcome) add(part *part, w *manifest.Writer) {
	if o.err == nil {
		o.err = part.err
	}
	o.racy = o.racy || part.racy
	o.bad = append(o.bad, part.bad[:min(len(part.bad), maxBad-len(o.bad))]...)
	if part.deed != read {
		return
	}
	o.id.Add(part.blocks)
	if part.entry.BlockCount() > manifest.InlineBlocks {
		w.AddBlocks(part.blocks)
	} else {
		part.entry.Blocks = part.blocks
	}
}

// settle writes the entry of w after its parts.
func (p *pass) settle(w *manifest.Writer, k *work, o *outcome) error {
	switch {
	case k.deed == keep:
	case o.err != nil:
		w.DropBlocks()
		if gone := p.failed(k, o.err); gone {
			return nil
		}
		if k.was != nil {
			return p.writeKept(w, k.was)
		}
	case k.deed == verify:
		k.entry.ID, k.entry.Blocks = k.was.ID, k.was.Blocks
		k.entry.Flags, k.entry.Verified = 0, time.Now().Unix()
		if len(o.bad) > 0 {
			k.entry.Flags = manifest.Corrupt
		}
		p.settled(k)
	default:
		k.entry.ID, k.entry.Verified = o.id.Sum(), time.Now().Unix()
		if o.racy {
			k.entry.Flags = manifest.Racy
		}
		p.settled(k)
	}
	if k.entry.Flags&manifest.Corrupt != 0 {
		p.corrupt(k.entry.Path, o.bad)
	}
	if k.entry.Kind == manifest.File {
		p.progress.add(1, 0)
	}
	if k.deed == verify && o.err == nil && k.entry.BlockCount() > manifest.InlineBlocks {
		if err := copyBlocks(w, p.old, k.was); err != nil {
			return err
		}
	}
	return w.Add(&k.entry)
}

// writeKept writes a recorded entry as it is.
func (p *pass) writeKept(w *manifest.Writer, e *manifest.Entry) error {
	if e.Kind == manifest.File {
		if e.Flags&manifest.Corrupt != 0 {
			p.corrupt(e.Path, nil)
		}
		p.progress.add(1, 0)
	}
	return w.Keep(e)
}

// copyBlocks copies the block list of a large file.
func copyBlocks(w *manifest.Writer, from *manifest.Reader, e *manifest.Entry) error {
	const step = 4096
	for first, count := int64(0), e.BlockCount(); first < count; first += step {
		blocks, err := from.Blocks(e, first, min(first+step, count))
		if err != nil {
			return err
		}
		w.AddBlocks(blocks)
	}
	return nil
}

// failed deals with a file that could not be read: what is recorded of it stays. It
// tells whether the file is gone.
func (p *pass) failed(k *work, err error) (gone bool) {
	switch {
	case isAbsent(err) && p.ingest:
		if k.was != nil {
			p.count(func(r *RecordReport) { r.Removed++ })
			p.soil()
		}
		return true
	case isAbsent(err):
		p.count(func(r *RecordReport) { r.Stale++ })
	case errors.Is(err, errChanged) && !p.again && p.ingest:
		p.changing.Add(1)
	default:
		p.problem(k.entry.Path, err)
	}
	if k.was != nil {
		return false
	}
	k.entry.Flags, k.entry.Blocks = manifest.Unread, nil
	p.count(func(r *RecordReport) { r.Added++ })
	p.soil()
	return false
}

// settled counts what became of a file that was read.
func (p *pass) settled(k *work) {
	p.soil()
	p.count(func(r *RecordReport) {
		r.FilesRead++
		switch was := k.was; {
		case was == nil:
			r.Added++
		case p.again && was.Flags&(manifest.Racy|manifest.Unread) != 0 && (was.ID == k.entry.ID || was.ID.IsZero()):
		case was.ID != k.entry.ID || was.Mode != k.entry.Mode || was.Mtime != k.entry.Mtime:
			r.Changed++
		}
	})
}

func (p *pass) corrupt(path string, bad []int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.report.Corruptions) < p.max {
		p.report.Corruptions = append(p.report.Corruptions, Corruption{Path: path, Blocks: bad})
	}
}
