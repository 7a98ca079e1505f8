// Package config reads the one YAML file that decides what a process does.
//
// It is strict: an unknown key, a wrong type, a name that leads nowhere is a
// problem with its line and column, and all problems come at once. A key that
// this program does not implement is unknown too; nothing is accepted and
// ignored. What the file leaves out is filled in, so that the rest of the
// program never asks what a zero value means.
//
// The package knows neither collectors nor actions: their names are handed in.
// It starts nothing and changes nothing. [Parse] touches no files; [Load] also
// looks whether the files exist that the configuration names.
package config

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/minikeeper/minikeeper/internal/strictyaml"
)

// A Duration is a span of time, written as 30m or 7d.
type Duration = strictyaml.Duration

// Config is what a process does. Paths in it are absolute, and defaults are
// filled in.
type Config struct {
	Listen     string              `yaml:"listen"`               // HOST:PORT of metrics, pages and API
	WebConfig  string              `yaml:"web_config,omitempty"` // exporter-toolkit's file; empty without TLS and users
	DataDir    string              `yaml:"data_dir"`             // where state is kept
	Server     string              `yaml:"server"`               // the name of this machine
	Labels     map[string]string   `yaml:"labels,omitempty"`     // added to everything that is exported
	Path       []string            `yaml:"path,omitempty"`       // folders that are searched for programs before the usual ones
	Collectors *Collectors         `yaml:"collectors"`           // never nil
	Probes     *Probes             `yaml:"probes,omitempty"`     // nil where nothing is probed
	Jamf       *Jamf               `yaml:"jamf,omitempty"`       // nil where no Jamf server is read
	SNMP       *SNMP               `yaml:"snmp,omitempty"`       // nil where nothing is asked over SNMP
	Shares     []Share             `yaml:"shares,omitempty"`
	Sites      []Site              `yaml:"sites,omitempty"`
	Keepers    string              `yaml:"keepers"`            // ScrapeKeepers or NoKeepers
	Store      *Store              `yaml:"store,omitempty"`    // nil on a keeper that judges nothing
	Rules      []string            `yaml:"rules,omitempty"`    // as written; RuleFiles is what they come to
	Remedies   []string            `yaml:"remedies,omitempty"` // as written; RemedyFiles is what they come to
	Calendars  map[string]Calendar `yaml:"calendars,omitempty"`
	Journal    Journal             `yaml:"journal"`
	Actions    Actions             `yaml:"actions"`
	Access     Access              `yaml:"access"`
	Notify     Notify              `yaml:"notify"`
	Runner     Runner              `yaml:"runner"`

	// Dir is the folder of the file; relative paths are relative to it.
	Dir         string  `yaml:"-"`
	RuleFiles   FileSet `yaml:"-"`
	RemedyFiles FileSet `yaml:"-"`

	variables []strictyaml.Expansion // scalars into which environment variables were filled
}

// The values of Config.Keepers.
const (
	ScrapeKeepers = "scrape" // the keepers of the sites are scraped without more ado
	NoKeepers     = "none"   // only what the store's scrape_configs say is scraped
)

// Known is what this program can do and where it runs. The package learns it
// from its caller.
type Known struct {
	Collectors []string            // names of all collectors
	Actions    []string            // names of all actions
	Programs   map[string][]string // by collector, the programs that it runs; one that is missing here may be given any
	Host       string              // name of this machine, the default of `server`
	GOOS       string              // whose usual folders are the defaults; empty for this system's
}

// SetDefaults implements strictyaml.Defaulter.
func (c *Config) SetDefaults() {
	c.Listen, c.Keepers = ":9797", ScrapeKeepers
	c.Runner.SetDefaults()
	c.Journal.SetDefaults()
}

// maxFile is more than anybody writes, and bounds what is read into memory.
const maxFile = 8 << 20

// Load reads the file at path with the environment of this process and also
// checks that the files exist that it names. The error of a bad file is a
// [strictyaml.Problems].
func Load(path string, known Known) (*Config, error) {
	src, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	if known.Host == "" {
		known.Host = hostname()
	}
	c := newChecker(path, known)
	c.parse(src, os.LookupEnv)
	c.checkFiles()
	return c.result()
}

// Parse reads src, which came from file. It opens no files: globs stay
// unresolved, and files that are named may be missing. The error is a
// [strictyaml.Problems].
func Parse(file string, src []byte, env func(string) (string, bool), known Known) (*Config, error) {
	c := newChecker(file, known)
	c.parse(src, env)
	return c.result()
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a directory", path)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s is larger than %d MiB", path, maxFile>>20)
	}
	return os.ReadFile(path)
}

// hostname returns the name of this machine without its domain, or "".
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	name, _, _ = strings.Cut(name, ".")
	return name
}

// parse fills the configuration from src and checks all that can be checked
// without looking at files.
func (c *checker) parse(src []byte, env func(string) (string, bool)) {
	c.doc, c.unread = strictyaml.Decode(c.file, src, c.Config, strictyaml.WithEnv(env))
	c.problems = slices.Clone(c.unread)
	if !c.doc.Has() {
		return // not YAML at all
	}
	c.variables = c.doc.Expanded()
	c.fill()
	c.checkTop()
	c.checkCollectors()
	c.checkShares()
	c.checkSites()
	c.checkProbes()
	c.checkJamf()
	c.checkSNMP()
	c.checkHub()
	c.checkActions()
	c.checkNotify()
}

// fill sets the defaults that depend on other keys or on the machine.
func (c *checker) fill() {
	if c.DataDir == "" {
		c.DataDir = "/var/lib/minikeeper"
		if c.goos() == "darwin" {
			c.DataDir = "/Library/Application Support/minikeeper"
		}
	}
	c.relative(&c.DataDir, &c.WebConfig)
	for i := range c.Path {
		c.relative(&c.Path[i])
	}
	if c.Server == "" {
		c.Server = c.known.Host
	}
	c.fillCollectors()
	c.fillHub()
}

func (c *checker) goos() string {
	if c.known.GOOS != "" {
		return c.known.GOOS
	}
	return runtime.GOOS
}

func (c *checker) checkTop() {
	if !isAddress(c.Listen) {
		c.bad(at("listen"), `listen wants HOST:PORT or :PORT, not %q`, c.Listen)
	}
	if c.doc.Has("server") {
		c.name(at("server"), "server", c.Server)
	}
	for name := range c.Labels {
		if !isLabel(name) {
			c.bad(at("labels", strictyaml.Key(name)), "label %q wants a name of letters, digits and _, not beginning with a digit or with __", name)
		}
	}
	c.oneOf(at("keepers"), "keepers", c.Keepers, ScrapeKeepers, NoKeepers)
}

// isLabel tells whether name can be the name of a label that people add.
func isLabel(name string) bool {
	for i, r := range name {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != "" && !strings.HasPrefix(name, "__")
}

// A FileSet is what a list such as `rules` comes to.
type FileSet struct {
	Builtin bool     // the shipped ones too
	Paths   []string // absolute, each once, in the order of the list; only Load fills it
}

// builtin is the word for the shipped files in lists of globs.
const builtin = "builtin"

// A pattern of a list of files is only parsed here; [Load] resolves it.
func (c *checker) files(key string, patterns []string, into *FileSet) {
	into.Builtin = slices.Contains(patterns, builtin)
	for i, p := range patterns {
		if _, err := filepath.Match(p, ""); err != nil || p == "" {
			c.bad(at(key, i), "%s[%d] wants a path, a glob such as %s/*.yml, or %s, not %q", key, i, key, builtin, p)
		}
	}
}
