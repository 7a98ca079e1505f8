package delta

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// The names in the reserved folder.
const (
	lockName  = "lock"
	tmpName   = "tmp"
	trashName = "trash"
)

// A Holder is who syncs a replica.
type Holder struct {
	PID   int       `json:"pid"`
	Host  string    `json:"host"`
	Since time.Time `json:"since"`
}

// A LockedError says that somebody else syncs the replica already.
type LockedError struct{ Holder Holder }

// Error says who.
func (e *LockedError) Error() string {
	if e.Holder.PID == 0 {
		return "another sync of this replica is under way"
	}
	return fmt.Sprintf("another sync of this replica is under way: process %d on %s, since %s",
		e.Holder.PID, e.Holder.Host, e.Holder.Since.Format(time.RFC3339))
}

// An own is the reserved folder of a replica, held by this process alone
// until it is closed.
type own struct {
	root *dir // .minikeeper itself
	tmp  *dir
	lock *os.File
	next int // of the temporary files
}

// openOwn opens the reserved folder of replica, makes it if there is none,
// takes the lock, and removes what an interrupted sync has left.
func openOwn(replica *dir) (*own, error) {
	root, err := private(replica, reserved)
	if err != nil {
		return nil, fmt.Errorf("open folder %s: %w", reserved, err)
	}
	o := &own{root: root}
	if err := o.acquire(); err != nil {
		o.close()
		return nil, err
	}
	if o.tmp, err = private(root, tmpName); err == nil {
		err = empty(root, tmpName)
	}
	if err != nil {
		o.close()
		return nil, fmt.Errorf("open folder %s/%s: %w", reserved, tmpName, err)
	}
	return o, nil
}

// private opens the folder name in d, makes it if there is none, and sees to
// it that nobody else can reach into it. A link in its place is an error.
func private(d *dir, name string) (*dir, error) {
	if err := unix.Mkdirat(d.fd(), name, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, err
	}
	p, err := d.child(name)
	if err != nil {
		return nil, err
	}
	if err := shut(p); err != nil {
		p.release()
		return nil, err
	}
	return p, nil
}

// shut makes d ours alone.
func shut(d *dir) error {
	st, err := d.self()
	if err != nil {
		return err
	}
	if uid := uint32(os.Geteuid()); st.uid != uid {
		if err := unix.Fchown(d.fd(), os.Geteuid(), -1); err != nil {
			return fmt.Errorf("it belongs to user %d, not to %d: %w", st.uid, uid, err)
		}
	}
	if st.mode != 0o700 {
		return unix.Fchmod(d.fd(), 0o700)
	}
	return nil
}

// empty removes everything in the folder name of d. It goes through the folders
// itself, so that no link can lead it elsewhere.
func empty(d *dir, name string) error {
	folder, err := d.child(name)
	if err != nil {
		return err
	}
	defer folder.release()
	names, err := folder.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := folder.removeAll(name); err != nil {
			return err
		}
	}
	return nil
}

// removeAll removes the entry name of d with all that it holds.
func (d *dir) removeAll(name string) error {
	st, err := d.stat(name)
	if err != nil {
		return err
	}
	if st.kind != isFolder {
		return unix.Unlinkat(d.fd(), name, 0)
	}
	if err := empty(d, name); err != nil {
		return err
	}
	return unix.Unlinkat(d.fd(), name, unix.AT_REMOVEDIR)
}

// acquire takes the lock, which ends with the process however that ends.
func (o *own) acquire() error {
	fd, err := retry(func() (int, error) {
		return unix.Openat(o.root.fd(), lockName, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	})
	if err != nil {
		return fmt.Errorf("open lock: %w", err)
	}
	o.lock = os.NewFile(uintptr(fd), lockName)
	_, err = retry(func() (int, error) { return 0, unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return &LockedError{Holder: o.holder()}
	}
	if err != nil {
		return fmt.Errorf("take lock: %w", err)
	}
	host, _ := os.Hostname() // it is for people only
	text, err := json.Marshal(Holder{PID: os.Getpid(), Host: host, Since: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return fmt.Errorf("describe lock: %w", err)
	}
	if err := o.lock.Truncate(0); err != nil {
		return fmt.Errorf("write lock: %w", cause(err))
	}
	if _, err := o.lock.WriteAt(text, 0); err != nil {
		return fmt.Errorf("write lock: %w", cause(err))
	}
	return nil
}

// holder reads who has the lock; the zero Holder if it does not say.
func (o *own) holder() Holder {
	buf := make([]byte, 512)
	n, _ := o.lock.ReadAt(buf, 0) // it may be shorter
	var h Holder
	if json.Unmarshal(buf[:n], &h) != nil {
		return Holder{}
	}
	return h
}

// tmpfile names the next temporary entry. One goroutine at a time may ask.
func (o *own) tmpfile() string {
	o.next++
	return strconv.Itoa(o.next)
}

// close gives the lock back.
func (o *own) close() {
	o.tmp.release()
	o.root.release()
	if o.lock != nil {
		_ = o.lock.Close() // that is what unlocks it
	}
}
