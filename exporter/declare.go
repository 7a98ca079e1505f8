package exporter

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/minikeeper/minikeeper"
)

// declarations are the families of all sources, checked.
type declarations struct {
	families map[string]map[string]minikeeper.Family // by source, then metric
	shared   map[string]bool                         // metrics of several sources
}

// declare reads and checks what every source may return.
func declare(labels map[string]string, sources map[string]Entry) (declarations, error) {
	d := declarations{families: make(map[string]map[string]minikeeper.Family), shared: make(map[string]bool)}
	var bad []error
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if !validLabel(name) || name == "collector" {
			bad = append(bad, fmt.Errorf("labels: %q cannot be added to everything", name))
		}
		if !utf8.ValidString(labels[name]) {
			bad = append(bad, fmt.Errorf("labels: the value of %q is not UTF-8", name))
		}
	}
	owners := make(map[string]string)
	for _, source := range slices.Sorted(maps.Keys(sources)) {
		own := make(map[string]minikeeper.Family)
		for _, f := range sources[source].Source.Families() {
			if err := checkFamily(labels, f); err != nil {
				bad = append(bad, fmt.Errorf("collector %s: %w", source, err))
				continue
			}
			own[f.Name] = f
			first, taken := owners[f.Name]
			if !taken {
				owners[f.Name] = source
				continue
			}
			d.shared[f.Name] = true
			if other := d.families[first][f.Name]; first != source && (other.Type != f.Type || other.Help != f.Help) {
				bad = append(bad, fmt.Errorf("collectors %s and %s declare %s differently", first, source, f.Name))
			}
		}
		d.families[source] = own
	}
	return d, errors.Join(bad...)
}

func checkFamily(labels map[string]string, f minikeeper.Family) error {
	switch {
	case !validMetric(f.Name):
		return fmt.Errorf("%q is no metric name", f.Name)
	case f.Help == "" || !utf8.ValidString(f.Help):
		return fmt.Errorf("metric %s needs a help text", f.Name)
	case f.Type != minikeeper.Gauge && f.Type != minikeeper.Counter:
		return fmt.Errorf("metric %s: unknown type %q (have counter, gauge)", f.Name, f.Type)
	case strings.HasPrefix(f.Name, selfPrefix) || reserved(f.Name):
		return fmt.Errorf("metric %s is minikeeper's own", f.Name)
	}
	for _, name := range f.Labels {
		if !validLabel(name) {
			return fmt.Errorf("metric %s: %q is no label name", f.Name, name)
		}
		if _, clash := labels[name]; clash {
			return fmt.Errorf("metric %s has a label %q of its own, so it cannot be one of `labels`", f.Name, name)
		}
	}
	return nil
}

// reserved tells whether a metric of this name comes from the runtime.
func reserved(name string) bool {
	return name == "minikeeper_build_info" || strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_")
}

// validMetric allows the classic names; dots and other UTF-8 would be quoted,
// and then no rule finds them.
func validMetric(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool { return r != ':' && !wordRune(r) }) && !digit(name[0])
}

func validLabel(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool { return !wordRune(r) }) &&
		!digit(name[0]) && !strings.HasPrefix(name, "__")
}

func wordRune(r rune) bool {
	return r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

func digit(b byte) bool { return b >= '0' && b <= '9' }
