package delta

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// deleteAll moves what is extra into the trash, unless something speaks
// against deleting anything.
func (a *applier) deleteAll(ctx context.Context, ds []difference, origin string) error {
	if a.unsafe {
		a.problem("", errUnsafe)
		return nil
	}
	if err := a.originStands(origin); err != nil {
		a.problem("", err)
		return nil
	}
	return a.inOrder(ctx, ds, func(_ context.Context, d difference) error {
		a.progress.add(1, 0)
		return a.delete(d)
	})
}

// originStands checks that the origin's path still leads to the folder that was
// compared: a disk that was unmounted leaves an empty one.
func (a *applier) originStands(origin string) error {
	again, err := openRoot(origin)
	if err != nil {
		return fmt.Errorf("%w: %w", errOriginOut, cause(err))
	}
	defer again.release()
	st, err := again.self()
	if err != nil {
		return fmt.Errorf("%w: %w", errOriginOut, err)
	}
	if st.id != a.originID {
		return errOriginOut
	}
	return nil
}

// delete moves one entry into the trash, if it is still what was compared and
// the origin still does not have it.
func (a *applier) delete(d difference) error {
	if there, err := a.origin.has(d.path); err != nil {
		return sideError("origin", err)
	} else if there {
		return errAppeared
	}
	folder, name, err := a.replica.parent(d.path)
	if isAbsent(err) {
		return nil // somebody else was faster
	}
	if err != nil {
		return err
	}
	defer folder.release()
	now, err := folder.stat(name)
	if errors.Is(err, unix.ENOENT) {
		return nil // likewise
	}
	if err != nil {
		return err
	}
	if !sameEntry(now, d.replica) {
		return errOther
	}
	if now.kind == isFolder && d.kind == Extra {
		err = a.deleteFolder(folder, name, d.path)
	} else {
		err = a.trash.put(folder, name, d.path)
	}
	if err != nil {
		return err
	}
	a.touch(d.path)
	if d.kind == Extra {
		a.count(func(r *SyncReport) { r.Deleted++ })
	}
	return nil
}

// deleteFolder removes a folder whose entries are in the trash by now. One that
// holds something else, which came after the comparison, stays.
func (a *applier) deleteFolder(folder *dir, name, rel string) error {
	if err := a.trash.keepFolder(rel); err != nil {
		return err
	}
	return unix.Unlinkat(folder.fd(), name, unix.AT_REMOVEDIR)
}

// replaceFolder puts a file or link in the place of a folder, which is empty
// by now if all that it held was extra and went.
func (a *applier) replaceFolder(ctx context.Context, d difference) error {
	folder, name, err := a.replica.parent(d.path)
	if err != nil {
		return err
	}
	err = unix.Unlinkat(folder.fd(), name, unix.AT_REMOVEDIR)
	folder.release()
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
		return errKept
	}
	if err != nil {
		return err
	}
	a.touch(d.path)
	d.kind, d.replica = Missing, info{}
	return a.makeEqual(ctx, d)
}
