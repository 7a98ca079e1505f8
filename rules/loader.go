package rules

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// Builtin stands for the shipped rule files wherever rule files are named.
const Builtin = "builtin"

// newParser knows the PromQL that every Prometheus since 2.42 knows.
func newParser() parser.Parser {
	return parser.NewParser(parser.Options{})
}

// Files resolves patterns of rule files against dir, in order and without
// repetition. [Builtin] becomes the names of the shipped files. A pattern that
// finds nothing is an error.
func Files(dir string, patterns []string) ([]string, error) {
	var files []string
	add := func(found ...string) {
		for _, file := range found {
			if !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	for _, pattern := range patterns {
		if pattern == Builtin {
			add(shippedFiles()...)
			continue
		}
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(dir, pattern)
		}
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("find rule files %q: %w", pattern, err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("find rule files %q: %w", pattern, fs.ErrNotExist)
		}
		add(found...)
	}
	return files, nil
}

// shippedFiles are the shipped rule files as [Files] names them.
func shippedFiles() []string {
	names, err := fs.Glob(Shipped(), "*.yml")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	for i, name := range names {
		names[i] = path.Join(Builtin, name)
	}
	return names
}

// readFile reads a rule file by a name that [Files] returned.
func readFile(name string) ([]byte, error) {
	if shipped, ok := strings.CutPrefix(name, Builtin+"/"); ok {
		return fs.ReadFile(Shipped(), shipped)
	}
	return os.ReadFile(name)
}

func checkFiles(files []string) error {
	var problems []error
	for _, file := range files {
		src, err := readFile(file)
		if err != nil {
			problems = append(problems, fmt.Errorf("read rule file: %w", err))
			continue
		}
		problems = append(problems, CheckFile(file, src))
	}
	return errors.Join(problems...)
}

// loader gives rule files to the rule manager.
type loader struct {
	parser parser.Parser
	log    *slog.Logger
	maxFor time.Duration
}

// Load implements [promrules.GroupLoader].
func (l loader) Load(file string, ignoreUnknown bool, scheme model.ValidationScheme) (*rulefmt.RuleGroups, []error) {
	src, err := readFile(file)
	if err != nil {
		return nil, []error{fmt.Errorf("read rule file: %w", err)}
	}
	groups, errs := rulefmt.Parse(src, ignoreUnknown, scheme, l.parser, l.log)
	if len(errs) > 0 {
		return nil, errs
	}
	if l.maxFor > 0 {
		l.hurry(groups)
	}
	return groups, nil
}

// hurry shortens what alerts wait for.
func (l loader) hurry(groups *rulefmt.RuleGroups) {
	most := model.Duration(l.maxFor)
	for _, group := range groups.Groups {
		for i := range group.Rules {
			rule := &group.Rules[i]
			rule.For = min(rule.For, most)
			rule.KeepFiringFor = min(rule.KeepFiringFor, most)
		}
	}
}

// Parse implements [promrules.GroupLoader].
func (l loader) Parse(expr string) (parser.Expr, error) {
	return l.parser.ParseExpr(expr)
}
