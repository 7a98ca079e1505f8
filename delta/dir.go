package delta

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// reserved is the folder at a share's root that belongs to this package.
const reserved = ".minikeeper"

// A dir is an open folder. Everything is reached relative to one, by a single
// name, without following links: whatever happens to the tree meanwhile, an
// access stays in the folder that was opened.
type dir struct {
	f    *os.File
	refs atomic.Int32
}

func newDir(fd int, name string) *dir {
	d := &dir{f: os.NewFile(uintptr(fd), name)}
	d.refs.Store(1)
	return d
}

// openRoot opens the folder at path, which may be a link.
func openRoot(path string) (*dir, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return newDir(fd, path), nil
}

func (d *dir) fd() int { return int(d.f.Fd()) }

// retain keeps d open until one more release.
func (d *dir) retain() *dir {
	d.refs.Add(1)
	return d
}

func (d *dir) release() {
	if d != nil && d.refs.Add(-1) == 0 {
		_ = d.f.Close() // a folder that was only read from
	}
}

// names returns what is in d, sorted as bytes.
func (d *dir) names() ([]string, error) {
	names, err := d.f.Readdirnames(-1)
	if err != nil {
		return nil, cause(err)
	}
	slices.Sort(names)
	return names, nil
}

// child opens the folder name in d.
func (d *dir) child(name string) (*dir, error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(d.fd(), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, err
	}
	return newDir(fd, name), nil
}

// at opens the folder at a relative path below d; "." is d itself.
func (d *dir) at(rel string) (*dir, error) {
	here := d.retain()
	if rel == "." || rel == "" {
		return here, nil
	}
	for name := range strings.SplitSeq(rel, "/") {
		next, err := here.child(name)
		here.release()
		if err != nil {
			return nil, err
		}
		here = next
	}
	return here, nil
}

// make opens the folder at a relative path below d, and makes what is not there.
func (d *dir) make(rel string) (*dir, error) {
	here := d.retain()
	if rel == "." {
		return here, nil
	}
	for name := range strings.SplitSeq(rel, "/") {
		if err := unix.Mkdirat(here.fd(), name, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
			here.release()
			return nil, err
		}
		next, err := here.child(name)
		here.release()
		if err != nil {
			return nil, err
		}
		here = next
	}
	return here, nil
}

// has tells whether there is an entry at rel below d, in that very spelling.
func (d *dir) has(rel string) (bool, error) {
	folder, name, err := d.parent(rel)
	if err == nil {
		_, err = folder.stat(name)
		folder.release()
	}
	if isAbsent(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	// A filesystem that ignores case finds more than is there.
	here := d.retain()
	defer func() { here.release() }()
	for name := range strings.SplitSeq(rel, "/") {
		again, err := here.child(".")
		if err != nil {
			return false, err
		}
		names, err := again.names()
		again.release()
		if err != nil {
			return false, err
		}
		if _, listed := slices.BinarySearch(names, name); !listed {
			return false, nil
		}
		next, err := here.child(name)
		if err != nil {
			return true, nil // the last one need not be a folder
		}
		here.release()
		here = next
	}
	return true, nil
}

// isAbsent tells whether err says that there is no entry at a path.
func isAbsent(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// parent opens the folder that holds the entry at rel, and returns its name.
func (d *dir) parent(rel string) (*dir, string, error) {
	folder, name := path.Split(rel)
	p, err := d.at(strings.TrimSuffix(folder, "/"))
	return p, name, err
}

// stat looks at name in d without following a link.
func (d *dir) stat(name string) (info, error) {
	var st unix.Stat_t
	_, err := retry(func() (int, error) {
		return 0, unix.Fstatat(d.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil {
		return info{}, err
	}
	return newInfo(&st), nil
}

// self looks at d itself.
func (d *dir) self() (info, error) { return statFD(d.fd()) }

// readlink returns the target of the link name.
func (d *dir) readlink(name string) (string, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := retry(func() (int, error) { return unix.Readlinkat(d.fd(), name, buf) })
		if err != nil {
			return "", err
		}
		if n < size {
			return string(buf[:n]), nil
		}
	}
}

// open opens the regular file name for reading. It neither follows a link nor
// waits for somebody at the other end of a pipe.
func (d *dir) open(name string) (*file, error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(d.fd(), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	if errors.Is(err, unix.ELOOP) {
		return nil, errChanged // it was a file, and is a link now
	}
	if err != nil {
		return nil, err
	}
	f := &file{fd: fd}
	st, err := f.stat()
	if err == nil && st.kind != isFile {
		err = errChanged
	}
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// sync makes what was renamed into or out of d durable. Filesystems that
// cannot do this for a folder are taken as they are.
func (d *dir) sync() error {
	_, err := retry(func() (int, error) { return 0, unix.Fsync(d.fd()) })
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}

// retry calls f again while it is interrupted by a signal, which network
// filesystems let happen.
func retry(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// cause strips the path that package os puts on errors: ours are named by
// the problem that carries them.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		return e.Err
	}
	return err
}
