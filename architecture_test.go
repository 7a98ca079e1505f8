package minikeeper_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/minikeeper/minikeeper"

// mayImport is the architecture: each package and the packages of this module
// that its non-test files may import. cmd/minikeeper may import anything, and
// only it picks implementations.
var mayImport = map[string][]string{
	".":                            {},
	"collectors":                   {".", "delta", "internal/dns", "internal/launchd", "internal/nbi", "internal/postfix", "internal/propertylist", "internal/softwareupdate"},
	"delta":                        {"delta/manifest"},
	"delta/manifest":               {},
	"exporter":                     {".", "collectors", "internal/access"},
	"remediate":                    {".", "internal/calendar", "internal/matcher", "internal/strictyaml"},
	"remediate/actions":            {".", "delta", "internal/launchd", "internal/nbi", "internal/postfix", "internal/softwareupdate"},
	"rules":                        {".", "internal/strictyaml"},
	"internal/access":              {},
	"internal/calendar":            {},
	"internal/command":             {"."},
	"internal/command/commandtest": {"."},
	"internal/config":              {"internal/calendar", "internal/matcher", "internal/segments", "internal/strictyaml"},
	"internal/dns":                 {},
	"internal/dns/dnstest":         {},
	"internal/journal":             {".", "remediate"},
	"internal/keeper":              {".", "remediate/actions"},
	"internal/launchd":             {"internal/propertylist"},
	"internal/matcher":             {},
	"internal/nbi":                 {},
	"internal/notify":              {".", "internal/matcher"},
	"internal/bsdp":                {},
	"internal/probes":              {".", "internal/bsdp"},
	"internal/segments":            {"."},
	"internal/jamf":                {".", "internal/segments"},
	"internal/propertylist":        {},
	"internal/postfix":             {},
	"internal/postfix/instance":    {".", "internal/postfix"},
	"internal/api":                 {".", "internal/access", "remediate"},
	"internal/postfix/postfixtest": {"internal/command", "internal/postfix/instance", "internal/testkit"},
	"internal/softwareupdate":      {},
	"internal/snmp":                {".", "internal/access", "internal/snmp/poll", "internal/snmp/snmpyml"},
	"internal/snmp/poll":           {},
	"internal/snmp/snmpyml":        {"internal/strictyaml"},
	"internal/snmpsim":             {},
	"internal/strictyaml":          {},
	"internal/testkit":             {},
	"internal/demo":                {".", "internal/postfix/instance"},
	"internal/web":                 {"."},
	"internal/topology":            {"."},
}

// TestArchitecture holds the imports of every package against mayImport.
func TestArchitecture(t *testing.T) {
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && file != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "tools") {
			return filepath.SkipDir
		}
		if filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		checkImports(t, filepath.ToSlash(file))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkImports(t *testing.T, file string) {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	from := path.Dir(file)
	if strings.HasPrefix(from, "cmd/") {
		return
	}
	allowed, known := mayImport[from]
	if !known {
		t.Errorf("%s: package %s has no place in the architecture", file, from)
		return
	}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		to, ours := strings.CutPrefix(imported, module)
		if !ours {
			continue
		}
		to = strings.TrimPrefix(to, "/")
		if to == "" {
			to = "."
		}
		if !slices.Contains(allowed, to) {
			t.Errorf("%s may not import %s", file, to)
		}
	}
}
