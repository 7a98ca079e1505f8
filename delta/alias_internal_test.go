package delta

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// On a filesystem that ignores case, the replica's README is there under the
// origin's name readme too, but listed once. Few test machines have such a
// filesystem; a hard link that the listing leaves out looks the same.
func TestOtherSpellingOfOneName(t *testing.T) {
	tests := []struct {
		name          string
		text          string // of the replica's README
		listed        []string
		kind          Kind   // what readme is found to be; "" for equal
		extra         int64  // what is left over
		problem, also string // also: another name that the origin has
	}{
		{name: "equal", text: "one", listed: []string{"README"}},
		{name: "other content", text: "two", listed: []string{"README"}, kind: Content},
		{name: "others are extra still", text: "one", listed: []string{"README", "z"}, extra: 1},
		{name: "not listed at all", text: "one", problem: "goes by this name"},
		{name: "two names of the origin", text: "one", listed: []string{"README"}, also: "Readme", problem: "goes by this name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, folder := range []string{"/o", "/r"} {
				if err := os.Mkdir(dir+folder, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			put(t, dir+"/o/readme", "one")
			put(t, dir+"/r/README", tt.text)
			put(t, dir+"/r/z", "z")
			for _, spelling := range []string{"readme", tt.also} {
				if spelling != "" {
					put(t, dir+"/o/"+spelling, "one")
					if err := os.Link(dir+"/r/README", dir+"/r/"+spelling); err != nil {
						t.Fatal(err)
					}
				}
			}
			r := compareListed(t, dir, tt.listed)

			want := map[Kind]int64{Missing: 0, Content: 0, Metadata: 0, Extra: tt.extra}
			if tt.kind != "" {
				want[tt.kind]++
			}
			if diff := cmp.Diff(want, r.Counts); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if (tt.problem == "") != (r.ProblemCount == 0) || (tt.problem != "" && !strings.Contains(r.Problems[0].String(), tt.problem)) {
				t.Errorf("problems %v", r.Problems)
			}
		})
	}
}

// compareListed compares o and r in dir as if r listed only names.
func compareListed(t *testing.T, dir string, names []string) Report {
	t.Helper()
	both, err := openTrees(dir+"/o", dir+"/r")
	if err != nil {
		t.Fatal(err)
	}
	defer both.close()
	c, err := newComparison(both, Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.pairs = make(chan pair, 10)
	origin, err := c.list(c.origin, ".", c.replicaID)
	if err != nil {
		t.Fatal(err)
	}
	var replica listing
	for _, name := range names {
		st, err := c.replica.stat(name)
		if err != nil {
			t.Fatal(err)
		}
		replica.nodes = append(replica.nodes, node{name: name, info: st})
	}
	if err := c.merge(t.Context(), c.origin, c.replica, ".", 0, origin, replica); err != nil {
		t.Fatal(err)
	}
	close(c.pairs)
	for p := range c.pairs {
		d, _, err := p.read(t.Context(), make([]byte, 100))
		if err != nil {
			t.Fatal(err)
		}
		if d.kind == Content { // times differ by chance
			c.differs(d)
		}
		p.origin.release()
		p.replica.release()
	}
	return c.result()
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A disk that gives back other bytes than it was given cannot be had for a
// test; a file that somebody else writes to meanwhile looks the same.
func TestVerifyFindsWhatWasNotWritten(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/copy", "what was read")
	folder, err := openRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.release()
	f, err := folder.open("copy")
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	a := &applier{}
	sum, err := a.transfer(t.Context(), f, nullFile(t), info{size: 13, blocks: 8}, make([]byte, 5))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.verify(t.Context(), f, 13, sum, make([]byte, 5)); err != nil {
		t.Errorf("a good copy: %v", err)
	}
	put(t, dir+"/copy", "what was rEad")
	if err := a.verify(t.Context(), f, 13, sum, make([]byte, 5)); err == nil {
		t.Error("a bad copy was taken for good")
	}
}

func nullFile(t *testing.T) *file {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return &file{fd: int(f.Fd())}
}
