package collectors

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// tailLimit is how much of the end of a log is read. A run that prints the name
// of each file takes some MiB where many change.
const tailLimit = 4 << 20

// A tail is the end of a log.
type tail struct {
	text     string
	found    bool // there is such a file
	whole    bool // text is all of it
	modified time.Time
}

// quiet tells whether the log has not grown for as long as d.
func (t tail) quiet(d time.Duration) bool { return t.found && time.Since(t.modified) > d }

// readTail reads the end of the log at path. What is no regular file is
// refused: reading a pipe might never end.
func readTail(path string) (tail, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return tail{whole: true}, err
	}
	if err != nil {
		return tail{}, err
	}
	if !info.Mode().IsRegular() {
		return tail{}, fmt.Errorf("it is no file: %s", info.Mode().Type())
	}
	f, err := os.Open(path)
	if err != nil {
		return tail{}, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil { // it may have been rotated meanwhile
		return tail{}, err
	}
	from := max(info.Size()-tailLimit, 0)
	text, err := io.ReadAll(io.NewSectionReader(f, from, tailLimit))
	if err != nil {
		return tail{}, err
	}
	if from > 0 {
		text = wholeLines(text)
	}
	return tail{text: string(text), found: true, whole: from == 0, modified: info.ModTime()}, nil
}

// wholeLines drops the rest of the line that text begins in, unless there is
// no other: the summary at its end is worth reading.
func wholeLines(text []byte) []byte {
	if _, after, ok := bytes.Cut(text, []byte("\n")); ok && len(bytes.TrimSpace(after)) > 0 {
		return after
	}
	return text
}

// readRotated reads the end of what the log at path was before it was rotated:
// newsyslog begins to count at 0, logrotate at 1. Compressed ones are left
// alone.
func readRotated(path string) (tail, error) {
	var newest tail
	for _, suffix := range []string{".0", ".1"} {
		t, err := readTail(path + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return newest, fmt.Errorf("read what it was before it was rotated: %w", err)
		}
		if !newest.found || t.modified.After(newest.modified) {
			newest = t
		}
	}
	return newest, nil
}
