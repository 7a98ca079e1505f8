package delta_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper/delta"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// childVariable makes the test binary be a program that syncs: "USER ORIGIN REPLICA".
const childVariable = "DELTA_TEST_CHILD"

// unprivileged is the user that has nothing: nobody, almost everywhere.
const unprivileged = 65534

func TestMain(m *testing.M) {
	if args := os.Getenv(childVariable); args != "" {
		os.Exit(child(strings.Fields(args)))
	}
	os.Exit(m.Run())
}

// ingestChild records a folder.
func ingestChild(root, state string) int {
	r, err := delta.Ingest(context.Background(), root, state, delta.RecordOptions{})
	said := answer{Copied: r.FilesRead, Deleted: r.Removed, Equal: err == nil}
	for _, p := range r.Problems {
		said.Problems = append(said.Problems, p.String())
	}
	if err := errors.Join(err, json.NewEncoder(os.Stdout).Encode(said)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	return 0
}

// child syncs as another user, and prints what came of it.
func child(args []string) int {
	uid, err := strconv.Atoi(args[0])
	if err == nil && uid != os.Getuid() {
		err = become(uid)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if args[1] == "ingest" {
		return ingestChild(args[2], args[3])
	}
	r, err := delta.Sync(context.Background(), args[1], args[2], all())
	said := answer{Copied: r.FilesCopied, Deleted: r.Deleted, Equal: r.Equal()}
	for _, p := range r.Problems {
		said.Problems = append(said.Problems, p.String())
	}
	if err != nil {
		said.Error = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		return 2
	}
	return 0
}

func become(uid int) error {
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	if err := syscall.Setgid(uid); err != nil {
		return err
	}
	return syscall.Setuid(uid)
}

// An answer is what a child prints.
type answer struct {
	Copied, Deleted int64
	Equal           bool
	Problems        []string
	Error           string
}

func syncAs(t *testing.T, uid int, origin, replica string) *exec.Cmd {
	t.Helper()
	return childAs(t, uid, origin, replica)
}

func childAs(t *testing.T, uid int, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", childVariable, uid, strings.Join(args, " ")))
	cmd.Stderr = os.Stderr
	return cmd
}

// A sync that is killed at any moment leaves every file as it was or as it is
// to be, and the next one goes on from there.
func TestSyncKilled(t *testing.T) {
	text := func(version string, i int) string {
		return strings.Repeat(fmt.Sprintf("%s %d\n", version, i), 1+i*i*8)
	}
	from, to := tree{}, tree{}
	for i := range 60 {
		path := fmt.Sprintf("d%d/%d", i%7, i)
		from[path] = text("new", i)
		if i%3 > 0 {
			to[path] = text("old", i)
		}
		to[fmt.Sprintf("extra/%d", i)] = "extra"
	}
	origin, probe := pair(t, from, to)
	before := snapshot(t, probe)
	start := time.Now()
	must(t, syncAs(t, os.Getuid(), origin, probe).Run())
	whole := time.Since(start)

	killed := 0
	for round := range 5 {
		replica := filepath.Join(t.TempDir(), "replica")
		to.build(t, replica)
		for range 3 { // each goes on where the one before was killed
			cmd := syncAs(t, os.Getuid(), origin, replica)
			must(t, cmd.Start())
			time.Sleep(rand.N(whole))
			must(t, cmd.Process.Kill())
			if cmd.Wait() != nil {
				killed++
			}
			checkWhole(t, snapshot(t, origin), before, replica)
		}
		mustSync(t, origin, replica, all())
		wantEqual(t, origin, replica)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("killed %d times; a whole sync takes %v", killed, whole)
	if killed == 0 {
		t.Error("no sync was killed before it had ended: the test shows nothing")
	}
}

// checkWhole checks that each file of the replica is that of origin or that of
// before, and that what is gone is in the trash.
func checkWhole(t *testing.T, origin, before map[string]string, replica string) {
	t.Helper()
	now := snapshot(t, replica)
	for path, is := range now {
		if is[0] != 'd' && is != origin[path] && is != before[path] {
			t.Errorf("%s is neither old nor new: %s", path, is)
		}
	}
	for path, was := range before {
		if now[path] != "" || was[0] == 'd' {
			continue
		}
		trashed, err := filepath.Glob(filepath.Join(replica, ".minikeeper/trash/*", path))
		if origin[path] != "" || err != nil || len(trashed) != 1 {
			t.Errorf("%s is gone, and not into the trash: %v, %v", path, trashed, err)
		}
	}
}

// What the user may not read is a problem of that path alone, and what lies in
// a folder of the origin that cannot be listed is not extra on the replica.
func TestSyncWithoutPermission(t *testing.T) {
	testkit.Root(t) // to make files of somebody else
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o755)) // anybody may enter
	origin, replica := dir+"/origin", dir+"/replica"
	tree{"secret": "s", "closed/a": "a", "open/b": "b", "c": "c"}.build(t, origin)
	tree{"closed/a": "a", "closed/more": "m", "extra": "x", "sealed/d": "d"}.build(t, replica)
	tree{"sealed/d": "D", "sealed/e": "e"}.build(t, origin)
	must(t, os.Chmod(origin+"/secret", 0))
	must(t, os.Chmod(origin+"/closed", 0))
	must(t, filepath.WalkDir(replica, func(path string, _ os.DirEntry, err error) error {
		must(t, err)
		return os.Lchown(path, unprivileged, unprivileged)
	}))
	must(t, os.Chown(replica+"/sealed", 0, 0)) // the user may read it, not write

	self, err := os.Executable()
	must(t, err)
	copied := dir + "/delta.test" // where anybody may run it
	data, err := os.ReadFile(self)
	must(t, err)
	must(t, os.WriteFile(copied, data, 0o755))
	cmd := syncAs(t, unprivileged, origin, replica)
	cmd.Path = copied
	out, err := cmd.Output()
	must(t, err)
	var said answer
	must(t, json.Unmarshal(out, &said))

	want := []string{
		`"": nothing is deleted, because a part of the origin could not be listed`,
		`"closed": origin: permission denied`,
		`"sealed/d": replica: permission denied`,
		`"sealed/e": replica: permission denied`,
		`"secret": origin: permission denied`,
	}
	if strings.Join(said.Problems, "\n") != strings.Join(want, "\n") || said.Equal || said.Error != "" {
		t.Errorf("error %q, problems:\n%s", said.Error, strings.Join(said.Problems, "\n"))
	}
	if said.Copied != 2 {
		t.Errorf("%d copied, want c and open/b", said.Copied)
	}
	for _, path := range []string{"/extra", "/closed/more"} {
		if _, err := os.Lstat(replica + path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	wantNoTemp(t, replica)
}
