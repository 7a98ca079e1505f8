package config

import (
	"cmp"
	"encoding/hex"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper/internal/strictyaml"
)

// Probes are services that are looked at over the network, as clients see
// them.
type Probes struct {
	Every              Duration                 `yaml:"every"`   // from the beginning of one look at all of them to the next
	Timeout            Duration                 `yaml:"timeout"` // of one service
	DistributionPoints []DistributionPointProbe `yaml:"distribution_points,omitempty"`
	TCP                []TCPProbe               `yaml:"tcp,omitempty"`
	SMTP               []SMTPProbe              `yaml:"smtp,omitempty"`
	JSS                []JSSProbe               `yaml:"jss,omitempty"`
	Allow              []string                 `yaml:"allow,omitempty"` // more hosts that /probe may look at; see MayProbe
	BSDP               []BSDPProbe              `yaml:"bsdp,omitempty"`
}

// A DistributionPointProbe fetches one small file of a share over HTTP.
type DistributionPointProbe struct {
	Server       string `yaml:"server"` // whose it is
	URL          string `yaml:"url"`    // of the share
	File         string `yaml:"file"`   // in the share
	CAFile       string `yaml:"ca_file,omitempty"`
	User         string `yaml:"user,omitempty"` // with PasswordFile
	PasswordFile string `yaml:"password_file,omitempty"`
	SHA256       string `yaml:"sha256,omitempty"` // of the origin's file, in hex
	Origin       string `yaml:"origin,omitempty"` // or its address
}

// A TCPProbe connects to a port.
type TCPProbe struct {
	Server  string `yaml:"server"`
	Address string `yaml:"address"`        // HOST:PORT
	Name    string `yaml:"name,omitempty"` // smb and afp are greeted in their protocol; filled in by the port
}

// An SMTPProbe greets a mail server.
type SMTPProbe struct {
	Server   string `yaml:"server"`
	Address  string `yaml:"address"`
	STARTTLS bool   `yaml:"starttls,omitempty"` // it must be offered
}

// A JSSProbe asks a Jamf server how it does. It belongs to no server.
type JSSProbe struct {
	URL    string `yaml:"url"`
	CAFile string `yaml:"ca_file,omitempty"`
}

// A BSDPProbe asks for NetBoot images.
type BSDPProbe struct {
	Server    string `yaml:"server"`
	Interface string `yaml:"interface,omitempty"` // to ask on; with or without Address
	Address   string `yaml:"address,omitempty"`   // HOST:PORT of the server; all of the interface's network if absent
	Model     string `yaml:"model,omitempty"`     // of the Mac that asks; DefaultModel if absent
}

// Target is what the probe is called: whom it asks.
func (p BSDPProbe) Target() string { return cmp.Or(p.Address, p.Interface) }

// DefaultModel is the model of Mac that asks for NetBoot images.
const DefaultModel = "Macmini6,1"

// Names of probes that are not TCP probes.
const (
	ProbeDistributionPoint = "distribution_point"
	ProbeSMTP              = "smtp"
	ProbeJSS               = "jss"
	ProbeBSDP              = "bsdp"
)

// SetDefaults implements strictyaml.Defaulter.
func (p *Probes) SetDefaults() {
	*p = Probes{Every: Duration(time.Minute), Timeout: Duration(10 * time.Second)}
}

// nameOf is the name that a TCP probe has by its port.
func nameOf(address string) string {
	switch _, port, _ := net.SplitHostPort(address); port {
	case "445":
		return "smb"
	case "548":
		return "afp"
	default:
		return "tcp"
	}
}

// probed are the labels that probes put on series themselves.
func probed() []string { return []string{"probe", "problem", "server", "site", "target"} }

func (c *checker) checkProbes() {
	p := c.Probes
	if p == nil {
		return
	}
	c.duration(at("probes", "every"), "every", p.Every, Duration(time.Second))
	c.duration(at("probes", "timeout"), "timeout", p.Timeout, Duration(100*time.Millisecond))
	for name := range c.Labels {
		if slices.Contains(probed(), name) {
			c.bad(at("labels", strictyaml.Key(name)), "label %q is said by probes of what they probe, so it cannot be one of `labels`", name)
		}
	}
	c.checkAllow()
	seen := unique{c, "the probe of", make(map[string]int)}
	for i := range p.DistributionPoints {
		c.checkDistributionPoint(at("probes", "distribution_points", i), &p.DistributionPoints[i], seen)
	}
	for i := range p.TCP {
		c.checkTCP(at("probes", "tcp", i), &p.TCP[i], seen)
	}
	for i := range p.SMTP {
		s, path := &p.SMTP[i], at("probes", "smtp", i)
		c.checkProbed(under(path, "server"), s.Server)
		if c.checkAddress(under(path, "address"), s.Address) {
			seen.add(under(path, "address"), ProbeSMTP+" "+s.Address)
		}
	}
	for i := range p.JSS {
		s, path := &p.JSS[i], at("probes", "jss", i)
		c.relative(&s.CAFile)
		if c.checkBase(under(path, "url"), s.URL) {
			seen.add(under(path, "url"), ProbeJSS+" "+s.URL)
		}
	}
	for i := range p.BSDP {
		c.checkBSDP(at("probes", "bsdp", i), &p.BSDP[i], seen)
	}
}

