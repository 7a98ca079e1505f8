package snmpyml

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/minikeeper/minikeeper/internal/strictyaml"
)

// Options change how files are read.
type Options struct {
	// Env looks variables up that auths refer to, as snmp_exporter does with
	// --config.expand-environment-variables: $NAME and ${NAME} in usernames and
	// passwords, and here also ${NAME} in communities. nil: nothing is expanded.
	Env func(name string) (string, bool)
}

// maxFile is more than the largest known file, and bounds what is read.
const maxFile = 64 << 20

// Load reads the files that patterns stand for; each is a path or a glob. An
// auth or module that two files have is a problem. A pattern that fits nothing
// is an error, and so is a set of files without modules or without auths. The
// error of bad files is a [strictyaml.Problems].
func Load(patterns []string, o Options) (*Config, error) {
	files, err := find(patterns)
	if err != nil {
		return nil, err
	}
	cfg := &Config{Auths: make(map[string]*Auth), Modules: make(map[string]*Module)}
	var problems strictyaml.Problems
	for _, file := range files {
		src, err := read(file)
		if err != nil {
			return nil, err
		}
		problems = append(problems, parse(cfg, file, src, o)...)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return cfg, cfg.complete(strings.Join(files, ", "))
}

// Parse reads src, which came from file.
func Parse(file string, src []byte, o Options) (*Config, error) {
	cfg := &Config{Auths: make(map[string]*Auth), Modules: make(map[string]*Module)}
	if err := parse(cfg, file, src, o).Err(); err != nil {
		return nil, err
	}
	return cfg, cfg.complete(file)
}

func (c *Config) complete(files string) error {
	switch {
	case len(c.Modules) == 0:
		return fmt.Errorf("no modules in %s", files)
	case len(c.Auths) == 0:
		return fmt.Errorf("no auths in %s", files)
	default:
		return nil
	}
}

// find returns the files that patterns stand for, each once.
func find(patterns []string) ([]string, error) {
	var files []string
	seen := make(map[string]bool)
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", pattern, err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("find %s: no such file", pattern)
		}
		for _, file := range found {
			if !seen[file] {
				seen[file], files = true, append(files, file)
			}
		}
	}
	return files, nil
}

func read(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("read SNMP modules: %w", err)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("read SNMP modules: %s is larger than %d MiB", file, maxFile>>20)
	}
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read SNMP modules: %w", err)
	}
	return src, nil
}

// parse adds what src says to cfg.
func parse(cfg *Config, file string, src []byte, o Options) strictyaml.Problems {
	var raw rawFile
	doc, unread := strictyaml.Decode(file, src, &raw)
	c := checker{doc: doc, unread: unread, problems: unread, env: o.Env}
	for name, a := range raw.Auths {
		if cfg.Auths[name] != nil {
			c.path = nil
			c.bad(key("auths", strictyaml.Key(name)), "auth %q is already in another file", name)
		}
		c.path = []any{"auths", name}
		if a == nil {
			a = new(rawAuth)
			a.SetDefaults()
		}
		cfg.Auths[name] = c.auth(a)
	}
	for name, m := range raw.Modules {
		if cfg.Modules[name] != nil {
			c.path = nil
			c.bad(key("modules", strictyaml.Key(name)), "module %q is already in another file", name)
		}
		c.path = []any{"modules", name}
		if m == nil {
			m = new(rawModule)
			m.SetDefaults()
		}
		cfg.Modules[name] = c.module(m)
	}
	return c.problems
}
