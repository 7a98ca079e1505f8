// Package journal is the durable record of what the runner did, did not do,
// and has to tell people: one SQLite file, opened by one process for writing
// and by any number for reading.
//
// Each change of a run, step, suppression, circuit or pause is also a row of
// an audit chain, in which each row carries the hash of the one before. The
// package decides nothing: it keeps what package remediate hands it, and the
// outbox that notifications are taken from.
package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/minikeeper/minikeeper/remediate"
)

// ErrLocked is in the chain of the error of Open when another process has the
// journal open for writing.
var ErrLocked = errors.New("journal is in use")

// A Journal implements remediate.Journal and notify.Outbox on SQLite.
type Journal struct {
	path    string
	write   *sql.DB // one connection; nil if the journal was opened for reading only
	read    *sql.DB
	release func() error // gives the lock back
}

var _ remediate.Journal = (*Journal)(nil)

// Open opens the journal at path for writing, and makes it if it does not
// exist. A second process that tries is refused with ErrLocked: two hubs on
// one journal would both act. So is a journal that is damaged, or was written
// by a newer program.
func Open(ctx context.Context, path string) (*Journal, error) {
	release, err := lock(path)
	if err != nil {
		return nil, fmt.Errorf("open journal %s: %w", path, err)
	}
	j := &Journal{path: path, release: release}
	if err := j.open(ctx); err != nil {
		return nil, errors.Join(j.explain("open", err), j.Close())
	}
	return j, nil
}

func (j *Journal) open(ctx context.Context) error {
	var err error
	if j.write, err = connect(j.path, writing); err != nil {
		return err
	}
	j.write.SetMaxOpenConns(1)
	if err := healthy(ctx, j.write); err != nil {
		return err
	}
	if err := migrate(ctx, j.write); err != nil {
		return err
	}
	if err := os.Chmod(j.path, 0o600); err != nil {
		return err
	}
	j.read, err = connect(j.path, reading)
	return err
}

// OpenReadOnly opens the journal at path beside the process that writes it.
// Nothing can be changed through it.
func OpenReadOnly(ctx context.Context, path string) (*Journal, error) {
	j := &Journal{path: path}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	var err error
	if j.read, err = connect(path, reading); err != nil {
		return nil, j.explain("open", err)
	}
	if err := current(ctx, j.read); err != nil {
		return nil, errors.Join(j.explain("open", err), j.Close())
	}
	return j, nil
}

// Close closes the journal and lets another process open it.
func (j *Journal) Close() error {
	var errs []error
	for _, db := range []*sql.DB{j.read, j.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if j.release != nil {
		errs = append(errs, j.release())
	}
	return errors.Join(errs...)
}

// Path returns where the journal is.
func (j *Journal) Path() string { return j.path }

// Update implements remediate.Journal.
func (j *Journal) Update(ctx context.Context, who string, fn func(remediate.Tx) error) error {
	return j.update(ctx, who, func(t *tx) error { return fn(t) })
}

// update runs fn in the one transaction that writes.
func (j *Journal) update(ctx context.Context, who string, fn func(*tx) error) error {
	if j.write == nil {
		return fmt.Errorf("write journal %s: it was opened for reading only", j.path)
	}
	raw, err := j.write.BeginTx(ctx, nil)
	if err != nil {
		return j.explain("write", err)
	}
	defer raw.Rollback() //nolint:errcheck // after Commit it has nothing to do, and before it there is nothing to save
	t := &tx{reader: reader{ctx: ctx, q: raw}, tx: raw, who: who, now: time.Now()}
	if err := fn(t); err != nil {
		return j.explain("write", err)
	}
	if err := raw.Commit(); err != nil {
		return j.explain("write", err)
	}
	return nil
}

// Read implements remediate.Journal.
func (j *Journal) Read(ctx context.Context, fn func(remediate.Reader) error) error {
	return j.snapshot(ctx, func(r reader) error { return fn(r) })
}

// snapshot runs fn on one state of the journal.
func (j *Journal) snapshot(ctx context.Context, fn func(reader) error) error {
	raw, err := j.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return j.explain("read", err)
	}
	defer raw.Rollback() //nolint:errcheck // it only read
	if err := fn(reader{ctx: ctx, q: raw}); err != nil {
		return j.explain("read", err)
	}
	return nil
}