func (c *checker) checkDistributionPoint(path []any, p *DistributionPointProbe, seen unique) {
	c.checkProbed(under(path, "server"), p.Server)
	if c.checkBase(under(path, "url"), p.URL) {
		seen.add(under(path, "url"), ProbeDistributionPoint+" "+p.URL)
	}
	if c.require(under(path, "file"), "a distribution point wants a file, such as Packages/canary.pkg") && strings.Trim(p.File, "/") == "" {
		c.bad(under(path, "file"), "file wants the path of a file in the share, not %q", p.File)
	}
	if (p.User == "") != (p.PasswordFile == "") {
		c.bad(path, "user and password_file belong together: give both or neither")
	}
	c.relative(&p.CAFile, &p.PasswordFile)
	if b, err := hex.DecodeString(p.SHA256); err != nil || p.SHA256 != "" && len(b) != 32 {
		c.bad(under(path, "sha256"), "sha256 wants 64 hexadecimal digits, not %q", p.SHA256)
	}
	switch {
	case p.Origin == "":
	case p.SHA256 != "":
		c.bad(under(path, "origin"), "origin and sha256 say the same: give one of them")
	default:
		c.checkBase(under(path, "origin"), p.Origin)
	}
}

func (c *checker) checkTCP(path []any, p *TCPProbe, seen unique) {
	c.checkProbed(under(path, "server"), p.Server)
	if p.Name == "" {
		p.Name = nameOf(p.Address)
	}
	c.name(under(path, "name"), "probe", p.Name)
	if slices.Contains([]string{ProbeDistributionPoint, ProbeSMTP, ProbeJSS, ProbeBSDP}, p.Name) {
		c.bad(under(path, "name"), "%s is the name of another kind of probe", p.Name)
	}
	if c.checkAddress(under(path, "address"), p.Address) {
		seen.add(under(path, "address"), p.Name+" "+p.Address)
	}
}

func (c *checker) checkBSDP(path []any, p *BSDPProbe, seen unique) {
	c.checkProbed(under(path, "server"), p.Server)
	if p.Model == "" {
		p.Model = DefaultModel
	}
	switch {
	case p.Address != "":
		if c.checkAddress(under(path, "address"), p.Address) {
			seen.add(under(path, "address"), ProbeBSDP+" "+p.Target())
		}
	case p.Interface == "":
		c.bad(path, "a BSDP probe wants an interface, or the address of a server such as lon-mini-1:67")
	default:
		seen.add(under(path, "interface"), ProbeBSDP+" "+p.Target())
	}
}

// checkProbed looks whether the server that is probed is one of the sites'.
func (c *checker) checkProbed(path []any, server string) {
	if !c.require(path, "a probe wants to know whose service it looks at: give server") {
		return
	}
	var names []string
	for _, site := range c.Sites {
		for _, s := range site.Servers {
			names = append(names, s.Name)
		}
	}
	switch {
	case len(names) == 0:
		c.name(path, "server", server)
	case !slices.Contains(names, server):
		c.bad(path, "server %q is in none of the sites (have %s)", server, have(names))
	}
}

// checkAddress tells whether address is worth comparing with others.
func (c *checker) checkAddress(path []any, address string) bool {
	if !c.require(path, "a probe has no address") {
		return false
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "" || !isAddress(address) {
		c.bad(path, "address wants HOST:PORT, not %q", address)
		return false
	}
	return true
}

// checkBase is checkAddress for addresses of web servers.
func (c *checker) checkBase(path []any, base string) bool {
	if !c.require(path, "a probe has no url") {
		return false
	}
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		c.bad(path, "%s wants an address such as http://lon-mini-1/CasperShare, not %q", path[len(path)-1], withoutPassword(u, base))
	case u.User != nil:
		c.bad(path, "%s wants no user in the address", path[len(path)-1])
	case u.RawQuery != "" || u.Fragment != "":
		c.bad(path, "%s wants an address without ? and #", path[len(path)-1])
	default:
		return true
	}
	return false
}

// checkProbeFiles looks whether the files exist that probes need.
func (c *checker) checkProbeFiles() {
	if c.Probes == nil {
		return
	}
	for i, p := range c.Probes.DistributionPoints {
		path := at("probes", "distribution_points", i)
		c.exists(under(path, "ca_file"), "ca_file", p.CAFile)
		c.exists(under(path, "password_file"), "password_file", p.PasswordFile)
	}
	for i, p := range c.Probes.JSS {
		c.exists(at("probes", "jss", i, "ca_file"), "ca_file", p.CAFile)
	}
}
