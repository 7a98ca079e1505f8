package journal

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// How a connection uses the file.
const (
	writing = "_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"
	reading = "mode=ro&_pragma=busy_timeout(10000)&_pragma=query_only(1)"
)

// connect returns a pool of connections to the file at path.
func connect(path, how string) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	return sql.Open("sqlite", "file:"+(&url.URL{Path: abs}).EscapedPath()+"?"+how)
}

// lock takes the lock of the journal at path for this process. The lock goes
// with the process, however it ends.
func lock(path string) (release func() error, err error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		holder := make([]byte, 20)
		n, _ := f.ReadAt(holder, 0)
		return nil, errors.Join(fmt.Errorf("%w by another minikeeper (process %s): two hubs on one journal would both act",
			ErrLocked, strings.TrimSpace(string(holder[:n]))), f.Close())
	case err != nil:
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
	}
	// The number is for the message above only; the lock does not depend on it.
	_ = f.Truncate(0)
	_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return f.Close, nil
}

// healthy returns an error if the file is damaged.
func healthy(ctx context.Context, db *sql.DB) error {
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, verdict)
	}
	return nil
}

//go:embed migrations/*.sql
var migrations embed.FS

// provider knows the steps from an empty file to the present form.
func provider(db *sql.DB) (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, dir,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
}

// migrate brings the tables into the present form.
func migrate(ctx context.Context, db *sql.DB) error {
	p, err := provider(db)
	if err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > want {
		return newer(have, want)
	}
	_, err = p.Up(ctx)
	return err
}

// current returns an error unless the tables have the present form.
func current(ctx context.Context, db *sql.DB) error {
	p, err := provider(db)
	if err != nil {
		return err
	}
	sources := p.ListSources()
	want := sources[len(sources)-1].Version
	var have int64
	err = db.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&have)
	switch {
	case err != nil:
		return err
	case have > want:
		return newer(have, want)
	case have < want:
		return fmt.Errorf("it has form %d, and this program reads form %d: start the daemon once, which brings it up to date", have, want)
	default:
		return nil
	}
}

func newer(have, want int64) error {
	return fmt.Errorf("it has form %d, and this program knows %d at most: a newer minikeeper wrote it", have, want)
}

var errDamaged = errors.New("the file is damaged: restore it from a backup")

// explain names the file in err, and says in words what only SQLite's numbers say.
func (j *Journal) explain(verb string, err error) error {
	cause, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		if errors.Is(err, errDamaged) || verb == "open" {
			return fmt.Errorf("%s journal %s: %w", verb, j.path, err)
		}
		return err
	}
	why := ""
	switch cause.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		why = "the disk is full"
	case sqlite3.SQLITE_READONLY:
		why = "the file cannot be written"
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%s journal %s: %w (%w)", verb, j.path, errDamaged, err)
	case sqlite3.SQLITE_BUSY:
		why = "another process keeps it busy"
	case sqlite3.SQLITE_CANTOPEN:
		why = "the file cannot be opened"
	case sqlite3.SQLITE_IOERR:
		why = "the disk failed"
	default:
		return fmt.Errorf("%s journal %s: %w", verb, j.path, err)
	}
	return fmt.Errorf("%s journal %s: %s: %w", verb, j.path, why, err)
}
