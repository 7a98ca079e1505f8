package delta

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A stateFile is the file of a record, with the lock that this process holds on it.
type stateFile struct {
	path string
	lock *os.File
	old  *os.File // nil if there is none
}

// openState locks the state file at path, which must not lie in the tree at root.
func openState(path string, root *dir) (*stateFile, error) {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make folder of the record: %w", err)
	}
	if err := outside(folder, root); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the record: %w", err)
	}
	s := &stateFile{path: path, lock: lock}
	_, err = retry(func() (int, error) { return 0, unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		s.close()
		return nil, ErrRecordLocked
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("lock the record: %w", err)
	}
	if s.old, err = os.Open(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.close()
		return nil, fmt.Errorf("open the record: %w", err)
	}
	return s, nil
}

// outside refuses a folder that is the tree at root or lies below it.
func outside(folder string, root *dir) error {
	d, err := openRoot(folder)
	if err != nil {
		return err
	}
	defer d.release()
	st, err := root.self()
	if err != nil {
		return err
	}
	inside, err := liesWithin(d, st.id)
	if err == nil && inside {
		err = ErrStateInside
	}
	return err
}

// create makes the file that is to replace the record. Since the lock is ours, what is
// there under its name is what a process left that was killed.
func (s *stateFile) create() (*os.File, error) {
	f, err := os.OpenFile(s.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write the record: %w", err)
	}
	return f, nil
}

// replace makes tmp durable and puts it in the place of the record.
func (s *stateFile) replace(tmp *os.File) error {
	if err := tmp.Sync(); err != nil {
		return fmt.Errorf("write the record: %w", err)
	}
	if err := os.Rename(tmp.Name(), s.path); err != nil {
		return fmt.Errorf("replace the record: %w", err)
	}
	d, err := openRoot(filepath.Dir(s.path))
	if err != nil {
		return err
	}
	defer d.release()
	return d.sync()
}

// discard removes tmp unless it has become the record.
func (s *stateFile) discard(tmp *os.File) error {
	err := tmp.Close()
	if removed := os.Remove(tmp.Name()); removed != nil && !errors.Is(removed, fs.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	return err
}

func (s *stateFile) close() {
	if s.old != nil {
		_ = s.old.Close() // it was only read
	}
	_ = s.lock.Close() // that is what unlocks it
}
