package config

import (
	"path/filepath"
	"slices"
)

// SNMP is what other devices are asked over SNMP.
type SNMP struct {
	Modules           []string `yaml:"modules"`                      // files of modules, as written; Files is what they come to
	ExpandEnvironment bool     `yaml:"expand_environment,omitempty"` // fill variables into the secrets of those files

	// Files are absolute paths, each once; only Load fills them.
	Files []string `yaml:"-"`
}

func (c *checker) checkSNMP() {
	if c.SNMP == nil {
		return
	}
	if len(c.SNMP.Modules) == 0 && c.require(at("snmp", "modules"), "snmp wants modules: files in the format of snmp_exporter's snmp.yml") {
		c.bad(at("snmp", "modules"), "modules wants a file at least")
	}
	for i, p := range c.SNMP.Modules {
		if _, err := filepath.Match(p, ""); err != nil || p == "" {
			c.bad(at("snmp", "modules", i), "modules[%d] wants a path or a glob such as snmp/*.yml, not %q", i, p)
		}
	}
}

// checkSNMPFiles finds the files of modules.
func (c *checker) checkSNMPFiles() {
	if c.SNMP == nil {
		return
	}
	for i, p := range c.SNMP.Modules {
		full := p
		c.relative(&full)
		found, err := filepath.Glob(full)
		if err != nil || p == "" {
			continue // noted when it was parsed
		}
		if len(found) == 0 {
			c.bad(at("snmp", "modules", i), "modules[%d]: %s", i, nothing(full))
		}
		for _, f := range found {
			c.exists(at("snmp", "modules", i), "modules", f)
			if !slices.Contains(c.SNMP.Files, f) {
				c.SNMP.Files = append(c.SNMP.Files, f)
			}
		}
	}
}
