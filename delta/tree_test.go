package delta_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/minikeeper/minikeeper/delta"
)

// A tree describes files to make, by path: a folder ends with "/", a link's
// text begins with "-> ", everything else is a file's content.
type tree map[string]string

// then is when every file of a tree was modified.
var then = time.Date(2023, 4, 1, 12, 30, 15, 123456789, time.UTC)

func (tr tree) build(t testing.TB, root string) {
	t.Helper()
	for path, text := range tr {
		full := root + "/" + path
		if strings.HasSuffix(path, "/") {
			must(t, os.MkdirAll(full, 0o755))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(full), 0o755))
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			must(t, os.Symlink(target, full))
			continue
		}
		write(t, full, text)
	}
}

// write makes the file at path hold text, modified then.
func write(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o644))
	must(t, os.Chtimes(path, then, then))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pair returns two new folders that hold o and r.
func pair(t testing.TB, o, r tree) (origin, replica string) {
	t.Helper()
	dir := t.TempDir()
	origin, replica = filepath.Join(dir, "origin"), filepath.Join(dir, "replica")
	must(t, os.Mkdir(origin, 0o755))
	must(t, os.Mkdir(replica, 0o755))
	o.build(t, origin)
	r.build(t, replica)
	return origin, replica
}

// snapshot describes everything below root, but for the reserved folder.
func snapshot(t testing.TB, root string) map[string]string {
	t.Helper()
	seen := make(map[string]string)
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(path, root), "/")
		if rel == "" {
			return nil
		}
		if rel == ".minikeeper" {
			return fs.SkipDir
		}
		seen[rel], err = describe(path)
		return err
	})
	must(t, err)
	return seen
}

func describe(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		return info.Mode().String(), nil
	case fs.ModeSymlink:
		target, err := os.Readlink(path)
		return "-> " + target, err
	case 0:
		data, err := os.ReadFile(path)
		return fmt.Sprintf("%v %v %d %x", info.Mode(), info.ModTime().UTC(), len(data), sha256.Sum256(data)), err
	default:
		return info.Mode().String(), nil
	}
}

// wantEqual fails the test unless both trees are equal, byte by byte.
func wantEqual(t testing.TB, origin, replica string) {
	t.Helper()
	if diff := cmp.Diff(snapshot(t, origin), snapshot(t, replica)); diff != "" {
		t.Errorf("replica differs (-origin +replica):\n%s", diff)
	}
}

// all deletes whatever is extra.
func all() delta.SyncOptions {
	return delta.SyncOptions{Delete: true, MaxDelete: delta.Percent(100)}
}

// mustSync syncs, and fails the test unless the trees are equal then.
func mustSync(t testing.TB, origin, replica string, o delta.SyncOptions) delta.SyncReport {
	t.Helper()
	r, err := delta.Sync(t.Context(), origin, replica, o)
	if err != nil || !r.Equal() {
		t.Fatalf("sync: %v; kept %d; problems %v", err, r.Kept, r.Problems)
	}
	again, err := delta.Compare(t.Context(), origin, replica, o.Options)
	if err != nil || !again.InSync() {
		t.Fatalf("after sync: %v; entries %v; problems %v", err, again.Entries, again.Problems)
	}
	wantNoTemp(t, replica)
	return r
}

// wantNoTemp fails the test if a sync has left a temporary file.
func wantNoTemp(t testing.TB, replica string) {
	t.Helper()
	left, err := os.ReadDir(filepath.Join(replica, ".minikeeper", "tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files left: %v, %v", left, err)
	}
}

// problems shows the problems of a report on one line each.
func problems(ps []delta.Problem) string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
