package demo

import (
	"fmt"
	"math/rand/v2"
	"mime"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// packages are the files of the share, with their sizes in KiB.
var packages = map[string]int{ //nolint:gochecknoglobals // a constant that the language has no form for
	"Packages/Chrome-47.pkg":                 640,
	"Packages/Office-2016.pkg":               2048,
	"Packages/Xcode-7.2.dmg":                 4096,
	"Packages/Firefox ESR 38.dmg":            512,
	"Packages/Printer Drivers.pkg":           128,
	"Scripts/enrol.sh":                       2,
	"Scripts/remove-adware.sh":               3,
	"CasperShare settings.xml":               1,
	"JSS/com.example.enrolment.mobileconfig": 9,
}

// shareTime is when every file of the share was last changed: origin and
// replicas must agree to the nanosecond.
func shareTime() time.Time { return time.Date(2015, 11, 30, 22, 0, 0, 0, time.UTC) }

// makeShare fills dir with packages whose bytes depend on their names only, so
// that the origin and its copies are equal.
func makeShare(dir string) error {
	for name, size := range packages {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("make share: %w", err)
		}
		if err := os.WriteFile(path, noise(name, size<<10), 0o644); err != nil {
			return fmt.Errorf("make share: %w", err)
		}
		if err := os.Chtimes(path, shareTime(), shareTime()); err != nil {
			return fmt.Errorf("make share: %w", err)
		}
	}
	return sameFolderTimes(dir)
}

// sameFolderTimes gives all folders of the share one time.
func sameFolderTimes(dir string) error {
	for name := range packages {
		for folder := filepath.Dir(filepath.FromSlash(name)); ; folder = filepath.Dir(folder) {
			if err := os.Chtimes(filepath.Join(dir, folder), shareTime(), shareTime()); err != nil {
				return fmt.Errorf("make share: %w", err)
			}
			if folder == "." {
				break
			}
		}
	}
	return nil
}

// noise returns n bytes that look random and depend on seed only.
func noise(seed string, n int) []byte {
	var key [32]byte
	copy(key[:], seed)
	b := make([]byte, n)
	if _, err := rand.NewChaCha8(key).Read(b); err != nil {
		panic(err) // documented never to happen
	}
	return b
}

// imagePlist is an NBImageInfo.plist with name and index to be filled in.
const imagePlist = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Architectures</key>
	<array>
		<string>i386</string>
	</array>
	<key>BootFile</key>
	<string>booter</string>
	<key>Index</key>
	<integer>%d</integer>
	<key>IsDefault</key>
	<false/>
	<key>IsEnabled</key>
	<true/>
	<key>IsInstall</key>
	<true/>
	<key>Kind</key>
	<integer>1</integer>
	<key>Name</key>
	<string>%s</string>
	<key>RootPath</key>
	<string>NetInstall.dmg</string>
	<key>Type</key>
	<string>HTTP</string>
</dict>
</plist>
`

// makeImage writes a NetBoot image called name below root.
func makeImage(root, name string, index int) error {
	nbi := filepath.Join(root, name+".nbi")
	for file, content := range map[string][]byte{
		"i386/booter":       noise("booter of "+name, 64<<10),
		"NetInstall.dmg":    noise("image of "+name, 512<<10),
		"NBImageInfo.plist": fmt.Appendf(nil, imagePlist, index, name),
	} {
		path := filepath.Join(nbi, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("make NetBoot image: %w", err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return fmt.Errorf("make NetBoot image: %w", err)
		}
	}
	return nil
}

// setMirror has the server's diskutil print the embedded file called name.
func setMirror(s *Server, name string) error {
	return copyFile(name, mirrorList(s), 0o644)
}

func mirrorList(s *Server) string { return filepath.Join(s.Dir, "bin", "appleRAID-list.txt") }

// subject returns the subject of a mail as people read it.
func subject(h mail.Header) string {
	raw := h.Get("Subject")
	decoded, err := new(mime.WordDecoder).DecodeHeader(raw)
	if err != nil {
		return raw
	}
	return strings.TrimSpace(decoded)
}
