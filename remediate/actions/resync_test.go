package actions_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/delta"
	"github.com/minikeeper/minikeeper/internal/testkit"
	"github.com/minikeeper/minikeeper/remediate/actions"
)

func TestResyncPlan(t *testing.T) {
	m := actions.Machine{Shares: []actions.Share{
		{Name: "casper", Path: "/Shares/CasperShare", Origin: "/Volumes/Master/CasperShare", Delete: true},
		{Name: "images", Path: "/Shares/Images", Origin: "/Volumes/Master/Images"},
		{Name: "limited", Path: "/Shares/L", Origin: "/srv/l", Delete: true, MaxDelete: "100"},
		{Name: "misspelt", Path: "/Shares/M", Origin: "/srv/m", Delete: true, MaxDelete: "5 percent"},
	}}
	for name, with := range map[string]map[string]string{
		"deletes":         {"share": "casper"},
		"keeps":           {"share": "images"},
		"limited":         {"share": "limited"},
		"malformed-limit": {"share": "misspelt"},
		"unknown-share":   {"share": "/etc"},
		"no-share":        {},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := actions.Builtin()["resync"].Plan(t.Context(), m, with)
			if err != nil && !errors.Is(err, actions.ErrRefused) {
				t.Errorf("%v is not ErrRefused", err)
			}
			testkit.Golden(t, filepath.Join("testdata", "resync", name+".golden"), render(plan, err))
		})
	}
}

// drifted makes a machine with one share, whose replica lacks a file, has one
// rotten and one too many.
func drifted(t *testing.T) (m actions.Machine, origin, replica string) {
	t.Helper()
	root := t.TempDir()
	origin, replica = root+"/srv/master", root+"/Shares/CasperShare"
	for path, text := range map[string]string{
		origin + "/a.pkg": "package a", origin + "/b.pkg": "package b", origin + "/c.pkg": "package c", origin + "/.DS_Store": "junk",
		replica + "/a.pkg": "package A", replica + "/b.pkg": "package b", replica + "/x.pkg": "extra",
	} {
		put(t, path, text)
	}
	return actions.Machine{Root: root, Shares: []actions.Share{{
		Name: "casper", Path: "/Shares/CasperShare", Origin: "/srv/master",
		Exclude: []string{"default"}, Delete: true, MaxDelete: "50%",
	}}}, origin, replica
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2023, 4, 1, 12, 0, 0, 0, time.UTC)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// doResync plans and performs a resync of the share casper.
func doResync(t *testing.T, m actions.Machine) (string, error) {
	t.Helper()
	action := actions.Builtin()["resync"]
	plan, err := action.Plan(t.Context(), m, map[string]string{"share": "casper"})
	if err != nil {
		t.Fatal(err)
	}
	return action.Do(t.Context(), m, plan.Steps[0])
}

func TestResync(t *testing.T) {
	m, origin, replica := drifted(t)
	var told []string
	m.Progress = func(s string) { told = append(told, s) }
	out, err := doResync(t, m)
	if err != nil {
		t.Fatal(err)
	}
	want := `^share casper: 1 content, 1 extra, 0 metadata, 1 missing, 18 B to copy; copied 2 files \(18 B\), made 0 folders and 0 links, ` +
		`set metadata of 0, deleted 1; read 72 B in [0-9.]+m?s; trash: \.minikeeper/trash/2[^ ]+Z$`
	if !regexp.MustCompile(want).MatchString(out) {
		t.Errorf("output %q", out)
	}
	if got := strings.Join(told, "\n"); got != "compare: 2 files, 36 B read\ncopy: 2 of 2 files, 18 B of 18 B\ndelete: 1 of 1 files" {
		t.Errorf("progress:\n%s", got)
	}
	r, err := delta.Compare(t.Context(), origin, replica, delta.Options{})
	if err != nil || !r.InSync() {
		t.Errorf("after it: %v, %v", r.Entries, err)
	}

	again, err := doResync(t, m)
	if err != nil || !strings.Contains(again, "0 content, 0 extra, 0 metadata, 0 missing, 0 B to copy; copied 0 files") {
		t.Errorf("the second resync: %q, %v", again, err)
	}
}

// A resync that leaves anything different has failed, and says what.
func TestResyncFails(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, m *actions.Machine, origin, replica string)
		want string // in the error
		out  string // in the output
	}{
		{"unreadable", func(t *testing.T, _ *actions.Machine, o, _ string) {
			for name := range strings.FieldsSeq("1 2 3 4 5 6 7") {
				if err := syscall.Mkfifo(o+"/pipe"+name, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}, `7 paths could not be made equal, such as "pipe1": it is a device`, "\nand 2 more"},
		{"delete is off", func(_ *testing.T, m *actions.Machine, _, _ string) {
			m.Shares[0].Delete = false
		}, "1 extra entries stay, because delete is off for this share", "copied 2 files"},
		{"too many deletions", func(_ *testing.T, m *actions.Machine, _, _ string) {
			m.Shares[0].MaxDelete = "0"
		}, "it would delete 1 of the replica's 3 entries, and no more than 0 (0) may be", "copied 0 files"},
		{"empty origin", func(t *testing.T, _ *actions.Machine, o, _ string) {
			for _, name := range []string{"/a.pkg", "/b.pkg", "/c.pkg"} {
				if err := os.Remove(o + name); err != nil {
					t.Fatal(err)
				}
			}
		}, "the origin holds no files", "copied 0 files"},
		{"no origin", func(t *testing.T, _ *actions.Machine, o, _ string) {
			if err := os.Rename(o, o+"2"); err != nil {
				t.Fatal(err)
			}
		}, "no such file or directory", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, origin, replica := drifted(t)
			tt.do(t, &m, origin, replica)
			out, err := doResync(t, m)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "casper") {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if !strings.Contains(out, tt.out) {
				t.Errorf("output %q, want %q", out, tt.out)
			}
		})
	}
}

func TestResyncCancelled(t *testing.T) {
	m, _, replica := drifted(t)
	action := actions.Builtin()["resync"]
	plan, err := action.Plan(t.Context(), m, map[string]string{"share": "casper"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := action.Do(ctx, m, plan.Steps[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(replica + "/x.pkg"); err != nil {
		t.Error(err)
	}
}

// What may be touched is what this machine's config says now, not what an order says.
func TestResyncKeepsToTheConfig(t *testing.T) {
	m, _, replica := drifted(t)
	action := actions.Builtin()["resync"]
	plan, err := action.Plan(t.Context(), m, map[string]string{"share": "casper"})
	if err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	for name, change := range map[string]func(*minikeeper.Step){
		"replica":    func(s *minikeeper.Step) { s.Args["replica"] = outside },
		"origin":     func(s *minikeeper.Step) { s.Args["origin"] = outside },
		"max_delete": func(s *minikeeper.Step) { s.Args["max_delete"] = "100%" },
		"share":      func(s *minikeeper.Step) { s.Args["share"] = "other" },
		"op":         func(s *minikeeper.Step) { s.Op = "remove" },
	} {
		step := plan.Steps[0]
		step.Args = map[string]string{}
		maps.Copy(step.Args, plan.Steps[0].Args)
		change(&step)
		if _, err := action.Do(t.Context(), m, step); err == nil {
			t.Errorf("a step with another %s was performed", name)
		}
	}
	if _, err := os.Stat(replica + "/c.pkg"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was copied: %v", err)
	}
}
