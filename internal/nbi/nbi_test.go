package nbi

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"howett.net/plist"

	"github.com/minikeeper/minikeeper/internal/testkit"
)

// good is the plist of an image that bootpd offers.
func good() map[string]any {
	return map[string]any{
		"Architectures": []string{"i386"},
		"BootFile":      "booter",
		"Index":         4100,
		"IsEnabled":     true,
		"IsInstall":     true,
		"Kind":          1,
		"Name":          "Install 10.10",
		"RootPath":      "NetInstall.dmg",
		"Type":          "HTTP",
	}
}

// with returns good with some keys changed; a nil value removes the key.
func with(changes map[string]any) map[string]any {
	dict := good()
	for key, value := range changes {
		if value == nil {
			delete(dict, key)
			continue
		}
		dict[key] = value
	}
	return dict
}

func encode(t testing.TB, dict map[string]any, format int) []byte {
	t.Helper()
	data, err := plist.MarshalIndent(dict, format, "\t")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// allFiles finds every file that a good image has.
func allFiles(path string) (bool, error) {
	return path == "NetInstall.dmg" || path == "i386/booter", nil
}

// TestParse holds the rules of bootpd, in the order of its source.
func TestParse(t *testing.T) {
	tests := []struct {
		name     string
		dict     map[string]any
		problems []Problem
		check    func(Image) bool
	}{
		{"good", good(), nil, func(i Image) bool { return i.ID() == 0x81001004 && i.Offered() }},
		{"IsEnabled is true if absent", with(map[string]any{"IsEnabled": nil}), nil, func(i Image) bool { return i.Enabled }},
		{"a number is no boolean", with(map[string]any{"IsEnabled": 0, "IsInstall": 1}), nil, func(i Image) bool { return i.Enabled && !i.Install }},
		{"what is disabled has no problems", with(map[string]any{"IsEnabled": false, "Index": 0, "Name": ""}), nil, func(i Image) bool { return !i.Enabled && !i.Offered() }},
		{"no name", with(map[string]any{"Name": nil}), []Problem{MissingName}, nil},
		{"empty name", with(map[string]any{"Name": ""}), []Problem{MissingName}, nil},
		{"no index", with(map[string]any{"Index": nil}), []Problem{MissingIndex}, func(i Image) bool { return i.ID() == 0 }},
		{"index 0", with(map[string]any{"Index": 0}), []Problem{InvalidIndex}, nil},
		{"index 65535", with(map[string]any{"Index": 65535}), nil, func(i Image) bool { return i.Index == 65535 }},
		{"index 65536", with(map[string]any{"Index": 65536}), []Problem{InvalidIndex}, func(i Image) bool { return i.Index == 0 }},
		{"negative index", with(map[string]any{"Index": -1}), []Problem{InvalidIndex}, nil},
		{"index as text", with(map[string]any{"Index": "4100"}), []Problem{InvalidIndex}, nil},
		{"index as a whole real number", with(map[string]any{"Index": 4100.0}), nil, func(i Image) bool { return i.Index == 4100 }},
		{"index as a broken number", with(map[string]any{"Index": 4100.5}), []Problem{InvalidIndex}, nil},
		{"a huge index", with(map[string]any{"Index": uint64(1) << 63}), []Problem{InvalidIndex}, nil},
		{"kind of NFS", with(map[string]any{"Kind": nil, "Type": "NFS"}), nil, func(i Image) bool { return i.Kind == KindMacOSX }},
		{"kind out of range counts as absent", with(map[string]any{"Kind": 128}), nil, func(i Image) bool { return i.Kind == KindMacOSX }},
		{"kind that fits but has no name", with(map[string]any{"Kind": 127}), nil, func(i Image) bool { return i.Kind.String() == "127" && i.ID() == 0xff001004 }},
		{"no type", with(map[string]any{"Type": nil}), []Problem{InvalidType}, nil},
		{"type in other letters", with(map[string]any{"Type": "http"}), []Problem{InvalidType}, func(i Image) bool { return i.Type == "" }},
		{"boot file only", with(map[string]any{"Type": "BootFileOnly", "RootPath": nil}), nil, func(i Image) bool { return i.Type == "BootFileOnly" }},
		{"boot file only has no default kind", with(map[string]any{"Type": "BootFileOnly", "Kind": nil}), []Problem{InvalidKind}, nil},
		{"architectures absent is PowerPC", with(map[string]any{"Architectures": nil}), []Problem{MissingBootFile}, func(i Image) bool { return cmp.Equal(i.Architectures, []string{"ppc"}) }},
		{"architectures empty", with(map[string]any{"Architectures": []string{}}), []Problem{EmptyArchitectures}, nil},
		{"architectures is no list", with(map[string]any{"Architectures": "i386"}), []Problem{EmptyArchitectures}, nil},
		{"a second architecture without a boot file", with(map[string]any{"Architectures": []string{"i386", "ppc"}}), []Problem{MissingBootFile}, nil},
		{"PowerPC's boot file in the folder itself", with(map[string]any{"Architectures": nil, "BootFile": "NetInstall.dmg"}), nil, func(i Image) bool { return i.bootFiles[0].path == "NetInstall.dmg" }},
		{"a bare boot file is for PowerPC only", with(map[string]any{"BootFile": "NetInstall.dmg"}), []Problem{MissingBootFile}, nil},
		{"no boot file named", with(map[string]any{"BootFile": nil}), []Problem{MissingBootFile}, nil},
		{"empty filters count as absent", with(map[string]any{"EnabledSystemIdentifiers": []string{}, "DisabledMACAddresses": []string{}}), nil, nil},
		{"models as text", with(map[string]any{"EnabledSystemIdentifiers": "Macmini6,1"}), []Problem{InvalidFilter}, nil},
		{"addresses", with(map[string]any{"EnabledMACAddresses": []string{"0:1b:63:a:b:c"}}), nil, nil},
		{"an address that is none", with(map[string]any{"EnabledMACAddresses": []string{"00:1b:63"}}), []Problem{InvalidFilter}, nil},
		{"what bootpd does not read", with(map[string]any{"DisabledSystemIdentifiers": "anything", "osVersion": 1}), nil, nil},
		{"no root path", with(map[string]any{"RootPath": nil}), []Problem{MissingRootPath}, nil},
		{"root path without a file", with(map[string]any{"RootPath": "Other.dmg"}), []Problem{MissingRootPath}, nil},
		{"root path on another NFS server", with(map[string]any{"Type": "NFS", "RootPath": "10.1.0.4:/Library/NetBoot/NetBootSP0:A.nbi/A.dmg"}), nil, func(i Image) bool { return i.remoteRoot }},
		{"an NFS path is no HTTP path", with(map[string]any{"RootPath": "10.1.0.4:/Library/NetBoot"}), []Problem{MissingRootPath}, nil},
		{"root path on another web server", with(map[string]any{"RootPath": "http://mk:geheim@10.1.0.4:8080/A.dmg"}), nil, func(i Image) bool {
			return i.remoteRoot && i.RootPath == "http://redacted@10.1.0.4:8080/A.dmg"
		}},
		{"Classic without its shared image", with(map[string]any{"Type": "Classic", "Kind": nil}), []Problem{MissingSharedImage}, func(i Image) bool { return i.Kind == KindOS9 }},
		{"Classic", with(map[string]any{"Type": "Classic", "SharedImage": "NetInstall.dmg", "RootPath": nil}), nil, nil},
		{"several problems", with(map[string]any{"Name": nil, "Index": 0, "Type": nil, "BootFile": nil}), []Problem{MissingName, InvalidIndex, InvalidType, MissingBootFile}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, format := range []int{plist.XMLFormat, plist.BinaryFormat} {
				i := parse(encode(t, tt.dict, format), allFiles)
				if diff := cmp.Diff(tt.problems, i.Problems); diff != "" {
					t.Errorf("%s (-want +got):\n%s", plist.FormatNames[format], diff)
				}
				if tt.check != nil && !tt.check(i) {
					t.Errorf("%s: %+v", plist.FormatNames[format], i)
				}
				if !i.Readable {
					t.Errorf("%s: not readable", plist.FormatNames[format])
				}
			}
		})
	}
}

