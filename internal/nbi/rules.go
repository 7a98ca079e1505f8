package nbi

import (
	"errors"
	"strings"
)

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
