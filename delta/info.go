package delta

import (
	"errors"

	"golang.org/x/sys/unix"
)

// A kindOf is what an entry is.
type kindOf uint8

const (
	isSpecial kindOf = iota // device, pipe, socket: neither compared nor copied
	isFile
	isFolder
	isLink
)

// An id tells folders and files apart, whatever their names.
type id struct{ dev, ino uint64 }

// An info is what is known of an entry without opening it.
type info struct {
	id
	kind         kindOf
	mode         uint32 // permission, setuid, setgid and sticky bits
	links        uint64
	uid, gid     uint32
	size         int64
	blocks       int64 // of 512 bytes
	mtime, ctime unix.Timespec
}

// permBits are the bits of a mode that are compared and copied. Set-id bits are not:
// the replica's files belong to somebody else than the origin's do, and
// copying such a bit would hand out that user's rights.
const permBits = 0o777

// setIDBits must not be set on a file of a replica.
const setIDBits = unix.S_ISUID | unix.S_ISGID

func newInfo(st *unix.Stat_t) info {
	i := info{
		id:     id{uint64(st.Dev), st.Ino}, //nolint:unconvert // its width differs between systems
		mode:   uint32(st.Mode) & 0o7777,   //nolint:unconvert // likewise
		links:  uint64(st.Nlink),           //nolint:unconvert // likewise
		uid:    st.Uid,
		gid:    st.Gid,
		size:   st.Size,
		blocks: st.Blocks,
		mtime:  st.Mtim,
		ctime:  st.Ctim,
	}
	switch uint32(st.Mode) & unix.S_IFMT { //nolint:unconvert // likewise
	case unix.S_IFREG:
		i.kind = isFile
	case unix.S_IFDIR:
		i.kind = isFolder
	case unix.S_IFLNK:
		i.kind = isLink
	}
	return i
}

// unchanged tells whether nothing was written between looking at a and at b.
func unchanged(a, b info) bool {
	return a.id == b.id && a.size == b.size && a.mtime == b.mtime && a.ctime == b.ctime
}

// sameEntry tells whether a and b are one entry with the same content, whatever was done
// to its names meanwhile: taking one of several away changes ctime.
func sameEntry(a, b info) bool {
	return a.id == b.id && a.kind == b.kind && (a.kind == isFolder || a.size == b.size && a.mtime == b.mtime)
}

// sameMetadata tells whether the replica's file r has the permissions and the
// time that it is to have from o.
func sameMetadata(o, r info) bool {
	return o.mode&permBits == r.mode&permBits && r.mode&setIDBits == 0 && sameTime(o.mtime, r.mtime)
}

// sameTime tells whether two times are equal as far as both filesystems can
// tell: one of them may keep seconds, microseconds or tenths of them only.
func sameTime(a, b unix.Timespec) bool {
	if a.Sec != b.Sec {
		return false
	}
	x, y := int64(a.Nsec), int64(b.Nsec) //nolint:unconvert // their width differs between systems
	if x == y {
		return true
	}
	for _, unit := range []int64{100, 1_000, 1_000_000_000} {
		coarse := x%unit == 0 || y%unit == 0
		if coarse && x/unit == y/unit {
			return true
		}
	}
	return false
}

// errChanged is why an entry could not be read in one state.
var errChanged = errors.New("it changes while it is read")
