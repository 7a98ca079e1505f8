package nbi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const (
	plistName = "NBImageInfo.plist"
	suffix    = ".nbi"

	// maxImages bounds what one share point may hold. Apple's own tool is
	// unusable long before.
	maxImages = 1000
)

// CheckRoots refuses share points whose images could not be told apart: all
// but the first need a name of their own.
func CheckRoots(roots []string) error {
	names := make(map[string]string)
	for _, root := range roots {
		if !filepath.IsAbs(root) {
			return fmt.Errorf("netboot root %q must be an absolute path", root)
		}
		name := filepath.Base(root)
		if other, ok := names[name]; ok {
			return fmt.Errorf("netboot roots %q and %q have the same name", other, root)
		}
		names[name] = root
	}
	return nil
}

// Scan reads the images in the share points, in order of root and folder. What
// is wrong with an image is among its Problems and hides no other image; the
// error tells which share points could not be read. Content is left empty.
func Scan(ctx context.Context, roots []string) ([]Image, error) {
	if err := CheckRoots(roots); err != nil {
		return nil, err
	}
	var images []Image
	var errs []error
	for n, root := range roots {
		found, err := scanRoot(ctx, root)
		if err != nil {
			errs = append(errs, fmt.Errorf("scan NetBoot images in %s: %w", root, err))
		}
		for _, image := range found {
			if n > 0 {
				image.NBI = filepath.Base(root) + "/" + image.NBI
			}
			images = append(images, image)
		}
	}
	markDuplicates(images)
	return images, errors.Join(errs...)
}

// Find returns the image that is called nbi.
func Find(images []Image, nbi string) (Image, bool) {
	for _, i := range images {
		if i.NBI == nbi {
			return i, true
		}
	}
	return Image{}, false
}

// scanRoot reads the images in one share point.
func scanRoot(ctx context.Context, path string) ([]Image, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, err
	}
	var images []Image
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return images, context.Cause(ctx)
		}
		if !strings.HasSuffix(entry.Name(), suffix) {
			continue
		}
		if len(images) == maxImages {
			return images, fmt.Errorf("more than %d images", maxImages)
		}
		if image, ok := readImage(root, entry.Name()); ok {
			image.NBI, image.Root, image.Folder = strings.ToValidUTF8(entry.Name(), "?"), path, entry.Name()
			images = append(images, image)
		}
	}
	return images, nil
}

// readImage reads the image in folder; not ok means that it is none, but a
// file of such a name.
func readImage(root *os.Root, folder string) (Image, bool) {
	info, err := root.Stat(folder)
	switch {
	case err != nil:
		return Image{Problems: []Problem{unreadable(outside(err))}}, true
	case !info.IsDir():
		return Image{}, false
	}
	data, err := readPlist(root, folder)
	if err != nil {
		return Image{Problems: []Problem{unreadable(err)}}, true
	}
	return parse(data, func(path string) (bool, error) { return isFile(root, filepath.Join(folder, path)) }), true
}

// unreadable says which problem it is that a folder or its plist cannot be read.
func unreadable(err error) Problem {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return MissingPlist
	case errors.Is(err, errOutside):
		return OutsideRoot
	default:
		return UnreadablePlist
	}
}

// readPlist reads the image's plist, unless it is too large.
func readPlist(root *os.Root, folder string) ([]byte, error) {
	f, _, err := openFile(root, filepath.Join(folder, plistName))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, plistLimit+1))
	if err == nil && len(data) > plistLimit {
		err = fmt.Errorf("more than %d bytes", plistLimit)
	}
	return data, err
}

// isFile tells whether a regular file lies at path in root.
func isFile(root *os.Root, path string) (bool, error) {
	info, err := root.Stat(path)
	if err != nil {
		return false, outside(err)
	}
	return info.Mode().IsRegular(), nil
}

// openFile opens the regular file at path in root. It does not wait for
// somebody to write into a pipe of that name.
func openFile(root *os.Root, path string) (*os.File, fs.FileInfo, error) {
	f, err := root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, outside(err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// outside turns os.Root's refusal into errOutside. It has no error of its own
// that could be asked for, so what is not the system's word is taken for one.
func outside(err error) error {
	if _, ok := errors.AsType[syscall.Errno](err); ok || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w: %w", errOutside, err)
}

// markDuplicates notes what a server does not accept of its images together.
// Which of two images of one id is dropped depends on the order in which the
// folder lists them, so both have the problem. A default image for some models
// only is no rival to the default for all.
func markDuplicates(images []Image) {
	byID := make(map[uint32][]*Image)
	var defaults []*Image
	for n := range images {
		i := &images[n]
		if !i.Offered() {
			continue
		}
		byID[i.ID()] = append(byID[i.ID()], i)
		if i.Default && !i.filtered {
			defaults = append(defaults, i)
		}
	}
	for _, same := range byID {
		if len(same) > 1 {
			for _, i := range same {
				i.problem(DuplicateIndex)
			}
		}
	}
	if len(defaults) > 1 {
		for _, i := range defaults {
			i.problem(SeveralDefaults)
		}
	}
}

// Offered tells whether the server offers the image, as far as its own plist
// and files go.
func (i Image) Offered() bool {
	return i.Readable && i.Enabled && !slices.ContainsFunc(i.Problems, func(p Problem) bool {
		return p != DuplicateIndex && p != SeveralDefaults
	})
}
