package config_test

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/minikeeper/minikeeper/internal/config"
	"github.com/minikeeper/minikeeper/internal/strictyaml"
)

// TestReference parses the reference and demands that it has every key that
// the types have. That it has no others is what parsing it says.
func TestReference(t *testing.T) {
	if _, err := config.Parse("reference.yml", []byte(config.Reference()), env, known()); err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(config.Reference()), &doc); err != nil {
		t.Fatal(err)
	}
	demand(t, "", reflect.TypeFor[config.Config](), doc.Content)
}

// demand fails for each key of typ that stands in none of nodes, the values
// that the reference has at path.
func demand(t *testing.T, path string, typ reflect.Type, nodes []*yaml.Node) {
	t.Helper()
	switch {
	case typ == reflect.TypeFor[strictyaml.Raw](), reflect.PointerTo(typ).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
	case typ.Kind() == reflect.Pointer:
		demand(t, path, typ.Elem(), nodes)
	case typ.Kind() == reflect.Slice:
		demand(t, path+"[]", typ.Elem(), children(nodes, 1, 0))
	case typ.Kind() == reflect.Map:
		demand(t, path+".*", typ.Elem(), children(nodes, 2, 1))
	case typ.Kind() == reflect.Struct:
		demandFields(t, path, typ, nodes)
	}
}

func demandFields(t *testing.T, path string, typ reflect.Type, nodes []*yaml.Node) {
	t.Helper()
	for f := range typ.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case name == "" && f.Anonymous:
			demandCommon(t, path, f.Type, nodes)
		case name == "":
			t.Errorf("%s of %s has no yaml tag", f.Name, typ)
		default:
			values := valuesOf(nodes, name)
			if len(values) == 0 {
				t.Errorf("%s.%s is not in reference.yml", path, name)
				continue
			}
			demand(t, path+"."+name, f.Type, values)
		}
	}
}

// demandCommon is for the keys that all collectors share: the comment above
// them explains them, so the reference has each at one collector at least.
func demandCommon(t *testing.T, path string, typ reflect.Type, nodes []*yaml.Node) {
	t.Helper()
	if path == ".collectors.disk" {
		demandFields(t, path, typ, nodes)
	}
}

func valuesOf(nodes []*yaml.Node, key string) []*yaml.Node {
	var all []*yaml.Node
	for _, n := range nodes {
		for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
			if n.Content[i].Value == key {
				all = append(all, n.Content[i+1])
			}
		}
	}
	return all
}

// children returns every step-th child of nodes, beginning with the one at from.
func children(nodes []*yaml.Node, step, from int) []*yaml.Node {
	var all []*yaml.Node
	for _, n := range nodes {
		for i := from; i < len(n.Content); i += step {
			all = append(all, n.Content[i])
		}
	}
	return all
}

// TestReferenceDefaults compares the defaults that the reference states, in
// brackets behind a value, with those of the program.
func TestReferenceDefaults(t *testing.T) {
	bare := parse(t, `
shares: [{name: a, path: /a, from: [{url: /b}]}]
collectors: {disk: , raid: , postfix: , netboot: , replica: , host: , launchd: , updates: , dns: {names: [a]}}
store:
probes:
jamf: {url: "https://jss", user: a, password_file: b}
`)
	for _, want := range []string{
		fmt.Sprintf("for all addresses. [%q]", bare.Listen),
		fmt.Sprintf("every: 1m                       # [%v]\n    timeout: 30s                    # [%v]\n    command", bare.Collectors.Disk.Every, bare.Collectors.Disk.Timeout),
		fmt.Sprintf("every: 1m                       # [%v]\n    timeout: 30s                    # [%v]\n    backend", bare.Collectors.RAID.Every, bare.Collectors.RAID.Timeout),
		fmt.Sprintf("takes what the machine has [%s]", bare.Collectors.RAID.Backend),
		fmt.Sprintf("every: 30s                      # [%v]\n    timeout: 20s                    # [%v]\n    config_dir", bare.Collectors.Postfix.Every, bare.Collectors.Postfix.Timeout),
		fmt.Sprintf("every: 5m                       # [%v]\n    timeout: 30m                    # [%v]\n    roots: [%s]", bare.Collectors.NetBoot.Every, bare.Collectors.NetBoot.Timeout, strings.Join(bare.Collectors.NetBoot.Roots, ", ")),
		fmt.Sprintf("which reads all of it [%v]", bare.Collectors.NetBoot.Hash),
		fmt.Sprintf("every: 1m                       # [%v]\n    timeout: 30s                    # [%v]\n    ntp_server", bare.Collectors.Host.Every, bare.Collectors.Host.Timeout),
		fmt.Sprintf("every: 1m                       # [%v]\n    timeout: 30s                    # [%v]\n    labels", bare.Collectors.Launchd.Every, bare.Collectors.Launchd.Timeout),
		fmt.Sprintf("daemons_dir: %s ", bare.Collectors.Launchd.DaemonsDir),
		fmt.Sprintf("every: 6h                       # [%v]\n    timeout: 10m                    # [%v]\n    preferences", bare.Collectors.Updates.Every, bare.Collectors.Updates.Timeout),
		fmt.Sprintf("every: 5m                       # [%v]\n    timeout: 30s                    # [%v]\n    names", bare.Collectors.DNS.Every, bare.Collectors.DNS.Timeout),
		fmt.Sprintf("timeout: 6h                     # [%v]", bare.Collectors.Replica.Timeout),
		fmt.Sprintf("._* [%s]", strings.Join(bare.Shares[0].Exclude, ", ")),
		fmt.Sprintf("how often it is compared, at least [%v]", bare.Shares[0].Rescan),
		fmt.Sprintf("remove what the origin does not have [%v]", bare.Shares[0].Sync.Delete),
		fmt.Sprintf("a number or a part [%v]", bare.Shares[0].Sync.MaxDelete),
		fmt.Sprintf("all of them are looked at [%v]", bare.Probes.Every),
		fmt.Sprintf("of each service [%v]", bare.Probes.Timeout),
		fmt.Sprintf("how often it is read [%v]", bare.Jamf.Every),
		fmt.Sprintf("of one reading [%v]", bare.Jamf.Timeout),
		fmt.Sprintf("of the Mac that asks [%s]", config.DefaultModel),
		fmt.Sprintf("scrape or none. [%s]", bare.Keepers),
		fmt.Sprintf("older samples are dropped [%v]", bare.Store.Embedded.Retention),
		fmt.Sprintf("dropped beyond it [%v]", bare.Store.Embedded.Size),
		fmt.Sprintf("relative to data_dir [%s]", strings.TrimPrefix(bare.Store.Embedded.Dir, bare.DataDir+"/")),
		fmt.Sprintf("of judging rules [%v]", bare.Store.Interval),
		fmt.Sprintf("relative to data_dir [%s]", strings.TrimPrefix(bare.Journal.SQLite, bare.DataDir+"/")),
		fmt.Sprintf("longer than this [%v]", bare.Runner.PageCap),
		fmt.Sprintf("[%s; on macOS", bare.DataDir),
	} {
		if !strings.Contains(config.Reference(), want) {
			t.Errorf("reference.yml does not say %q", want)
		}
	}
}
