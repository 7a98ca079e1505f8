package collectors

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// statfs asks the kernel how full the filesystem mounted at path is.
func statfs(path string) (usage, error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(path, &st)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return usage{}, &os.SyscallError{Syscall: "statfs", Err: err}
		}
		break
	}
	block := uint64(st.Frsize)
	if block == 0 { // kernels before 2.6 and some FUSE filesystems
		block = uint64(st.Bsize)
	}
	return usage{
		size:      st.Blocks * block,
		free:      st.Bavail * block,
		files:     st.Files,
		filesFree: st.Ffree,
		readonly:  st.Flags&unix.ST_RDONLY != 0,
	}, nil
}
