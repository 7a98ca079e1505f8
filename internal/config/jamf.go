package config

import (
	"net/netip"
	"net/url"
	"time"
)

// Jamf is a Jamf Pro server that is read.
type Jamf struct {
	URL          string   `yaml:"url"`
	User         string   `yaml:"user"`
	PasswordFile string   `yaml:"password_file"`
	CAFile       string   `yaml:"ca_file,omitempty"`
	Every        Duration `yaml:"every"`
	Timeout      Duration `yaml:"timeout"`
}

// SetDefaults implements strictyaml.Defaulter.
func (j *Jamf) SetDefaults() {
	*j = Jamf{Every: Duration(15 * time.Minute), Timeout: Duration(2 * time.Minute)}
}

// Password returns the password, which is read each time it is asked for.
func (j *Jamf) Password() Secret { return Secret{File: j.PasswordFile} }

func (c *checker) checkJamf() {
	j := c.Jamf
	if j == nil {
		return
	}
	if c.require(at("jamf", "url"), "jamf has no url") && c.checkBase(at("jamf", "url"), j.URL) && inTheClear(j.URL) {
		c.bad(at("jamf", "url"), "http would send the password in the clear: use https")
	}
	if c.require(at("jamf", "user"), "jamf has no user") && j.User == "" {
		c.bad(at("jamf", "user"), "user wants a name")
	}
	if c.require(at("jamf", "password_file"), "jamf has no password_file") && j.PasswordFile == "" {
		c.bad(at("jamf", "password_file"), "password_file wants a file")
	}
	c.relative(&j.PasswordFile, &j.CAFile)
	c.duration(at("jamf", "every"), "every", j.Every, Duration(time.Second))
	c.duration(at("jamf", "timeout"), "timeout", j.Timeout, Duration(100*time.Millisecond))
}

// inTheClear tells whether what is sent to base can be read on the way.
func inTheClear(base string) bool {
	u, err := url.Parse(base)
	if err != nil || u.Scheme == "https" || u.Hostname() == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err != nil || !ip.IsLoopback()
}
