package actions

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/minikeeper/minikeeper/internal/launchd"
)

// ownPlist puts a copy of the property list in its place that belongs to root.
// A copy, since whoever has the old file open could write to it for ever.
func ownPlist(m Machine, plist, sum string) (string, error) {
	dir, name := filepath.Split(plist)
	if filepath.Clean(dir) != daemonsDir(m) || !filepath.IsLocal(name) {
		return "", fmt.Errorf("not a property list in %s", daemonsDir(m))
	}
	root, err := os.OpenRoot(filepath.Join(m.Root, dir))
	if err != nil {
		return "", err
	}
	defer root.Close()
	data, info, err := readRegular(root, name)
	if err != nil {
		return "", err
	}
	if sumOf(data) != sum {
		return "", errors.New("it has changed since it was looked at")
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && launchd.Secure(stat.Uid, stat.Gid, info.Mode()) {
		return name + " belongs to root already", nil
	}
	if err := replaceAsRoot(root, name, data); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s belongs to root and wheel, with mode %04o", name, launchd.Mode), nil
}

// replaceAsRoot replaces the file in one moment, and returns when that is on disk.
func replaceAsRoot(root *os.Root, name string, data []byte) error {
	temp := "." + name + "." + rand.Text()[:8]
	err := writeAsRoot(root, temp, data)
	if err == nil {
		err = root.Rename(temp, name)
	}
	if err != nil {
		if gone := root.Remove(temp); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return err
	}
	folder, err := root.Open(".")
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

func writeAsRoot(root *os.Root, name string, data []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chown(0, 0); err != nil {
		return err
	}
	if err := f.Chmod(launchd.Mode); err != nil { // after chown, which may clear bits
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}
