package config

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper/internal/strictyaml"
)

// Collectors are what is read on this machine. One that is nil is not read.
type Collectors struct {
	Caching *Caching `yaml:"caching,omitempty"`
	DNS     *DNS     `yaml:"dns,omitempty"`
	Disk    *Disk    `yaml:"disk,omitempty"`
	Host    *Host    `yaml:"host,omitempty"`
	Launchd *Launchd `yaml:"launchd,omitempty"`
	NetBoot *NetBoot `yaml:"netboot,omitempty"`
	Postfix *Postfix `yaml:"postfix,omitempty"`
	RAID    *RAID    `yaml:"raid,omitempty"`
	Replica *Replica `yaml:"replica,omitempty"`
	Updates *Updates `yaml:"updates,omitempty"`
	Smart   *Smart   `yaml:"smart,omitempty"`
	SyncLog *SyncLog `yaml:"synclog,omitempty"`
}

// Collector is what can be said of every collector.
type Collector struct {
	Every   Duration          `yaml:"every"`             // from the beginning of one reading to that of the next
	Timeout Duration          `yaml:"timeout"`           // of one reading
	Command map[string]string `yaml:"command,omitempty"` // by usual name, the program that is run instead
	Root    string            `yaml:"root,omitempty"`    // a folder that stands for /
}

// Caching reads Apple's content cache.
type Caching struct {
	Collector `yaml:",inline"`
}

// Disk reads filesystems and containers.
type Disk struct {
	Collector `yaml:",inline"`
	Exclude   []string `yaml:"exclude,omitempty"` // globs of mountpoints
}

// RAID reads mirrors.
type RAID struct {
	Collector `yaml:",inline"`
	Backend   string         `yaml:"backend"`          // auto, appleraid, mdraid or btrfs
	Expect    map[string]int `yaml:"expect,omitempty"` // by array, or * for the others, how many members it must have
}

// NetBoot reads boot images.
type NetBoot struct {
	Collector `yaml:",inline"`
	Roots     []string `yaml:"roots"` // NetBootSP folders
	Hash      bool     `yaml:"hash"`  // tell images apart by their content, which reads all of it
}

// Postfix reads the mail queues.
type Postfix struct {
	Collector `yaml:",inline"`
	ConfigDir string `yaml:"config_dir,omitempty"` // of another instance than the main one
}

// Smart reads what disks say about themselves.
type Smart struct {
	Collector `yaml:",inline"`
	Devices   []SmartDevice `yaml:"devices,omitempty"` // what smartctl finds if empty
	Exclude   []string      `yaml:"exclude,omitempty"` // globs of devices
	Wake      bool          `yaml:"wake"`              // also read disks that sleep
}

// SmartDevice is a disk as smartctl names it.
type SmartDevice struct {
	Name string `yaml:"name"`
	Type string `yaml:"type,omitempty"` // for smartctl's -d
}

// SyncLog reads the logs of rsync jobs.
type SyncLog struct {
	Collector `yaml:",inline"`
	Files     []string `yaml:"files"`
}

// Replica compares shares with their origins.
type Replica struct {
	Collector `yaml:",inline"`
}

// SetDefaults implements strictyaml.Defaulter.
func (c *Caching) SetDefaults() { *c = Caching{Collector: common(time.Minute, 30*time.Second)} }

// SetDefaults implements strictyaml.Defaulter.
func (d *Disk) SetDefaults() { *d = Disk{Collector: common(time.Minute, 30*time.Second)} }

// SetDefaults implements strictyaml.Defaulter.
func (r *RAID) SetDefaults() {
	*r = RAID{Collector: common(time.Minute, 30*time.Second), Backend: "auto"}
}

// SetDefaults implements strictyaml.Defaulter.
func (n *NetBoot) SetDefaults() {
	*n = NetBoot{Collector: common(5*time.Minute, 30*time.Minute), Roots: []string{"/Library/NetBoot/NetBootSP0"}, Hash: true}
}

// SetDefaults implements strictyaml.Defaulter.
func (p *Postfix) SetDefaults() { *p = Postfix{Collector: common(30*time.Second, 20*time.Second)} }

// SetDefaults implements strictyaml.Defaulter. How often shares are compared
// is filled in later from their `rescan`.
func (r *Replica) SetDefaults() { *r = Replica{Collector: common(0, 6*time.Hour)} }

