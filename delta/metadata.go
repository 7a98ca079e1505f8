package delta

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// setMetadata sets the permission bits and the time of a file whose bytes are right. It
// leaves the file to be copied, and says so, where that would not do: if either
// file is not as it was when they were compared, or if the replica's has other
// names, which may lie outside the share and must not change.
func (a *applier) setMetadata(p place, d difference) (done bool, err error) {
	want, err := p.from.stat(p.name)
	if err != nil {
		return false, sideError("origin", err)
	}
	f, err := p.to.open(p.name)
	if errors.Is(err, errChanged) {
		return false, nil
	}
	if err != nil {
		return false, sideError("replica", err)
	}
	defer f.close()
	have, err := f.stat()
	if err != nil {
		return false, sideError("replica", err)
	}
	if have.links != 1 || !unchanged(want, d.origin) || !unchanged(have, d.replica) {
		return false, nil
	}
	if err := unix.Fchmod(f.fd, want.mode&permBits); err != nil {
		return false, sideError("replica", err)
	}
	if err := setTime(p.to, p.name, want.mtime); err != nil {
		return false, sideError("replica", err)
	}
	a.count(func(r *SyncReport) { r.MetadataFixed++ })
	return true, nil
}

// dress gives the copy its owner, permission bits and time, in this order: a
// change of owner may clear bits.
func (a *applier) dress(p place, d difference, dst *file, was info, tmp string) error {
	owner := d.replica
	if d.kind == Missing {
		var err error
		if owner, err = p.to.self(); err != nil {
			return err
		}
	}
	if err := setOwner(dst.fd, owner); err != nil {
		return err
	}
	if err := unix.Fchmod(dst.fd, was.mode&permBits); err != nil {
		return err
	}
	return setTime(a.own.tmp, tmp, was.mtime)
}

// setOwner gives the open entry at fd the owner and group of like, as far as
// this process may.
func setOwner(fd int, like info) error {
	st, err := statFD(fd)
	if err != nil {
		return err
	}
	if st.uid == like.uid && st.gid == like.gid {
		return nil
	}
	err = unix.Fchown(fd, int(like.uid), int(like.gid))
	if errors.Is(err, unix.EPERM) && os.Geteuid() != 0 {
		err = unix.Fchown(fd, -1, int(like.gid))
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EINVAL) {
		return nil // neither everybody nor every filesystem can
	}
	return err
}

// setTime sets the modification time of the entry name of d.
func setTime(d *dir, name string, mtime unix.Timespec) error {
	now := unix.NsecToTimespec(time.Now().UnixNano())
	return unix.UtimesNanoAt(d.fd(), name, []unix.Timespec{now, mtime}, unix.AT_SYMLINK_NOFOLLOW)
}
