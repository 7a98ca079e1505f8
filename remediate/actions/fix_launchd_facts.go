package actions

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/launchd"
)

// plistFacts are what a plan for one property list depends on.
type plistFacts struct {
	label    string
	path     string // as the machine knows it
	uid, gid uint32
	mode     fs.FileMode
	open     bool // somebody else than root may put files into its folder
	sum      string
	plist    launchd.Plist
	parseErr error
	job      *launchd.Job // nil if launchd does not know the job
	disabled bool
}

// lookAtPlist finds the job's property list and asks launchd about the job.
func lookAtPlist(ctx context.Context, m Machine, label string) (plistFacts, error) {
	facts, err := findPlist(m, label)
	if err != nil {
		return plistFacts{}, err
	}
	c := minikeeper.Command{Path: launchctl(m), Args: []string{"print", "system/" + label}}
	res, err := m.Run.Run(ctx, c)
	switch {
	case err != nil:
		return plistFacts{}, err
	case res.Exit == launchd.NotFound:
	case res.Exit != 0:
		return plistFacts{}, exitError(c, res)
	default:
		job, err := launchd.ParsePrint(string(res.Stdout))
		if err != nil {
			return plistFacts{}, err
		}
		facts.job = &job
	}
	facts.disabled, err = turnedOff(ctx, m, label, facts.plist)
	return facts, err
}

// turnedOff tells whether somebody does not want the job to run.
func turnedOff(ctx context.Context, m Machine, label string, plist launchd.Plist) (bool, error) {
	c := minikeeper.Command{Path: launchctl(m), Args: []string{"print-disabled", "system"}}
	res, err := m.Run.Run(ctx, c)
	if err != nil {
		return false, err
	}
	if res.Exit != 0 {
		return false, exitError(c, res)
	}
	overrides, err := launchd.ParseDisabled(string(res.Stdout))
	if err != nil {
		return false, err
	}
	if disabled, known := overrides[label]; known {
		return disabled, nil
	}
	return plist.Disabled, nil
}

// findPlist returns the property list that is called LABEL.plist or, if there
// is none, the one with that label in it.
func findPlist(m Machine, label string) (plistFacts, error) {
	dir := daemonsDir(m)
	root, err := os.OpenRoot(filepath.Join(m.Root, dir))
	if err != nil {
		return plistFacts{}, err
	}
	defer root.Close()
	folder, err := root.Stat(".")
	if err != nil {
		return plistFacts{}, err
	}
	if _, err := root.Lstat(label + ".plist"); err == nil {
		return readFacts(root, folder, dir, label, label+".plist")
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return plistFacts{}, err
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".plist") || !entry.Type().IsRegular() {
			continue
		}
		facts, err := readFacts(root, folder, dir, label, entry.Name())
		if err == nil && facts.parseErr == nil && facts.plist.Label == label {
			return facts, nil
		}
	}
	return plistFacts{}, refuse("no property list in %s is that of %s", dir, label)
}

func readFacts(root *os.Root, folder fs.FileInfo, dir, label, name string) (plistFacts, error) {
	data, info, err := readRegular(root, name)
	if err != nil {
		return plistFacts{}, err
	}
	facts := plistFacts{label: label, path: filepath.Join(dir, name), mode: info.Mode().Perm(), sum: sumOf(data)}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		facts.uid, facts.gid = stat.Uid, stat.Gid
	}
	if stat, ok := folder.Sys().(*syscall.Stat_t); ok {
		facts.open = stat.Uid != 0 || folder.Mode().Perm()&0o022 != 0
	}
	facts.plist, facts.parseErr = launchd.ParsePlist(data)
	return facts, nil
}

// readRegular reads a regular file, and not one that a link leads to.
func readRegular(root *os.Root, name string) ([]byte, fs.FileInfo, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		if info, linkErr := root.Lstat(name); linkErr == nil && !info.Mode().IsRegular() {
			return nil, nil, refuse("%s is not a regular file", name)
		}
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, refuse("%s is not a regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, launchd.PlistLimit+1))
	return data, info, err
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func daemonsDir(m Machine) string {
	return filepath.Clean(cmp.Or(m.Launchd.DaemonsDir, "/Library/LaunchDaemons"))
}

// launchctl returns the path of launchctl, as it is configured for jobs or for
// postfix.
func launchctl(m Machine) string {
	return cmp.Or(m.Launchd.Command["launchctl"], program(m.Postfix.Command, "launchctl"))
}