// SetDefaults implements strictyaml.Defaulter.
func (s *Smart) SetDefaults() { *s = Smart{Collector: common(10*time.Minute, time.Minute)} }

// SetDefaults implements strictyaml.Defaulter.
func (s *SyncLog) SetDefaults() { *s = SyncLog{Collector: common(5*time.Minute, 30*time.Second)} }

func common(every, timeout time.Duration) Collector {
	return Collector{Every: Duration(every), Timeout: Duration(timeout)}
}

// ByName returns what is common to the collectors that are read.
func (cs *Collectors) ByName() map[string]*Collector {
	all := make(map[string]*Collector)
	if cs.Caching != nil {
		all["caching"] = &cs.Caching.Collector
	}
	if cs.DNS != nil {
		all["dns"] = &cs.DNS.Collector
	}
	if cs.Disk != nil {
		all["disk"] = &cs.Disk.Collector
	}
	if cs.Host != nil {
		all["host"] = &cs.Host.Collector
	}
	if cs.Launchd != nil {
		all["launchd"] = &cs.Launchd.Collector
	}
	if cs.NetBoot != nil {
		all["netboot"] = &cs.NetBoot.Collector
	}
	if cs.Postfix != nil {
		all["postfix"] = &cs.Postfix.Collector
	}
	if cs.RAID != nil {
		all["raid"] = &cs.RAID.Collector
	}
	if cs.Replica != nil {
		all["replica"] = &cs.Replica.Collector
	}
	if cs.Updates != nil {
		all["updates"] = &cs.Updates.Collector
	}
	if cs.Smart != nil {
		all["smart"] = &cs.Smart.Collector
	}
	if cs.SyncLog != nil {
		all["synclog"] = &cs.SyncLog.Collector
	}
	return all
}

// raidBackends are the choices of RAID.Backend.
func raidBackends() []string { return []string{"auto", "appleraid", "btrfs", "mdraid"} }

// fillCollectors gives a configuration without collectors the default set:
// what every machine has. Mail and boot images are services that not every
// machine offers, so they are read where they are named.
func (c *checker) fillCollectors() {
	if c.Collectors == nil {
		c.Collectors = new(Collectors)
		if slices.Contains(c.known.Collectors, "disk") {
			c.Collectors.Disk = new(Disk)
			c.Collectors.Disk.SetDefaults()
		}
		if slices.Contains(c.known.Collectors, "raid") {
			c.Collectors.RAID = new(RAID)
			c.Collectors.RAID.SetDefaults()
		}
		if slices.Contains(c.known.Collectors, "replica") && len(c.Shares) > 0 {
			c.Collectors.Replica = new(Replica)
			c.Collectors.Replica.SetDefaults()
		}
	}
	if r := c.Collectors.Replica; r != nil && r.Every == 0 {
		r.Every = shortestRescan(c.Shares)
	}
	for _, common := range c.Collectors.ByName() {
		c.relative(&common.Root)
		for name, program := range common.Command {
			if strings.Contains(program, "/") {
				c.relative(&program)
				common.Command[name] = program
			}
		}
	}
	if n := c.Collectors.NetBoot; n != nil {
		for i := range n.Roots {
			c.relative(&n.Roots[i])
		}
	}
	if l := c.Collectors.Launchd; l != nil {
		c.relative(&l.DaemonsDir)
		for label, file := range l.Evidence {
			c.relative(&file)
			l.Evidence[label] = file
		}
	}
	if u := c.Collectors.Updates; u != nil {
		c.relative(&u.Preferences)
	}
	if p := c.Collectors.Postfix; p != nil {
		c.relative(&p.ConfigDir)
	}
	if s := c.Collectors.SyncLog; s != nil {
		for i := range s.Files {
			c.relative(&s.Files[i])
		}
	}
}

