package collectors

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/minikeeper/minikeeper/internal/launchd"
)

// maxJobFiles bounds how many property lists one folder may hold.
const maxJobFiles = 1000

// A jobFile is a property list on disk.
type jobFile struct {
	found    bool
	secure   bool
	plist    launchd.Plist
	readErr  error // it is there and cannot be read
	parseErr error // it can be read, and launchd could not make a job of it
}

// readFolder reads the property lists of the folder, by the label in them. One
// that has none is found by its name.
func (l *launchdJobs) readFolder() (map[string]jobFile, error) {
	entries, err := os.ReadDir(l.deps.path(l.settings.DaemonsDir))
	if err != nil {
		return nil, fmt.Errorf("read launchd jobs: %w", err)
	}
	files := make(map[string]jobFile)
	for _, entry := range entries {
		stem, ok := strings.CutSuffix(entry.Name(), ".plist")
		if !ok || !launchd.ValidLabel(stem) {
			continue // launchd does not look at it
		}
		if len(files) == maxJobFiles {
			return files, fmt.Errorf("read launchd jobs: more than %d in %s", maxJobFiles, l.settings.DaemonsDir)
		}
		file := l.readPlist(filepath.Join(l.settings.DaemonsDir, entry.Name()))
		label := stem
		if file.plist.Label != "" {
			label = file.plist.Label
		}
		if _, taken := files[label]; !taken || label == stem { // of two that claim a label, the one that is called so
			files[label] = file
		}
	}
	return files, nil
}

// readPlist reads the property list that the machine knows as path.
func (l *launchdJobs) readPlist(path string) jobFile {
	data, info, err := readBounded(l.deps.path(path), launchd.PlistLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return jobFile{}
	}
	file := jobFile{found: info != nil}
	if info != nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			file.secure = launchd.Secure(stat.Uid, stat.Gid, info.Mode())
		}
	}
	if err != nil {
		file.readErr = fmt.Errorf("read %s: %w", path, err)
		return file
	}
	file.plist, file.parseErr = launchd.ParsePlist(data)
	return file
}

// readBounded reads a regular file up to a byte more than limit, and does not
// wait for somebody to write into a pipe. What is known of a file that cannot
// be read is returned beside the error.
func readBounded(path string, limit int64) ([]byte, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		info, statErr := os.Stat(path)
		if statErr != nil {
			return nil, nil, err
		}
		return nil, info, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, info, errors.New("not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	return data, info, err
}
