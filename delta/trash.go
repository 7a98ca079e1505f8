package delta

import (
	"errors"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// trashLayout names the folders in the trash: one for each sync, in UTC.
const trashLayout = "2006-01-02T15-04-05Z"

// A trash takes what one sync deletes, under the path that it had.
type trash struct {
	own    *own
	name   string // of its folder in the trash
	all    *dir   // nil until something is deleted
	today  *dir
	folder string // the last one that was used, and
	opened *dir
}

func newTrash(o *own, now time.Time) *trash {
	return &trash{own: o, name: now.UTC().Format(trashLayout)}
}

// path is where people find what was deleted, from the share's root.
func (t *trash) path() string {
	if t.today == nil {
		return ""
	}
	return path.Join(reserved, trashName, t.name)
}

// put moves the entry name of from, whose path is rel, into the trash. A
// folder must be empty, unless it goes whole.
func (t *trash) put(from *dir, name, rel string) error {
	if err := t.open(); err != nil {
		return err
	}
	to, err := t.at(path.Dir(rel))
	if err != nil {
		return err
	}
	return unix.Renameat(from.fd(), name, to.fd(), path.Base(rel))
}

// open makes the folder of this sync, which is always a new one: what an earlier
// sync of the same second has deleted is not overwritten.
func (t *trash) open() error {
	if t.today != nil {
		return nil
	}
	var err error
	if t.all == nil {
		if t.all, err = private(t.own.root, trashName); err != nil {
			return err
		}
	}
	for base := t.name; ; t.name += "+" {
		err := unix.Mkdirat(t.all.fd(), t.name, 0o700)
		if errors.Is(err, unix.EEXIST) && len(t.name) < len(base)+16 {
			continue
		}
		if err != nil {
			return err
		}
		t.today, err = t.all.child(t.name)
		return err
	}
}

// at opens the folder at rel in this sync's trash, and makes it where it is not
// there yet.
func (t *trash) at(rel string) (*dir, error) {
	if t.opened != nil && t.folder == rel {
		return t.opened, nil
	}
	d, err := t.today.make(rel)
	if err != nil {
		return nil, err
	}
	t.opened.release()
	t.opened, t.folder = d, rel
	return d, nil
}

// keepFolder makes an empty folder at rel in the trash, for one that is removed.
func (t *trash) keepFolder(rel string) error {
	if err := t.open(); err != nil {
		return err
	}
	_, err := t.at(rel)
	return err
}

// close makes what was deleted durable in its new place.
func (t *trash) close() error {
	var err error
	if t.today != nil {
		err = errors.Join(t.today.sync(), t.all.sync())
	}
	t.opened.release()
	t.today.release()
	t.all.release()
	return err
}

// expire removes what was deleted longer than keep before now. What does not have
// a name of ours stays.
func (o *own) expire(now time.Time, keep time.Duration) error {
	all, err := o.root.child(trashName)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer all.release()
	names, err := all.names()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		stamp := name[:min(len(name), len(trashLayout))]
		at, err := time.Parse(trashLayout, stamp)
		if err == nil && now.Sub(at) > keep {
			errs = append(errs, all.removeAll(name))
		}
	}
	return errors.Join(errs...)
}
