package nbi

import (
	"errors"
	"fmt"
	"math"
	"net"
	"strings"

	"howett.net/plist"
)

// plistLimit bounds a plist: a real one has 2 to 10 kB.
const plistLimit = 1 << 20

// A format is how a property list is written.
type format int

const (
	formatXML    format = plist.XMLFormat
	formatBinary format = plist.BinaryFormat
)

// decode reads a property list with a dictionary at its top. The decoder
// panics on some damaged input; that is an error like any other. Its messages
// are not passed on, since they may quote what a plist holds.
func decode(data []byte) (dict map[string]any, f format, err error) {
	defer func() {
		if recover() != nil {
			dict, f, err = nil, 0, errors.New("decode property list: damaged")
		}
	}()
	if len(data) > plistLimit {
		return nil, 0, fmt.Errorf("decode property list: more than %d bytes", plistLimit)
	}
	number, err := plist.Unmarshal(data, &dict)
	switch {
	case err != nil:
		return nil, 0, errors.New("decode property list: damaged")
	case number != plist.XMLFormat && number != plist.BinaryFormat:
		return nil, 0, errors.New("decode property list: neither XML nor binary")
	case dict == nil:
		return nil, 0, errors.New("decode property list: no dictionary")
	}
	return dict, format(number), nil
}

// files answers whether a regular file lies at path, relative to the image's
// folder. It reports errOutside for one that leaves the share point.
type files func(path string) (bool, error)

// errOutside says that a path leaves the share point.
var errOutside = errors.New("path leaves the share point")

// parse reads an image from the content of its NBImageInfo.plist, with rules
// that are bootpd's. exists tells which files there are in its folder.
func parse(data []byte, exists files) Image {
	dict, _, err := decode(data)
	if err != nil {
		return Image{Problems: []Problem{UnreadablePlist}}
	}
	i := Image{
		Readable: true,
		Enabled:  boolOf(dict["IsEnabled"], true),
		Install:  boolOf(dict["IsInstall"], false),
		Default:  boolOf(dict["IsDefault"], false),
	}
	i.LoadBalance, _ = dict["LoadBalanceServer"].(string)
	i.readName(dict)
	i.readIndex(dict)
	i.readTypeAndKind(dict)
	i.readArchitectures(dict)
	i.readFilters(dict)
	i.readSystem(dict, exists)
	i.readBootFiles(dict, exists)
	if !i.Enabled {
		i.Problems = nil
	}
	return i
}

// boolOf returns v if it is a boolean, else otherwise: bootpd takes nothing
// else for one.
func boolOf(v any, otherwise bool) bool {
	if b, ok := v.(bool); ok {
		return b
	}
	return otherwise
}

// intOf returns the 32-bit integer that v is; a real number without a fraction
// is one too.
func intOf(v any) (int, bool) {
	switch n := v.(type) {
	case uint64:
		return int(n & math.MaxInt32), n <= math.MaxInt32
	case int64:
		return int(int32(n)), n >= math.MinInt32 && n <= math.MaxInt32
	case float64:
		if n != math.Trunc(n) || math.Abs(n) > math.MaxInt32 {
			return 0, false
		}
		return int(n), true
	default:
		return 0, false
	}
}

func (i *Image) readName(dict map[string]any) {
	i.Name, _ = dict["Name"].(string)
	if i.Name == "" {
		i.problem(MissingName)
	}
}

func (i *Image) readIndex(dict map[string]any) {
	v, ok := dict["Index"]
	if !ok {
		i.problem(MissingIndex)
		return
	}
	n, ok := intOf(v)
	if !ok || n <= 0 || n > MaxIndex {
		i.problem(InvalidIndex)
		return
	}
	i.Index = n
}

// readTypeAndKind gives an image without a usable Kind that of its type.
func (i *Image) readTypeAndKind(dict map[string]any) {
	kind, known := intOf(dict["Kind"])
	known = known && kind >= 0 && kind <= maxKind
	name, _ := dict["Type"].(string)
	switch name {
	case "NFS", "HTTP":
		if !known {
			kind = int(KindMacOSX)
		}
	case "Classic":
		if !known {
			kind = int(KindOS9)
		}
	case "BootFileOnly":
		if !known {
			kind = 0
			i.problem(InvalidKind)
		}
	default:
		i.problem(InvalidType)
		if !known {
			kind = 0
		}
		name = ""
	}
	i.Type, i.Kind = name, Kind(kind)
}

