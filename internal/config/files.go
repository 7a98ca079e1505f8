package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// checkFiles looks whether the files exist that the configuration names, and
// finds those of rules and remedies.
func (c *checker) checkFiles() {
	c.exists(at("web_config"), "web_config", c.WebConfig)
	for i, site := range c.Sites {
		for j, s := range site.Servers {
			if s.Keeper == nil {
				continue
			}
			path := at("sites", i, "servers", j, "keeper")
			c.exists(under(path, "ca_file"), "ca_file", s.Keeper.CAFile)
			c.exists(under(path, "cert_file"), "cert_file", s.Keeper.CertFile)
			c.exists(under(path, "key_file"), "key_file", s.Keeper.KeyFile)
			c.exists(under(path, "token_file"), "token_file", s.Keeper.TokenFile)
		}
	}
	c.checkProbeFiles()
	if j := c.Jamf; j != nil {
		c.exists(at("jamf", "ca_file"), "ca_file", j.CAFile)
		c.exists(at("jamf", "password_file"), "password_file", j.PasswordFile)
	}
	c.checkSNMPFiles()
	for name, ch := range c.Notify.Channels {
		path := at("notify", "channels", name)
		c.exists(under(path, "password_file"), "password_file", ch.PasswordFile)
		c.exists(under(path, "token_file"), "token_file", ch.TokenFile)
	}
	c.RuleFiles.Paths = c.glob("rules", c.Rules)
	c.RemedyFiles.Paths = c.glob("remedies", c.Remedies)
}

// exists notes a problem if file is given and cannot be opened for reading.
func (c *checker) exists(path []any, key, file string) {
	if file == "" {
		return
	}
	f, err := os.Open(file)
	if err != nil {
		c.bad(path, "%s: %s", key, reason(file, err))
		return
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		c.bad(path, "%s: %s is a directory", key, file)
	}
}

// reason says in plain words why file could not be opened.
func reason(file string, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no file " + file
	case errors.Is(err, fs.ErrPermission):
		return "this user may not read " + file
	default:
		return err.Error()
	}
}

// glob returns the files that the patterns of key stand for, each once.
func (c *checker) glob(key string, patterns []string) []string {
	var all []string
	for i, p := range patterns {
		if p == builtin || p == "" {
			continue
		}
		full := p
		c.relative(&full)
		found, err := filepath.Glob(full)
		if err != nil {
			continue // noted when it was parsed
		}
		found = slices.DeleteFunc(found, func(f string) bool {
			info, err := os.Stat(f)
			return err == nil && info.IsDir()
		})
		if len(found) == 0 {
			c.bad(at(key, i), "%s[%d]: %s", key, i, nothing(full))
		}
		for _, f := range found {
			if !slices.Contains(all, f) {
				all = append(all, f)
			}
		}
	}
	return all
}

func nothing(pattern string) string {
	if strings.ContainsAny(pattern, `*?[`) {
		return "no file fits " + pattern
	}
	return "there is no file " + pattern
}
