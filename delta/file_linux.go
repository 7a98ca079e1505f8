package delta

import "golang.org/x/sys/unix"

// sync makes f durable.
func (f *file) sync() error {
	_, err := retry(func() (int, error) { return 0, unix.Fsync(f.fd) })
	return err
}

// dropCache has the next read of f come from the disk. It is a wish: nothing
// depends on whether the system grants it.
func (f *file) dropCache() {
	_ = unix.Fadvise(f.fd, 0, 0, unix.FADV_DONTNEED)
}