func TestParseWhatIsNoPlist(t *testing.T) {
	for name, data := range map[string]string{
		"empty":                "",
		"text":                 "hello",
		"old style":            "{ Name = x; Index = 4100; }",
		"an array":             "<plist version=\"1.0\"><array/></plist>",
		"cut off":              string(encode(t, good(), plist.XMLFormat)[:200]),
		"binary, cut off":      string(encode(t, good(), plist.BinaryFormat)[:60]),
		"binary, header only":  "bplist00",
		"binary, wild trailer": "bplist00" + strings.Repeat("\xff", 40),
		"too large":            string(encode(t, good(), plist.XMLFormat)) + strings.Repeat(" ", plistLimit),
	} {
		i := parse([]byte(data), allFiles)
		if i.Readable || !cmp.Equal(i.Problems, []Problem{UnreadablePlist}) {
			t.Errorf("%s: %+v, want unreadable", name, i)
		}
	}
}

func TestProblemsIsTheWholeList(t *testing.T) {
	source, err := os.ReadFile("image.go")
	if err != nil {
		t.Fatal(err)
	}
	if declared := strings.Count(string(source), " Problem = \""); declared != len(Problems()) {
		t.Errorf("%d problems declared, Problems returns %d", declared, len(Problems()))
	}
	if all := Problems(); len(slices.Compact(slices.Sorted(slices.Values(all)))) != len(all) {
		t.Errorf("a problem is listed twice: %v", all)
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"NetInstall.dmg":                        "NetInstall.dmg",
		"10.1.0.4:/Library/NetBoot:A.dmg":       "10.1.0.4:/Library/NetBoot:A.dmg",
		"http://10.1.0.4/A.dmg":                 "http://10.1.0.4/A.dmg",
		"http://user:geheim@10.1.0.4/A.dmg":     "http://redacted@10.1.0.4/A.dmg",
		"http://user:ge@h/eim@10.1.0.4:80/A":    "http://redacted@10.1.0.4:80/A",
		"HTTP://user:geheim@10.1.0.4/A.dmg":     "HTTP://redacted@10.1.0.4/A.dmg",
		"afp://user:geheim@10.1.0.4/Volume/A@B": "afp://redacted@B",
	} {
		if got := redact(in); got != want {
			t.Errorf("redact(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestImageID holds the numbers on the wire, computed from Apple's bsdp.h.
func TestImageID(t *testing.T) {
	tests := []struct {
		index   int
		kind    Kind
		install bool
		want    uint32
	}{
		{1, KindMacOSX, false, 0x01000001},
		{45, KindMacOSX, true, 0x8100002d},
		{1082, KindServer, true, 0x8200043a},
		{4095, KindMacOSX, false, 0x01000fff},
		{4096, KindMacOSX, false, 0x01001000},
		{65535, KindDiagnostics, false, 0x0300ffff},
		{0, KindMacOSX, true, 0},
		{65536, KindMacOSX, true, 0},
	}
	for _, tt := range tests {
		if got := (Image{Index: tt.index, Kind: tt.kind, Install: tt.install}).ID(); got != tt.want {
			t.Errorf("index %d kind %v install %v: %#08x, want %#08x", tt.index, tt.kind, tt.install, got, tt.want)
		}
	}
}

func TestRecordedIDs(t *testing.T) {
	data, err := os.ReadFile(testkit.Samples(t, "netboot/bsdp-image-id-vectors.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(data)) {
		fields := strings.Split(line, "\t")
		if strings.HasPrefix(line, "#") || len(fields) < 4 {
			continue
		}
		index, _ := strconv.Atoi(fields[0])
		kind, _ := strconv.Atoi(fields[1]) // "-" of the null id is 0
		want, err := strconv.ParseUint(fields[3], 0, 32)
		if err != nil {
			t.Fatal(err)
		}
		seen++
		if got := (Image{Index: index, Kind: Kind(kind), Install: fields[2] == "1"}).ID(); got != uint32(want) {
			t.Errorf("%s: %#08x", strings.TrimSpace(line), got)
		}
	}
	if seen < 7 {
		t.Errorf("%d vectors only", seen)
	}
}

func TestRecordedPlists(t *testing.T) {
	files := func(string) (bool, error) { return true, nil }
	tests := []struct {
		sample  string
		name    string
		id      uint32
		enabled bool
	}{
		{"NBImageInfo-deploystudio-10.8-index1082.plist", "DeployStudio-10.8", 0x8200043a, true},
		{"SYNTHETIC-NBImageInfo-loadbalanced-index4100.plist", "CasperNetInstall-10.10", 0x81001004, true},
		{"SYNTHETIC-NBImageInfo-index0-disabled.plist", "CasperNetInstall-10.10", 0, false},
	}
	for _, tt := range tests {
		data, err := os.ReadFile(testkit.Samples(t, "netboot/"+tt.sample))
		if err != nil {
			t.Fatal(err)
		}
		i := parse(data, files)
		if i.Name != tt.name || i.ID() != tt.id || i.Enabled != tt.enabled || len(i.Problems) != 0 {
			t.Errorf("%s: %+v", tt.sample, i)
		}
		changed, old, err := replaceIndex(data, 5000)
		if err != nil || old != int(tt.id&0xffff) {
			t.Errorf("%s: old index %d, %v", tt.sample, old, err)
		}
		if want := strings.Replace(string(data), "<integer>"+strconv.Itoa(old)+"</integer>", "<integer>5000</integer>", 1); string(changed) != want {
			t.Errorf("%s: more than the number changed:\n%s", tt.sample, cmp.Diff(want, string(changed)))
		}
	}
}

// nest writes an image into root and returns its folder.
func nest(t testing.TB, root, folder string, dict map[string]any, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(root, folder)
	put(t, filepath.Join(dir, plistName), string(encode(t, dict, plist.XMLFormat)))
	for name, content := range files {
		put(t, filepath.Join(dir, name), content)
	}
	return dir
}

func put(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// usual are the files of a good image.
func usual(content string) map[string]string {
	return map[string]string{"NetInstall.dmg": content, "i386/booter": "booter"}
}
