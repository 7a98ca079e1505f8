package delta

import (
	"errors"

	"golang.org/x/sys/unix"
)

// sync makes f durable: fsync alone leaves it in the disk's own cache. Network
// filesystems know fsync only.
func (f *file) sync() error {
	_, err := retry(func() (int, error) { return unix.FcntlInt(uintptr(f.fd), unix.F_FULLFSYNC, 0) })
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
		_, err = retry(func() (int, error) { return 0, unix.Fsync(f.fd) })
	}
	return err
}

// dropCache has f read past the system's cache. It is a wish: nothing depends on
// whether the system grants it.
func (f *file) dropCache() {
	_, _ = unix.FcntlInt(uintptr(f.fd), unix.F_NOCACHE, 1)
}
