package delta

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"

	"golang.org/x/sys/unix"
)

// errNotWritten is why a copy was thrown away.
var errNotWritten = errors.New("what the disk gives back is not what was written to it")

// A place is where an entry is copied from and to.
type place struct {
	from, to *dir
	name     string
}

func (a *applier) place(rel string) (place, error) {
	from, name, err := a.origin.parent(rel)
	if err != nil {
		return place{}, sideError("origin", err)
	}
	to, _, err := a.replica.parent(rel)
	if err != nil {
		from.release()
		return place{}, sideError("replica", err)
	}
	return place{from, to, name}, nil
}

func (p place) release() {
	p.from.release()
	p.to.release()
}

// makeEqual copies a file or link, or sets a file's metadata. What changes on the
// origin meanwhile is tried once more.
func (a *applier) makeEqual(ctx context.Context, d difference) error {
	p, err := a.place(d.path)
	if err != nil {
		return err
	}
	defer p.release()
	defer a.progress.add(1, 0)
	if d.kind == Metadata {
		if done, err := a.setMetadata(p, d); done || err != nil {
			return err
		}
	}
	for again := range 2 {
		if d.origin.kind == isLink {
			err = a.makeLink(p, d)
		} else {
			err = a.copyFile(ctx, p, d)
		}
		if !errors.Is(err, errChanged) || again > 0 {
			return err
		}
	}
	return nil
}

// makeLink puts a copy of the origin's link in its place.
func (a *applier) makeLink(p place, d difference) error {
	target, err := p.from.readlink(p.name)
	if errors.Is(err, unix.EINVAL) {
		return errChanged // it is no link any more
	}
	if err != nil {
		return sideError("origin", err)
	}
	tmp := a.tmpfile()
	if err := unix.Symlinkat(target, a.own.tmp.fd(), tmp); err != nil {
		return sideError("replica", err)
	}
	if err := a.publish(tmp, p, d); err != nil {
		return errors.Join(err, a.discard(tmp))
	}
	a.count(func(r *SyncReport) { r.LinksMade++ })
	return nil
}

// copyFile copies the origin's file beside, and puts it in its place once it
// is whole, durable and read back.
func (a *applier) copyFile(ctx context.Context, p place, d difference) error {
	src, err := p.from.open(p.name)
	if err != nil {
		return sideError("origin", err)
	}
	defer src.close()
	was, err := src.stat()
	if err != nil {
		return sideError("origin", err)
	}
	tmp := a.tmpfile()
	dst, err := a.create(tmp)
	if err != nil {
		return sideError("replica", err)
	}
	err = a.fill(ctx, p, d, src, dst, was, tmp)
	if closed := dst.close(); err == nil && closed != nil {
		err = sideError("replica", closed)
	}
	if err == nil {
		err = a.stillThere(p, src, was)
	}
	if err == nil {
		err = a.publish(tmp, p, d)
	}
	if err != nil {
		return errors.Join(err, a.discard(tmp))
	}
	a.count(func(r *SyncReport) { r.FilesCopied++ })
	return nil
}

// fill makes dst a durable copy of src and checks that it is one.
func (a *applier) fill(ctx context.Context, p place, d difference, src, dst *file, was info, tmp string) error {
	buf, _ := a.buffers.Get().(*[]byte)
	defer a.buffers.Put(buf)
	sum, err := a.transfer(ctx, src, dst, was, (*buf)[:blockSize])
	if err != nil {
		return err
	}
	if err := a.dress(p, d, dst, was, tmp); err != nil {
		return sideError("replica", err)
	}
	if err := dst.sync(); err != nil {
		return sideError("replica", err)
	}
	return a.verify(ctx, dst, was.size, sum, (*buf)[:blockSize])
}

// transfer copies bytes, but not holes, and returns the hash of all that was read.
func (a *applier) transfer(ctx context.Context, src, dst *file, was info, buf []byte) ([]byte, error) {
	h := sha256.New()
	sparse := was.blocks*512 < was.size
	for offset := int64(0); offset < was.size; {
		data, end := offset, was.size
		if sparse {
			data, end = src.nextData(offset, was.size)
		}
		if err := hashZeros(ctx, h, data-offset); err != nil {
			return nil, err
		}
		for at := data; at < end; {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			block := buf[:min(int64(len(buf)), end-at)]
			if err := src.readFull(block, at); err != nil {
				return nil, sideError("origin", err)
			}
			h.Write(block)
			if err := dst.writeFull(block, at); err != nil {
				return nil, sideError("replica", err)
			}
			n := int64(len(block))
			at += n
			a.count(func(r *SyncReport) { r.BytesCopied += n; r.BytesRead += n })
			a.progress.add(0, n)
		}
		offset = end
	}
	if err := unix.Ftruncate(dst.fd, was.size); err != nil {
		return nil, sideError("replica", err)
	}
	return h.Sum(nil), nil
}

// hashZeros adds the n zero bytes of a hole to h.
func hashZeros(ctx context.Context, h hash.Hash, n int64) error {
	if n <= 0 {
		return nil
	}
	zeros := make([]byte, min(n, blockSize))
	for ; n > 0; n -= int64(len(zeros)) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		h.Write(zeros[:min(n, int64(len(zeros)))])
	}
	return nil
}

// verify reads f back, from the disk where the system lets us, and compares it
// with sum.
func (a *applier) verify(ctx context.Context, f *file, size int64, sum []byte, buf []byte) error {
	f.dropCache()
	h := sha256.New()
	for offset := int64(0); offset < size; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		block := buf[:min(int64(len(buf)), size-offset)]
		if err := f.readFull(block, offset); err != nil {
			return sideError("replica", err)
		}
		h.Write(block)
		offset += int64(len(block))
	}
	a.count(func(r *SyncReport) { r.BytesRead += size })
	if string(h.Sum(nil)) != string(sum) {
		return errNotWritten
	}
	return nil
}

// stillThere returns errChanged unless the origin's path leads to the very
// bytes that were read.
func (a *applier) stillThere(p place, src *file, was info) error {
	if err := stillAs(src, was); err != nil {
		return sideError("origin", err)
	}
	now, err := p.from.stat(p.name)
	if err != nil {
		return sideError("origin", err)
	}
	if now.id != was.id {
		return sideError("origin", errChanged)
	}
	return nil
}

// publish renames a finished temporary entry to where it belongs.
func (a *applier) publish(tmp string, p place, d difference) error {
	if d.kind == Missing {
		// Nothing was there, so nothing may be replaced.
		if _, err := p.to.stat(p.name); err == nil {
			return errOther
		} else if !errors.Is(err, unix.ENOENT) {
			return sideError("replica", err)
		}
	}
	if err := unix.Renameat(a.own.tmp.fd(), tmp, p.to.fd(), p.name); err != nil {
		return sideError("replica", err)
	}
	a.touch(d.path)
	return nil
}

func (a *applier) tmpfile() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.own.tmpfile()
}

// create makes a new temporary file that nobody else can open.
func (a *applier) create(tmp string) (*file, error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(a.own.tmp.fd(), tmp, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	})
	if err != nil {
		return nil, err
	}
	return &file{fd: fd}, nil
}

// discard removes a temporary entry that came to nothing.
func (a *applier) discard(tmp string) error {
	if err := unix.Unlinkat(a.own.tmp.fd(), tmp, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}
