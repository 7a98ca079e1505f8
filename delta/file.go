package delta

import (
	"errors"

	"golang.org/x/sys/unix"
)

// A file is a regular file, open.
type file struct{ fd int }

func (f *file) close() error {
	return unix.Close(f.fd)
}

func (f *file) stat() (info, error) { return statFD(f.fd) }

func statFD(fd int) (info, error) {
	var st unix.Stat_t
	if _, err := retry(func() (int, error) { return 0, unix.Fstat(fd, &st) }); err != nil {
		return info{}, err
	}
	return newInfo(&st), nil
}

// readFull fills buf from offset. A file that ends before that was cut while
// it was read.
func (f *file) readFull(buf []byte, offset int64) error {
	for len(buf) > 0 {
		n, err := retry(func() (int, error) { return unix.Pread(f.fd, buf, offset) })
		if err != nil {
			return err
		}
		if n == 0 {
			return errChanged
		}
		buf, offset = buf[n:], offset+int64(n)
	}
	return nil
}

func (f *file) writeFull(buf []byte, offset int64) error {
	for len(buf) > 0 {
		n, err := retry(func() (int, error) { return unix.Pwrite(f.fd, buf, offset) })
		if err != nil {
			return err
		}
		buf, offset = buf[n:], offset+int64(n)
	}
	return nil
}

// nextData returns where the next data from offset on begin and end; what lies
// before them is a hole. Without the filesystem's help, all is data.
func (f *file) nextData(offset, size int64) (data, end int64) {
	data, err := unix.Seek(f.fd, offset, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return size, size
	}
	if err != nil || data < offset {
		return offset, size
	}
	end, err = unix.Seek(f.fd, data, unix.SEEK_HOLE)
	if err != nil || end <= data {
		end = size
	}
	return min(data, size), min(end, size)
}
