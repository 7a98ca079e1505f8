package nbi

import (
	"bytes"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"howett.net/plist"
)

// backupName is where SetIndex leaves the plist as it was, if asked to.
const backupName = plistName + ".minikeeper-old"

// ErrChanged says that an image's index is not what the caller saw.
var ErrChanged = errors.New("the image's index has changed meanwhile")

// SetIndex gives the image in folder of the share point root the index to, if
// it has the index from (0 stands for none that is valid), and returns the one
// that it had. An image that has to already is left alone. Calling it again
// with from and to exchanged undoes it.
//
// XML stays XML, of which nothing but the number changes; binary stays binary.
// Owner and mode stay, extended attributes do not. The plist is replaced in
// one moment and is on disk before SetIndex returns. With backup, the plist as
// it was is kept beside it as NBImageInfo.plist.minikeeper-old.
func SetIndex(root, folder string, from, to int, backup bool) (old int, err error) {
	if to < 1 || to > MaxIndex {
		return 0, fmt.Errorf("set index of %s: %d is not from 1 to %d", folder, to, MaxIndex)
	}
	if folder != filepath.Base(folder) || !strings.HasSuffix(folder, suffix) {
		return 0, fmt.Errorf("set index of %q: not the name of an image's folder", folder)
	}
	share, err := os.OpenRoot(root)
	if err != nil {
		return 0, fmt.Errorf("set index of %s: %w", folder, err)
	}
	defer share.Close()
	old, err = setIndex(share, folder, from, to, backup)
	if err != nil {
		return old, fmt.Errorf("set index of %s to %d: %w", folder, to, err)
	}
	return old, nil
}

func setIndex(share *os.Root, folder string, from, to int, backup bool) (old int, err error) {
	path := filepath.Join(folder, plistName)
	info, err := share.Lstat(path)
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is no regular file", plistName) // a link would be replaced, not what it leads to
	}
	data, err := readPlist(share, folder)
	if err != nil {
		return 0, err
	}
	changed, old, err := replaceIndex(data, to)
	switch {
	case err != nil:
		return old, err
	case old == to:
		return old, nil
	case old != from:
		return old, fmt.Errorf("%w: it is %d, not %d", ErrChanged, old, from)
	}
	if backup {
		if err := writeFile(share, filepath.Join(folder, backupName), data, info); err != nil {
			return old, err
		}
	}
	return old, writeFile(share, path, changed, info)
}

// replaceIndex returns data with another index, and the index that it had (0
// if none that is valid). That nothing else is different is checked by reading
// the result.
func replaceIndex(data []byte, index int) (changed []byte, old int, err error) {
	dict, format, err := decode(data)
	if err != nil {
		return nil, 0, err
	}
	if n, ok := intOf(dict["Index"]); ok && n > 0 && n <= MaxIndex {
		old = n
	}
	want := maps.Clone(dict)
	want["Index"] = uint64(index)
	if format == formatBinary {
		changed, err = plist.Marshal(want, plist.BinaryFormat)
	} else {
		changed, err = replaceInXML(data, index)
	}
	if err != nil {
		return nil, old, fmt.Errorf("change property list: %w", err)
	}
	got, gotFormat, err := decode(changed)
	if err != nil || gotFormat != format || !reflect.DeepEqual(got, want) {
		return nil, old, errors.New("change property list: it would not read back as it should")
	}
	return changed, old, nil
}

// A span is a part of a document, by byte offsets.
type span struct{ start, end int64 }

// replaceInXML puts index in place of the value of each "Index" key of the
// document's outermost dictionary, or adds the key at its end.
func replaceInXML(data []byte, index int) ([]byte, error) {
	values, end, err := findIndex(data)
	if err != nil {
		return nil, err
	}
	number := "<integer>" + strconv.Itoa(index) + "</integer>"
	if len(values) == 0 {
		return slices.Concat(data[:end], []byte("\t<key>Index</key>\n\t"+number+"\n"), data[end:]), nil
	}
	var b bytes.Buffer
	at := int64(0)
	for _, v := range values {
		b.Write(data[at:v.start])
		b.WriteString(number)
		at = v.end
	}
	b.Write(data[at:])
	return b.Bytes(), nil
}

// findIndex returns where the values of "Index" keys of the outermost
// dictionary are, and where that dictionary's end tag begins.
func findIndex(data []byte) (values []span, end int64, err error) {
	d := xml.NewDecoder(bytes.NewReader(data))
	// Tags are ASCII in every encoding that a plist is written in but UTF-16,
	// which the decoder refuses.
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	isIndex := false // of the key before
	for depth := 0; ; {
		start := d.InputOffset()
		token, err := d.Token()
		if err != nil {
			return nil, 0, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth < 2 { // plist, dict
				depth++
				continue
			}
			var text struct {
				Data string `xml:",chardata"`
			}
			if err := d.DecodeElement(&text, &t); err != nil {
				return nil, 0, err
			}
			if isIndex {
				values = append(values, span{start, d.InputOffset()})
			}
			isIndex = !isIndex && t.Name.Local == "key" && text.Data == "Index"
		case xml.EndElement:
			return values, start, nil // the first end tag that is not an entry's own
		}
	}
}

// writeFile replaces the file at path in one moment by one with content data,
// and owner and mode of like. It returns when that is on disk: without the
// folder's own fsync the old name could be back after a power cut.
func writeFile(share *os.Root, path string, data []byte, like fs.FileInfo) error {
	temp := filepath.Join(filepath.Dir(path), "."+plistName+"."+rand.Text()[:8])
	err := writeTemp(share, temp, data, like)
	if err == nil {
		err = share.Rename(temp, path)
	}
	if err != nil {
		if gone := share.Remove(temp); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return err
	}
	return syncFolder(share, filepath.Dir(path))
}

func writeTemp(share *os.Root, path string, data []byte, like fs.FileInfo) error {
	f, err := share.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if stat, ok := like.Sys().(*syscall.Stat_t); ok {
		if err := f.Chown(int(stat.Uid), int(stat.Gid)); err != nil {
			return err
		}
	}
	if err := f.Chmod(like.Mode().Perm()); err != nil { // after chown, which may clear bits
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

func syncFolder(share *os.Root, path string) error {
	dir, err := share.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
