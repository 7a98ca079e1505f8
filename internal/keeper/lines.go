package keeper

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A lineFile is a file that whole lines are appended to. What append took is on
// disk; what it did not take is not in the file.
type lineFile struct {
	file  *os.File
	size  int64 // of what was taken
	dirty bool  // more than size bytes may be in the file
}

// openLines opens the file at path, of which size bytes are whole lines. What
// follows them was being written when the machine stopped, so nobody relied
// on it: it is cut off before the next line.
func openLines(path string, size int64) (*lineFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	// Without its name on disk the file would be gone after a power cut.
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &lineFile{file: f, size: size, dirty: true}, nil
}

// append writes lines and waits until they are on disk.
func (l *lineFile) append(lines []line) error {
	data, err := marshal(lines)
	if err != nil {
		return err
	}
	if l.dirty {
		if err := l.file.Truncate(l.size); err != nil {
			return err
		}
	}
	l.dirty = true
	if _, err := l.file.WriteAt(data, l.size); err != nil {
		return err
	}
	if err := l.file.Sync(); err != nil {
		return err
	}
	l.size += int64(len(data))
	l.dirty = false
	return nil
}

func (l *lineFile) close() error { return l.file.Close() }

// readLines returns the lines of the file at path and how many bytes they
// take. A last line that has no end was never relied on; any other line that
// cannot be read is an error.
func readLines(path string) ([]line, int64, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	var (
		lines []line
		good  int64
	)
	for {
		text, _, whole := bytes.Cut(data[good:], []byte("\n"))
		if !whole {
			return lines, good, nil
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, 0, fmt.Errorf("%s:%d: %w", path, len(lines)+1, err)
		}
		lines = append(lines, l)
		good += int64(len(text)) + 1
	}
}

// syncDir puts the names in a folder on disk.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
