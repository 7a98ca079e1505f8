package journal_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/journal"
	"github.com/minikeeper/minikeeper/remediate"
)

func TestSecondWriterIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	first := open(t, path)
	_, err := journal.Open(t.Context(), path)
	if !errors.Is(err, journal.ErrLocked) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("second writer: %v", err)
	}
	save(t, first, record("a")) // and the first goes on
}

func TestReadersBesideTheWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	if _, err := journal.OpenReadOnly(t.Context(), path); err == nil || !strings.Contains(err.Error(), "journal.db") {
		t.Errorf("no journal yet: %v", err)
	}
	writer := open(t, path)
	save(t, writer, record("a"))
	reader, err := journal.OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	save(t, writer, record("b", on("lon-mini-2")))
	same(t, "read beside", []string{"a", "b"}, ids(read(t, reader, remediate.Reader.Open)))
	err = reader.Update(t.Context(), "tester", func(tx remediate.Tx) error { return tx.SaveRun(record("c", on("x"))) })
	if err == nil || !strings.Contains(err.Error(), "reading only") {
		t.Errorf("write through a reader: %v", err)
	}
	if _, _, err := reader.Verify(t.Context(), ""); err != nil {
		t.Error(err)
	}
}

func TestReopened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal with a % and a ?.db")
	j, err := journal.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	save(t, j, record("a"))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	same(t, "after reopening", []string{"a"}, ids(read(t, open(t, path), remediate.Reader.Open)))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// damage opens the file behind the journal's back.
func damage(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestNewerFormIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	closed(t, path)
	damage(t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
	for name, open := range map[string]func() (*journal.Journal, error){
		"writing": func() (*journal.Journal, error) { return journal.Open(t.Context(), path) },
		"reading": func() (*journal.Journal, error) { return journal.OpenReadOnly(t.Context(), path) },
	} {
		if _, err := open(); err == nil || !strings.Contains(err.Error(), "newer minikeeper") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// closed makes a journal with two runs, and returns its head.
func closed(t *testing.T, path string) string {
	t.Helper()
	j, err := journal.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	save(t, j, record("a"), record("b", on("lon-mini-2")))
	_, head, err := j.Head(t.Context())
	if err := errors.Join(err, j.Close()); err != nil {
		t.Fatal(err)
	}
	return head
}

func TestDamagedFileIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(src []byte) []byte{
		"not a database": func([]byte) []byte { return []byte(strings.Repeat("this is a log file\n", 500)) },
		"a page is lost": func(src []byte) []byte {
			for i := 4096; i < len(src) && i < 5*4096; i++ {
				src[i] = 0xff
			}
			return src
		},
	} {
		path := filepath.Join(t.TempDir(), "journal.db")
		closed(t, path)
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, spoil(src), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := journal.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path)
	journal.Limit(t, j, 60) // pages
	var err error
	for i := 0; err == nil && i < 10_000; i++ {
		err = j.Update(t.Context(), "tester", func(tx remediate.Tx) error {
			return tx.SaveRun(record(strconv.Itoa(i), on(fmt.Sprint("server-", i))))
		})
	}
	if err == nil || !strings.Contains(err.Error(), "disk is full") || !strings.Contains(err.Error(), path) {
		t.Errorf("full disk: %v", err)
	}
	if _, _, err := j.Verify(t.Context(), ""); err != nil {
		t.Errorf("what was written before is not whole: %v", err)
	}
}

func TestTamperingIsFound(t *testing.T) {
	for _, tt := range []struct{ name, sql, want string }{
		{"a row was changed", "UPDATE audit SET who = 'nobody' WHERE seq = 1", "row 1 was changed"},
		{"a row was taken out", "DELETE FROM audit WHERE seq = 1", "after row 0 comes row 2"},
		{"the end was cut off", "DELETE FROM audit WHERE seq = 2", ""},
		{"a run was changed", "UPDATE run SET body = replace(body, 'postfix', 'sendmail') WHERE id = 'a'", "run a is not what was written"},
		{"a run was taken out", "DELETE FROM run WHERE id = 'a'", "run a is gone"},
		{"a run was put in", "INSERT INTO run SELECT 'z', incident, remedy, 'x', state, gate, holds_slot, created, started, ended, body FROM run WHERE id = 'a'", "run z"},
	} {
		path := filepath.Join(t.TempDir(), "journal.db")
		head := closed(t, path)
		damage(t, path, tt.sql)
		j := open(t, path)
		if _, _, err := j.Verify(t.Context(), head); !errors.Is(err, journal.ErrTampered) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// BenchmarkAdmission measures the transaction that lets a run in: the guards'
// facts are read, and a run, a fence and two rows of the chain are on disk.
func BenchmarkAdmission(b *testing.B) {
	j := open(b, filepath.Join(b.TempDir(), "journal.db"))
	for i := 0; b.Loop(); i++ {
		update(b, j, func(tx remediate.Tx) error {
			if _, err := tx.Open(); err != nil {
				return err
			}
			if _, err := tx.Past("restart-mail", "lon-mini-1", epoch); err != nil {
				return err
			}
			if _, err := tx.NextFence(epoch); err != nil {
				return err
			}
			r := record(strconv.Itoa(i))
			if err := tx.SaveRun(r); err != nil {
				return err
			}
			r.State, r.HoldsSlot, r.Ended = minikeeper.RunCancelled, false, epoch.Add(time.Second)
			return tx.SaveRun(r)
		})
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "admissions/s")
}
