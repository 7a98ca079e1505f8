package collectors

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// replicaChange is when every file of these tests was modified, unless said.
var replicaChange = time.Date(2023, 4, 1, 12, 0, 0, 0, time.UTC)

func replicaFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, replicaChange, replicaChange); err != nil {
		t.Fatal(err)
	}
}

// replicaPair makes a share and a replica that equals it, below root.
func replicaPair(t testing.TB, root string) (origin, replica string) {
	t.Helper()
	origin, replica = root+"/srv/master", root+"/Shares/CasperShare"
	for _, side := range []string{origin, replica} {
		replicaFile(t, side+"/Packages/a.pkg", "package a")
		replicaFile(t, side+"/Packages/b.pkg", "package b")
		replicaFile(t, side+"/.DS_Store", filepath.Base(side)) // not the same on both sides
	}
	return origin, replica
}

func TestReplica(t *testing.T) {
	tests := []struct {
		name string // testdata/replica/NAME.golden
		do   func(t *testing.T, origin, replica string)
	}{
		{"in-sync", func(*testing.T, string, string) {}},
		{"drift-of-every-kind", func(t *testing.T, o, r string) {
			replicaFile(t, o+"/Packages/new.pkg", "not copied yet")
			replicaFile(t, r+"/Packages/old.pkg", "left over")
			replicaFile(t, r+"/Packages/a.pkg", "package A") // bit rot: same size and time
			if err := os.Chmod(r+"/Packages/b.pkg", 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"unreadable-and-nothing-else", func(t *testing.T, o, _ string) { pipe(t, o+"/pipe") }},
		{"unreadable-beside-drift", func(t *testing.T, o, r string) {
			for i := range 4 {
				pipe(t, fmt.Sprintf("%s/pipe\n%d", o, i))
			}
			replicaFile(t, r+"/Packages/a.pkg", "other")
		}},
		{"empty-origin", func(t *testing.T, o, _ string) {
			if err := os.RemoveAll(o + "/Packages"); err != nil {
				t.Fatal(err)
			}
		}},
		{"no-origin", func(t *testing.T, o, _ string) {
			if err := os.Rename(o, o+" is elsewhere"); err != nil {
				t.Fatal(err)
			}
		}},
		{"no-replica", func(t *testing.T, _, r string) {
			if err := os.RemoveAll(r); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			origin, replica := replicaPair(t, root)
			tt.do(t, origin, replica)
			before := time.Now()
			got := collectReplica(t, root, before, ReplicaShare{
				Name: "casper", Path: "/Shares/CasperShare", Origin: "/srv/master", Exclude: []string{"default"},
			})
			testkit.Golden(t, filepath.Join("testdata", "replica", tt.name+".golden"), got)
		})
	}
}

// One share that cannot be compared hides no other.
func TestReplicaOfSeveralShares(t *testing.T) {
	root := t.TempDir()
	replicaPair(t, root)
	got := collectReplica(t, root, time.Now(),
		ReplicaShare{Name: "first", Path: "/nowhere", Origin: "/srv/master"},
		ReplicaShare{Name: "second", Path: "/Shares/CasperShare", Origin: "/srv/master", Exclude: []string{}})
	testkit.Golden(t, filepath.Join("testdata", "replica", "several-shares.golden"), got)
}

func TestReplicaCancelled(t *testing.T) {
	root := t.TempDir()
	replicaPair(t, root)
	c, err := newReplica(Deps{Root: root, Settings: Settings{Replica: ReplicaSettings{Shares: []ReplicaShare{
		{Name: "casper", Path: "/Shares/CasperShare", Origin: "/srv/master"},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if samples, err := c.Collect(ctx); err == nil || len(samples) > 0 {
		t.Errorf("a comparison that did not end gave %v, %v", samples, err)
	}
}

func TestReplicaSettings(t *testing.T) {
	whole := ReplicaShare{Name: "a", Path: "/a", Origin: "/b"}
	for want, shares := range map[string][]ReplicaShare{
		"share 2 has no name":                       {whole, {Path: "/c", Origin: "/d"}},
		`two shares are called "a"`:                 {whole, whole},
		`share "a" needs both a path and an origin`: {{Name: "a", Path: "/a"}},
		`share "b" needs both a path and an origin`: {whole, {Name: "b", Origin: "/a"}},
		"":  {whole},
		" ": nil,
	} {
		_, err := newReplica(Deps{Settings: Settings{Replica: ReplicaSettings{Shares: shares}}})
		if want = strings.TrimSpace(want); (want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%v: got %v, want %q", shares, err, want)
		}
	}
}

// Whatever two files hold, and whatever they are called: they are in sync if
// and only if their bytes are equal.
func FuzzReplica(f *testing.F) {
	f.Add("a.pkg", []byte("package"), []byte("package"))
	f.Add("new\nline \xff", []byte("same size"), []byte("other ..."))
	f.Add("._x", []byte(""), []byte("longer"))
	f.Fuzz(func(t *testing.T, name string, a, b []byte) {
		root := t.TempDir()
		origin, replica := root+"/o", root+"/r"
		replicaFile(t, origin+"/always", "there")
		replicaFile(t, replica+"/always", "there")
		if len(name) > 255 || strings.ContainsAny(name, "/\x00") || name == "" || name == "." || name == ".." ||
			name == "always" || strings.EqualFold(name, ".minikeeper") {
			return
		}
		replicaFile(t, origin+"/"+name, string(a))
		replicaFile(t, replica+"/"+name, string(b))
		c, err := newReplica(Deps{Settings: Settings{Replica: ReplicaSettings{Shares: []ReplicaShare{{Name: "x", Path: replica, Origin: origin, Exclude: []string{}}}}}})
		if err != nil {
			t.Fatal(err)
		}
		samples, err := c.Collect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range samples {
			if s.Name == replicaInSync && (s.Value == 1) != bytes.Equal(a, b) {
				t.Errorf("%q beside %q: %v", a, b, s)
			}
		}
	})
}

// collectReplica shows what the collector reads below root. The time of the
// scan is checked, and shown as 1 (right) or 0.
func collectReplica(t *testing.T, root string, before time.Time, shares ...ReplicaShare) string {
	t.Helper()
	c, err := newReplica(Deps{Run: noTools{}, GOOS: "linux", Root: root, Settings: Settings{Replica: ReplicaSettings{Shares: shares}}})
	if err != nil {
		t.Fatal(err)
	}
	samples, err := c.Collect(t.Context())
	var b strings.Builder
	for _, s := range samples {
		if s.Name == replicaScan {
			at := time.UnixMicro(int64(s.Value * 1e6))
			s.Value = bool01(!at.Before(before.Truncate(time.Millisecond)) && !at.After(time.Now()))
		}
		fmt.Fprintln(&b, s)
	}
	if err != nil {
		fmt.Fprintf(&b, "error: %v\n", err)
	}
	return strings.ReplaceAll(b.String(), root, "")
}

func pipe(t *testing.T, path string) {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o644); err != nil {
		t.Fatal(err)
	}
}

var _ Collector = replica{}

var _ minikeeper.Runner = noTools{}
