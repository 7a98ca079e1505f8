package nbi

import (
	"slices"
	"strconv"
	"strings"
)

// The range of Index, and where global ones begin.
const (
	MinGlobalIndex = 4096
	MaxIndex       = 65535
)

// A Kind is the system that an image boots.
type Kind int

// The kinds that Apple names.
const (
	KindOS9 Kind = iota
	KindMacOSX
	KindServer
	KindDiagnostics
)

// maxKind is the largest kind that fits an image id.
const maxKind = 0x7f

// String returns a word for k, or its number.
func (k Kind) String() string {
	switch k {
	case KindOS9:
		return "os9"
	case KindMacOSX:
		return "macosx"
	case KindServer:
		return "server"
	case KindDiagnostics:
		return "diagnostics"
	default:
		return strconv.Itoa(int(k))
	}
}

// A Problem is why an image that should be offered is not, or not rightly.
type Problem string

// The problems, a closed list.
const (
	UnreadablePlist    Problem = "unreadable-plist"     // no XML or binary property list with a dictionary, or too large
	MissingPlist       Problem = "missing-plist"        // no NBImageInfo.plist
	OutsideRoot        Problem = "outside-root"         // the image, or a file that it names, lies outside the share point
	MissingName        Problem = "missing-name"         // no Name, or an empty one
	MissingIndex       Problem = "missing-index"        // no Index
	InvalidIndex       Problem = "invalid-index"        // not a number from 1 to 65535
	InvalidType        Problem = "invalid-type"         // no Type that bootpd knows
	InvalidKind        Problem = "invalid-kind"         // no Kind, of a type without a default one
	EmptyArchitectures Problem = "empty-architectures"  // Architectures is there, and names none
	MissingBootFile    Problem = "missing-boot-file"    // no BootFile, or none for one of the architectures
	MissingRootPath    Problem = "missing-root-path"    // no RootPath, or no file there
	MissingSharedImage Problem = "missing-shared-image" // the same of a Classic image
	InvalidFilter      Problem = "invalid-filter"       // a list of models or addresses is none
	DuplicateIndex     Problem = "duplicate-index"      // another offered image of this server has the same id: one is dropped
	SeveralDefaults    Problem = "several-defaults"     // another offered image of this server is the default too
)

// Problems returns all problems there are.
func Problems() []Problem {
	return []Problem{
		UnreadablePlist, MissingPlist, OutsideRoot, MissingName, MissingIndex, InvalidIndex, InvalidType, InvalidKind,
		EmptyArchitectures, MissingBootFile, MissingRootPath, MissingSharedImage, InvalidFilter, DuplicateIndex, SeveralDefaults,
	}
}

// An Image is one NetBoot image as its server sees it.
type Image struct {
	NBI    string // what it is called: its folder, with the share point's name before it except in the first one
	Root   string // path of the share point
	Folder string // name of its folder in Root, such as "Install.nbi"

	Readable bool // its plist could be read; all below but Problems is unset if not

	Name          string
	Index         int // 0 if there is no valid one
	Kind          Kind
	Type          string // NFS, HTTP, Classic or BootFileOnly; "" if it is none of these
	Install       bool
	Enabled       bool // the server is to offer it
	Default       bool
	Architectures []string
	BootFile      string
	RootPath      string // as in the plist, without credentials
	LoadBalance   string // the host that serves the image in place of this one; "" is this one
	Content       string // what its files hold, set by Hasher.Hash; "" if not known

	// Problems say why an enabled image is not offered, or not rightly. A
	// disabled one has none: it is not offered anyway.
	Problems []Problem

	filtered   bool   // it is for some models only
	remoteRoot bool   // RootPath is on another server
	rootFile   string // path of the system image in Folder; "" if there is none, or it is remote
	bootFiles  []bootFile
}

// A bootFile is a boot file of one architecture; path is relative to Folder.
type bootFile struct{ arch, path string }

// ID returns the image's number on the wire: install (1 bit), kind (7),
// reserved (8), index (16). Servers tell images apart by all 32 bits. It is 0,
// which no server sends, for an image without a valid Index.
func (i Image) ID() uint32 {
	if i.Index <= 0 || i.Index > MaxIndex {
		return 0
	}
	return i.idWith(i.Index)
}

// idWith returns the id that the image would have under another index.
func (i Image) idWith(index int) uint32 {
	id := uint32(index&0xffff) | uint32(i.Kind&maxKind)<<24
	if i.Install {
		id |= 1 << 31
	}
	return id
}

// Has tells whether the image has problem p.
func (i Image) Has(p Problem) bool { return slices.Contains(i.Problems, p) }

// problem notes p once.
func (i *Image) problem(p Problem) {
	if !i.Has(p) {
		i.Problems = append(i.Problems, p)
	}
}

// redact hides what stands between a URL's scheme and its last "@": a user and
// a password, which may hold any character. A path with an "@" in it loses
// more than it has to.
func redact(rootPath string) string {
	scheme, rest, ok := strings.Cut(rootPath, "://")
	if !ok {
		return rootPath
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		rest = "redacted" + rest[at:]
	}
	return scheme + "://" + rest
}
