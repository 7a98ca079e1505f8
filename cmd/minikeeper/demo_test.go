package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/minikeeper/minikeeper/internal/testkit"
)

// program returns a copy of this test's binary that is minikeeper, in a folder
// that everybody may enter.
func program(t *testing.T) string {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(openDir(t), "minikeeper")
	if err := os.Link(own, path); err == nil && os.Chmod(path, 0o755) == nil {
		return path
	}
	src, err := os.Open(own)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(dst, src); err != nil {
		t.Fatal(err)
	}
	if err := dst.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// openDir is a temporary folder that every account may enter and write to.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for up := dir; up != os.TempDir() && up != filepath.Dir(up); up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestDemoOnce has the real binary break everything and heal what can be.
func TestDemoOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("the demonstration takes a quarter of a minute")
	}
	tests := []struct {
		name  string
		needs func(testing.TB)
		flags []string
		user  uint32 // 0: as who runs the test
		relay string // as the demo says
	}{
		{
			name: "real postfix", relay: `real postfix`,
			needs: func(t testing.TB) {
				testkit.Root(t)
				testkit.Peers(t, "postfix", "postqueue", "postconf")
			},
		},
		{name: "simulated relay", flags: []string{"--simulate"}, relay: `simulated: as asked`},
		{name: "not as root", needs: testkit.Root, user: 65534, relay: `simulated: .*only root can start a mail system`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.needs != nil {
				tt.needs(t)
			}
			dir := filepath.Join(openDir(t), "site")
			cmd := exec.CommandContext(t.Context(), program(t), append([]string{"demo", "--once", "--dir", dir}, tt.flags...)...)
			if tt.user != 0 {
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: tt.user, Gid: tt.user}}
				cmd.Dir = "/"
			}
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			stdout, err := cmd.Output()
			if err != nil || stderr.Len() > 0 {
				t.Fatalf("%v\n%s%s", err, stdout, stderr.Bytes())
			}
			if !regexp.MustCompile(`(?m)^a site in .*, mail relay: ` + tt.relay + `$`).Match(stdout) {
				t.Errorf("the mail relay is not %s:\n%s", tt.relay, stdout)
			}
			checkTable(t, string(stdout))
			checkSite(t, dir)
		})
	}
}

// checkTable holds the demo's table against what has to be in it.
func checkTable(t *testing.T, stdout string) {
	t.Helper()
	_, table, ok := strings.Cut(stdout, "\nfault ")
	if !ok {
		t.Fatalf("there is no table:\n%s", stdout)
	}
	columns := regexp.MustCompile(` {3,}`)
	seconds := regexp.MustCompile(`[0-9]+\.[0-9] s`)
	var got [][]string
	for line := range strings.Lines("fault " + table) {
		if line = strings.TrimSpace(line); line == "" {
			break
		}
		got = append(got, columns.Split(seconds.ReplaceAllString(line, "N s"), -1))
	}
	want := [][]string{
		{"fault", "detected after", "remedy", "outcome", "verified after", "told"},
		{"drift", "N s", "resync-drifted-replica", "healed", "N s", "mail after N s"},
		{"nbi", "N s", "reindex-clashing-nbi", "healed", "N s", "mail after N s"},
		{"postfix", "N s", "restart-postfix", "healed", "N s", "mail after N s"},
		{"raid", "N s", "-", "reported", "-", "mail after N s"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table (-want +got):\n%s\n%s", diff, stdout)
	}
}

// checkSite looks at the folders that the demo left: that it is well does not
// rest on what it says of itself.
func checkSite(t *testing.T, dir string) {
	t.Helper()
	origin := tree(t, filepath.Join(dir, "origin", "casper"))
	for _, server := range []string{"lon-mini-1", "lon-mini-2"} {
		if diff := cmp.Diff(origin, tree(t, filepath.Join(dir, server, "shares", "casper"))); diff != "" {
			t.Errorf("the share of %s differs from its origin (-origin +replica):\n%s", server, diff)
		}
	}
	index := regexp.MustCompile(`<key>Index</key>\s*<integer>(\d+)</integer>`)
	var seen []string
	for _, server := range []string{"lon-mini-1", "lon-mini-2"} {
		plist, err := os.ReadFile(filepath.Join(dir, server, "NetBoot", "NetBootSP0", "Install-"+server+".nbi", "NBImageInfo.plist"))
		if err != nil {
			t.Fatal(err)
		}
		found := index.FindSubmatch(plist)
		if found == nil || slices.Contains(seen, string(found[1])) {
			t.Errorf("image of %s has index %q, others have %q", server, found, seen)
			continue
		}
		seen = append(seen, string(found[1]))
	}
	var subjects []string
	mails, err := filepath.Glob(filepath.Join(dir, "mail", "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range mails {
		for line := range strings.Lines(readFile(t, file)) {
			if subject, ok := strings.CutPrefix(line, "Subject: "); ok {
				subjects = append(subjects, strings.TrimSpace(subject))
				break
			}
		}
	}
	for _, want := range []string{"ReplicaDrift.*healed|healed.*ReplicaDrift", "NetBootIndexClash", "MailRelayDown", "RaidNotRedundant"} {
		if !slices.ContainsFunc(subjects, regexp.MustCompile(want).MatchString) {
			t.Errorf("no mail about %s, only %q", want, subjects)
		}
	}
}

// tree maps the paths of the files below dir to their contents, but for what
// minikeeper keeps there for itself.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if entry.Name() == ".minikeeper" {
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		files[rel] = readFile(t, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no files in %s", dir)
	}
	return files
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestDemoStops asks a demo to end in the middle of its story: it does so at
// once, says what it was waiting for, and does not claim that all went well.
func TestDemoStops(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t), "demo", "--once", "--simulate", "--dir", filepath.Join(t.TempDir(), "site"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "break: ") {
			break
		}
	}
	asked := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, stdout); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != exitCannotTell {
		t.Errorf("it ended with %v, want exit status %d\n%s", err, exitCannotTell, stderr.Bytes())
	}
	if !strings.Contains(stderr.String(), "stopped while waiting for all that should happen: ") {
		t.Errorf("it said %q", stderr.String())
	}
	if took := time.Since(asked); took > 10*time.Second {
		t.Errorf("it took %v to end", took)
	}
}
