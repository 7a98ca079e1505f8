package delta_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/minikeeper/minikeeper/delta"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// What changes between the comparison and the moment when a path's turn comes
// is looked at again: nothing is replaced or deleted that was not compared.
func TestSyncMeanwhile(t *testing.T) {
	tests := []struct {
		name  string
		after delta.Phase // when do is called
		do    func(t *testing.T, origin, replica string)
		want  string // problems
		stays string // on the replica
	}{
		{"extra appears on the origin", delta.PhaseCopy, func(t *testing.T, o, _ string) {
			tree{"gone/one": "1"}.build(t, o)
		}, "\"gone\": it appeared on the origin meanwhile\n\"gone/one\": it appeared on the origin meanwhile", "gone/one"},
		{"extra is written to", delta.PhaseCopy, func(t *testing.T, _, r string) {
			write(t, r+"/gone/one", "precious")
		}, "\"gone\": directory not empty\n\"gone/one\": it changed on the replica meanwhile", "gone/one"},
		{"extra is another file now", delta.PhaseCopy, func(t *testing.T, _, r string) {
			must(t, os.Rename(r+"/gone/one", r+"/kept"))
			write(t, r+"/gone/one", "1")
		}, "\"gone\": directory not empty\n\"gone/one\": it changed on the replica meanwhile", "gone/one"},
		{"extra folder is filled", delta.PhaseCopy, func(t *testing.T, _, r string) {
			write(t, r+"/gone/two", "2")
		}, `"gone": directory not empty`, "gone/two"},
		{"extra is gone", delta.PhaseCopy, func(t *testing.T, _, r string) {
			must(t, os.RemoveAll(r+"/gone"))
		}, "", "Packages/a.pkg"},
		{"missing file is there", delta.PhaseCompare, func(t *testing.T, _, r string) {
			write(t, r+"/Packages/b.pkg", "somebody's")
		}, `"Packages/b.pkg": it changed on the replica meanwhile`, "Packages/b.pkg"},
		{"missing folder is there", delta.PhaseCompare, func(t *testing.T, _, r string) {
			must(t, os.Mkdir(r+"/Scripts", 0o755))
		}, `"Scripts": it changed on the replica meanwhile`, "Scripts/run.sh"},
		{"file on the origin is gone", delta.PhaseCompare, func(t *testing.T, o, _ string) {
			must(t, os.Remove(o+"/Packages/b.pkg"))
		}, `"Packages/b.pkg": origin: no such file or directory`, "Packages/a.pkg"},
		{"file on the origin is a link", delta.PhaseCompare, func(t *testing.T, o, _ string) {
			must(t, os.Remove(o+"/Packages/b.pkg"))
			must(t, os.Symlink("/etc/passwd", o+"/Packages/b.pkg"))
		}, `"Packages/b.pkg": origin: it changes while it is read`, "Packages/a.pkg"},
		{"file on the origin grew", delta.PhaseCompare, func(t *testing.T, o, _ string) {
			write(t, o+"/Packages/b.pkg", strings.Repeat("longer", 1000))
		}, "", "Packages/b.pkg"},
		{"file of other permissions is written to", delta.PhaseCompare, func(t *testing.T, _, r string) {
			write(t, r+"/Packages/a.pkg", "PACKAGE A")
		}, "", "Packages/a.pkg"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			origin, replica := pair(t, share(), tree{"Packages/a.pkg": "package a", "gone/one": "1"})
			must(t, os.Chmod(replica+"/Packages/a.pkg", 0o600))
			o, done := all(), false
			o.Progress = func(p delta.Progress) {
				if p.Phase == tt.after && !done {
					done = true
					tt.do(t, origin, replica)
				}
			}
			r, err := delta.Sync(t.Context(), origin, replica, o)
			must(t, err)
			if diff := cmp.Diff(tt.want, problems(r.Problems)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if _, err := os.Lstat(replica + "/" + tt.stays); err != nil {
				t.Error(err)
			}
			if tt.want == "" {
				wantEqual(t, origin, replica)
			}
			wantNoTemp(t, replica)
			mustSync(t, origin, replica, all()) // and the next one deals with it
			wantEqual(t, origin, replica)
		})
	}
}

// A new entry belongs to the owner of its folder, a replaced one keeps its own.
func TestSyncOwners(t *testing.T) {
	testkit.Root(t)
	origin, replica := pair(t, tree{"new": "n", "folder/x": "x", "changed": "c"}, tree{"changed": "C"})
	must(t, os.Chown(replica, 1234, 2345))
	must(t, os.Chown(replica+"/changed", 3456, 4567))
	mustSync(t, origin, replica, all())
	for path, want := range map[string][2]uint32{
		"/new": {1234, 2345}, "/folder": {1234, 2345}, "/folder/x": {1234, 2345}, "/changed": {3456, 4567}, "/.minikeeper": {0, 0},
	} {
		if st := stat(t, replica+path); st.Uid != want[0] || st.Gid != want[1] {
			t.Errorf("%s belongs to %d:%d, want %v", path, st.Uid, st.Gid, want)
		}
	}
}

// Folders that not even their owner may write to are filled before they are shut.
func TestSyncReadOnlyFolders(t *testing.T) {
	origin, replica := pair(t, tree{"shut/sub/x": "x", "y": "y"}, tree{})
	must(t, os.Chmod(origin+"/shut/sub", 0o555))
	must(t, os.Chmod(origin+"/shut", 0o500))
	t.Cleanup(func() {
		for _, root := range []string{origin, replica} {
			must(t, os.Chmod(root+"/shut", 0o700))
			must(t, os.Chmod(root+"/shut/sub", 0o700))
		}
	})
	mustSync(t, origin, replica, all())
	wantEqual(t, origin, replica)
}
