package delta

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"
)

// makeFolder makes a folder that the replica lacks, or puts one in the place of
// something else, which goes into the trash.
func (a *applier) makeFolder(_ context.Context, d difference) error {
	parent, name, err := a.replica.parent(d.path)
	if err != nil {
		return sideError("replica", err)
	}
	defer parent.release()
	if d.kind == Content {
		now, err := parent.stat(name)
		if err != nil {
			return sideError("replica", err)
		}
		if !sameEntry(now, d.replica) {
			return errOther
		}
		if err := a.trash.put(parent, name, d.path); err != nil {
			return sideError("replica", err)
		}
		a.touch(d.path)
	}
	err = unix.Mkdirat(parent.fd(), name, 0o700)
	if errors.Is(err, unix.EEXIST) {
		return errOther
	}
	if err != nil {
		return sideError("replica", err)
	}
	a.touch(d.path)
	if err := a.dressFolder(parent, name, d.origin); err != nil {
		return sideError("replica", err)
	}
	a.count(func(r *SyncReport) { r.FoldersMade++ })
	return nil
}

// dressFolder gives a new folder the owner of the one around it, and its permission bits,
// but for those that it needs to be filled.
func (a *applier) dressFolder(parent *dir, name string, origin info) error {
	folder, err := parent.child(name)
	if err != nil {
		return err
	}
	defer folder.release()
	around, err := parent.self()
	if err != nil {
		return err
	}
	if err := setOwner(folder.fd(), around); err != nil {
		return err
	}
	return chmodFolder(folder, origin.mode|0o700)
}

// setMode sets the permission bits of a folder.
func (a *applier) setMode(_ context.Context, d difference) error {
	folder, err := a.replica.at(d.path)
	if err != nil {
		return sideError("replica", err)
	}
	defer folder.release()
	if err := chmodFolder(folder, d.origin.mode); err != nil {
		return sideError("replica", err)
	}
	a.count(func(r *SyncReport) {
		if d.kind == Metadata {
			r.MetadataFixed++
		}
	})
	return nil
}

// chmodFolder sets the permission bits of d and keeps its others: that new entries
// get the folder's group, say, is the replica's own affair.
func chmodFolder(d *dir, mode uint32) error {
	st, err := d.self()
	if err != nil {
		return err
	}
	return unix.Fchmod(d.fd(), st.mode&^permBits|mode&permBits)
}