// readArchitectures takes an absent list for PowerPC.
func (i *Image) readArchitectures(dict map[string]any) {
	v, ok := dict["Architectures"]
	if !ok {
		i.Architectures = []string{"ppc"}
		return
	}
	list, ok := stringsOf(v)
	if !ok || len(list) == 0 {
		i.problem(EmptyArchitectures)
		return
	}
	i.Architectures = list
}

// stringsOf returns v if it is an array of strings.
func stringsOf(v any) ([]string, bool) {
	array, ok := v.([]any)
	if !ok {
		return nil, false
	}
	list := make([]string, 0, len(array))
	for _, element := range array {
		s, ok := element.(string)
		if !ok {
			return nil, false
		}
		list = append(list, s)
	}
	return list, true
}

// readFilters checks the lists that bootpd drops an image for if they are
// none. An empty one counts as absent.
func (i *Image) readFilters(dict map[string]any) {
	if v, ok := dict["EnabledSystemIdentifiers"]; ok {
		models, ok := stringsOf(v)
		if !ok {
			i.problem(InvalidFilter)
		}
		i.filtered = len(models) > 0
	}
	for _, key := range []string{"EnabledMACAddresses", "DisabledMACAddresses"} {
		v, ok := dict[key]
		if !ok {
			continue
		}
		list, ok := stringsOf(v)
		if !ok {
			i.problem(InvalidFilter)
			continue
		}
		for _, address := range list {
			if !isMAC(address) {
				i.problem(InvalidFilter)
			}
		}
	}
}

// isMAC tells whether s is six bytes in hexadecimal with colons between them,
// where leading zeros may be missing: what ether_aton(3) takes.
func isMAC(s string) bool {
	parts := strings.Split(s, ":")
	if len(parts) != 6 {
		return false
	}
	for n, part := range parts {
		if len(part) == 1 {
			parts[n] = "0" + part
		}
	}
	_, err := net.ParseMAC(strings.Join(parts, ":"))
	return err == nil
}

// readSystem finds the system image: a file in the folder, or one on another
// server, which is named as HOST:/MOUNT[:PATH] (NFS) or as a URL (HTTP). A
// Classic image has a SharedImage, one of type BootFileOnly has none.
func (i *Image) readSystem(dict map[string]any, exists files) {
	key, missing := "RootPath", MissingRootPath
	switch i.Type {
	case "NFS", "HTTP":
	case "Classic":
		key, missing = "SharedImage", MissingSharedImage
	default:
		return
	}
	path, _ := dict[key].(string)
	if key == "RootPath" {
		i.RootPath = redact(path)
	}
	found, err := lookFor(path, exists)
	switch {
	case found:
		i.rootFile = path
	case i.Type == "NFS" && strings.Contains(path, ":"), i.Type == "HTTP" && isHTTP(path):
		i.remoteRoot = true
	case errors.Is(err, errOutside):
		i.problem(OutsideRoot)
	default:
		i.problem(missing)
	}
}

// isHTTP tells whether path begins as a URL with a host does.
func isHTTP(path string) bool {
	host, ok := strings.CutPrefix(path, "http://")
	return ok && host != "" && host[0] != '/'
}

// lookFor asks for a file by a name that a plist gave.
func lookFor(path string, exists files) (bool, error) {
	if path == "" || strings.ContainsRune(path, 0) {
		return false, nil
	}
	return exists(path)
}

// readBootFiles finds the boot file of each architecture, ARCH/BOOTFILE. Only
// PowerPC's may lie in the folder itself.
func (i *Image) readBootFiles(dict map[string]any, exists files) {
	i.BootFile, _ = dict["BootFile"].(string)
	if i.BootFile == "" {
		i.problem(MissingBootFile)
		return
	}
	for _, arch := range i.Architectures {
		path := arch + "/" + i.BootFile
		found, err := lookFor(path, exists)
		if !found && arch == "ppc" {
			path = i.BootFile
			found, err = lookFor(path, exists)
		}
		switch {
		case found:
			i.bootFiles = append(i.bootFiles, bootFile{arch, path})
		case errors.Is(err, errOutside):
			i.problem(OutsideRoot)
		default:
			i.problem(MissingBootFile)
		}
	}
}
