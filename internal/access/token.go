package access

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// minToken is the length of the shortest token that is taken from a file, in
// characters; crypto/rand.Text makes 26.
const minToken = 20

// LoadOrCreateToken returns the local token in the file at path, and makes the
// file with a random one if there is none. The folder must exist. A file that
// others can read, that belongs to somebody else, or that is not a plain file
// is refused: its content may be known to others.
func LoadOrCreateToken(path string) (string, error) {
	if err := createToken(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("create token: %w", err)
	}
	token, owner, err := readToken(path)
	if err != nil {
		return "", err
	}
	if me := os.Geteuid(); owner != me {
		return "", fmt.Errorf("read token %s: it belongs to user %d, not to %d", path, owner, me)
	}
	return token, nil
}

// LoadToken returns the token in the file at path, for a client that calls
// the server on the same machine. It makes no file, and does not ask who owns
// it: root may use the token of the service's own user.
func LoadToken(path string) (string, error) {
	token, _, err := readToken(path)
	return token, err
}

// createToken writes beside and links, so that no reader sees half a token
// and two processes that start together agree on one.
func createToken(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".token-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(rand.Text() + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}

func readToken(path string) (token string, owner int, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", 0, fmt.Errorf("read token: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", 0, fmt.Errorf("read token: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", 0, fmt.Errorf("read token %s: not a plain file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", 0, fmt.Errorf("read token %s: mode %04o lets others at it: remove the file, or chmod 600 it if nobody has read it", path, mode)
	}
	src, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", 0, fmt.Errorf("read token: %w", err)
	}
	token = strings.TrimSpace(string(src))
	if len(token) < minToken {
		return "", 0, fmt.Errorf("read token %s: shorter than %d characters: remove the file to get a new one", path, minToken)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", 0, fmt.Errorf("read token %s: this system does not tell who owns it", path)
	}
	return token, int(stat.Uid), nil
}
