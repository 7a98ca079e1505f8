package nbi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// contentLength is how many hexadecimal digits of a SHA-256 name a content.
const contentLength = 16

// A Hasher tells what images hold. Reading a system image of several GB takes
// longer than a caller may have, so a Hasher remembers what it read: the hash
// of each file as long as size, modification time and inode stay, and how far
// it came with one that it could not finish, where the next call goes on. What
// it remembers is bounded by the images of the last call of Hash.
//
// The zero value is ready, and safe for use by several goroutines.
type Hasher struct {
	mu    sync.Mutex
	files map[string]*hashedFile // by share point and path in it
}

// A hashedFile is what is known of one file.
type hashedFile struct {
	id     fileID
	sum    string    // hexadecimal; "" if not finished
	begun  hash.Hash // of the first offset bytes
	offset int64
}

// A fileID changes when a file does.
type fileID struct {
	size  int64
	mtime time.Time
	inode uint64
}

func idOf(info fs.FileInfo) fileID {
	id := fileID{size: info.Size(), mtime: info.ModTime()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		id.inode = stat.Ino
	}
	return id
}

// errUnfinished says that a file could not be read in the time there was.
var errUnfinished = errors.New("not hashed yet")

// Hash sets Content of images: a hash over sizes and SHA-256 of the system
// image and of each architecture's boot file, whatever their names. A system
// image on another server stands for itself with its path. Content stays ""
// where a file is missing or changes while it is read.
//
// When ctx ends, the images that are not finished stay without Content, which
// is no error: the next call goes on there. Finished tells. The error says
// which files could not be read.
func (h *Hasher) Hash(ctx context.Context, images []Image) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := h.files
	h.files = make(map[string]*hashedFile)
	var errs []error
	for n := range images {
		i := &images[n]
		if !i.Readable || len(i.bootFiles) != len(i.Architectures) || len(i.bootFiles) == 0 {
			continue
		}
		content, err := h.content(ctx, i, known)
		if err != nil && !errors.Is(err, errUnfinished) && !errors.Is(err, errChanged) {
			errs = append(errs, err)
		}
		i.Content = content
	}
	return errors.Join(errs...)
}

// Finished tells whether the last call of Hash came to the end of every file
// that it read.
func (h *Hasher) Finished() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.files {
		if f.sum == "" {
			return false
		}
	}
	return true
}

// content returns the content of one image, "" if it has none yet.
func (h *Hasher) content(ctx context.Context, i *Image, known map[string]*hashedFile) (string, error) {
	root, err := os.OpenRoot(i.Root)
	if err != nil {
		return "", err
	}
	defer root.Close()

	var b strings.Builder
	b.WriteString("netboot image 1\n")
	switch {
	case i.rootFile != "":
		sum, err := h.file(ctx, root, i.Root, filepath.Join(i.Folder, i.rootFile), known)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "system %s\n", sum)
	case i.remoteRoot:
		fmt.Fprintf(&b, "system at %q\n", i.RootPath)
	case i.Type != "BootFileOnly":
		return "", nil
	}
	for _, boot := range i.bootFiles {
		sum, err := h.file(ctx, root, i.Root, filepath.Join(i.Folder, boot.path), known)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "boot %q %s\n", boot.arch, sum)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:])[:contentLength], nil
}

// file returns "SIZE SHA-256" of one file.
func (h *Hasher) file(ctx context.Context, root *os.Root, name, path string, known map[string]*hashedFile) (string, error) {
	f, info, err := openFile(root, path)
	if err != nil {
		return "", fmt.Errorf("hash NetBoot image: %w", err)
	}
	defer f.Close()
	key := name + "\x00" + path
	state := known[key]
	if state == nil || state.id != idOf(info) {
		state = &hashedFile{id: idOf(info), begun: sha256.New()}
	}
	h.files[key] = state
	if state.sum == "" {
		if err := state.read(ctx, f); err != nil {
			if !errors.Is(err, errUnfinished) {
				delete(h.files, key)
			}
			return "", fmt.Errorf("hash NetBoot image: %s: %w", path, err)
		}
	}
	return fmt.Sprintf("%d %s", state.id.size, state.sum), nil
}

// read hashes f from where the last call stopped.
func (s *hashedFile) read(ctx context.Context, f *os.File) error {
	if _, err := f.Seek(s.offset, io.SeekStart); err != nil {
		return err
	}
	buffer := make([]byte, 1<<20)
	for {
		if ctx.Err() != nil {
			return errUnfinished
		}
		n, err := f.Read(buffer)
		s.begun.Write(buffer[:n])
		s.offset += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if s.offset > s.id.size {
			return errChanged
		}
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if idOf(info) != s.id || s.offset != s.id.size {
		return errChanged
	}
	s.sum, s.begun = hex.EncodeToString(s.begun.Sum(nil)), nil
	return nil
}

// errChanged says that a file was written while it was read.
var errChanged = errors.New("the file changes while it is read")