func (c *checker) checkCollectors() {
	for name, common := range c.Collectors.ByName() {
		path := at("collectors", name)
		if !slices.Contains(c.known.Collectors, name) {
			c.bad(at("collectors", strictyaml.Key(name)), "unknown collector %q (have %s)", name, have(c.known.Collectors))
		}
		c.duration(under(path, "every"), "every", common.Every, Duration(100*time.Millisecond))
		c.duration(under(path, "timeout"), "timeout", common.Timeout, Duration(100*time.Millisecond))
		c.checkPrograms(under(path, "command"), name, common.Command)
	}
	if r := c.Collectors.RAID; r != nil {
		c.checkRAID(r)
	}
	if d := c.Collectors.Disk; d != nil {
		for i, glob := range d.Exclude {
			if _, err := path.Match(glob, ""); err != nil || glob == "" {
				c.bad(at("collectors", "disk", "exclude", i), "exclude[%d] wants a glob of mountpoints such as /Volumes/*, not %q", i, glob)
			}
		}
	}
	if h := c.Collectors.Host; h != nil {
		c.checkHost(h)
	}
	if d := c.Collectors.DNS; d != nil {
		c.checkDNS(d)
	}
	if l := c.Collectors.Launchd; l != nil {
		c.checkLaunchd(l)
	}
	if n := c.Collectors.NetBoot; n != nil {
		for i, root := range n.Roots {
			if root == "" {
				c.bad(at("collectors", "netboot", "roots", i), "roots[%d] wants a folder, not %q", i, root)
			}
		}
	}
	if s := c.Collectors.Smart; s != nil {
		c.checkSmart(s)
	}
	if s := c.Collectors.SyncLog; s != nil {
		c.checkSyncLog(s)
	}
	if c.Collectors.Replica != nil {
		c.checkReplica()
	}
}

func (c *checker) checkPrograms(path []any, collector string, command map[string]string) {
	programs, limited := c.known.Programs[collector]
	for name, program := range command {
		if limited && !slices.Contains(programs, name) {
			c.bad(under(path, strictyaml.Key(name)), "collector %s runs no program called %q (have %s)", collector, name, have(programs))
		}
		if program == "" {
			c.bad(under(path, name), "command of %s wants a program, not %q", name, program)
		}
	}
}

func (c *checker) checkRAID(r *RAID) {
	path := at("collectors", "raid")
	c.oneOf(under(path, "backend"), "backend", r.Backend, raidBackends()...)
	for array, members := range r.Expect {
		if members < 1 {
			c.bad(under(path, "expect", array), "expect of array %q wants at least 1 member, not %d", array, members)
		}
	}
}

func (c *checker) checkSmart(s *Smart) {
	for i, device := range s.Devices {
		if device.Name == "" || strings.HasPrefix(device.Name, "-") {
			c.bad(at("collectors", "smart", "devices", i, "name"), "name of devices[%d] wants a disk as smartctl names it, such as /dev/sda, not %q", i, device.Name)
		}
		if strings.HasPrefix(device.Type, "-") {
			c.bad(at("collectors", "smart", "devices", i, "type"), "type of devices[%d] wants what smartctl takes for -d, such as sat, not %q", i, device.Type)
		}
	}
	for i, glob := range s.Exclude {
		if _, err := path.Match(glob, ""); err != nil || glob == "" {
			c.bad(at("collectors", "smart", "exclude", i), "exclude[%d] wants a glob of disks such as /dev/sd*, not %q", i, glob)
		}
	}
}

func (c *checker) checkSyncLog(s *SyncLog) {
	path := at("collectors", "synclog")
	if c.require(under(path, "files"), "collector synclog has nothing to read: it wants files") && len(s.Files) == 0 {
		c.bad(under(path, "files"), "files wants the log of at least one rsync job")
	}
	once := unique{c: c, what: "file", seen: make(map[string]int)}
	for i, file := range s.Files {
		once.add(under(path, "files", i), file)
		if file == "" {
			c.bad(under(path, "files", i), "files[%d] wants the log of an rsync job, not %q", i, file)
		}
	}
}

func (c *checker) checkReplica() {
	if len(c.Shares) == 0 && !c.doc.Has("shares") {
		c.bad(at("collectors", strictyaml.Key("replica")), "collector replica has nothing to compare: there are no shares")
	}
	if !c.doc.Has("collectors", "replica", "every") {
		return
	}
	for i := range c.Shares {
		if path := at("shares", i, "rescan"); c.doc.Has(path...) {
			c.bad(path, "rescan says the same as `every` of collector replica on line %d: give one of them",
				c.doc.Line("collectors", "replica", "every"))
		}
	}
}
