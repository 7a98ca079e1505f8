package config

import (
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/minikeeper/minikeeper/internal/calendar"
	"github.com/minikeeper/minikeeper/internal/strictyaml"
)

// Store is where samples live. There is one where rules are judged.
type Store struct {
	Embedded      Embedded       `yaml:"embedded"`
	Interval      Duration       `yaml:"interval"`                 // of scraping and of judging
	ScrapeConfigs strictyaml.Raw `yaml:"scrape_configs,omitempty"` // in Prometheus's own format, not looked into
}

// Embedded is the store inside this process.
type Embedded struct {
	Retention Duration        `yaml:"retention"` // older samples are dropped
	Size      strictyaml.Size `yaml:"size"`      // the oldest samples are dropped beyond it
	Dir       string          `yaml:"dir"`
}

// SetDefaults implements strictyaml.Defaulter.
func (s *Store) SetDefaults() {
	*s = Store{Interval: Duration(30 * time.Second)}
	s.Embedded.SetDefaults()
}

// SetDefaults implements strictyaml.Defaulter.
func (e *Embedded) SetDefaults() {
	*e = Embedded{Retention: Duration(90 * 24 * time.Hour), Size: 10_000_000_000, Dir: "store"}
}

// A Calendar is a set of weekly windows.
type Calendar struct {
	Weekly   []string `yaml:"weekly"`
	Timezone string   `yaml:"timezone,omitempty"` // empty for this machine's
}

// Journal is the durable record.
type Journal struct {
	SQLite string `yaml:"sqlite"` // its file
}

// SetDefaults implements strictyaml.Defaulter.
func (j *Journal) SetDefaults() { *j = Journal{SQLite: "journal.db"} }

// Runner is what holds for all remedies.
type Runner struct {
	PageCap Duration `yaml:"page_cap"` // people are told when healing takes longer
}

// SetDefaults implements strictyaml.Defaulter.
func (r *Runner) SetDefaults() { *r = Runner{PageCap: Duration(2 * time.Hour)} }

// OpenCalendars returns the calendars, ready to be asked.
func (c *Config) OpenCalendars() (map[string]calendar.Calendar, error) {
	all := make(map[string]calendar.Calendar, len(c.Calendars))
	for name, cal := range c.Calendars {
		parsed, err := calendar.Parse(name, cal.Weekly, cal.Timezone)
		if err != nil {
			return nil, err
		}
		all[name] = parsed
	}
	return all, nil
}

// fillHub sets the defaults of what a hub has. State lies in data_dir, not
// beside the file.
func (c *checker) fillHub() {
	resolve(c.DataDir, &c.Journal.SQLite)
	if c.Store == nil {
		return
	}
	resolve(c.DataDir, &c.Store.Embedded.Dir)
	if c.Rules == nil {
		c.Rules = []string{builtin}
	}
}

func (c *checker) checkHub() {
	if c.Store != nil {
		c.checkStore()
	} else {
		c.needsStore("rules", len(c.Rules))
		c.needsStore("remedies", len(c.Remedies))
	}
	c.files("rules", c.Rules, &c.RuleFiles)
	c.files("remedies", c.Remedies, &c.RemedyFiles)
	for name := range c.Calendars {
		c.checkCalendar(name)
	}
	if c.Journal.SQLite == "" {
		c.bad(at("journal", "sqlite"), "sqlite wants the path of a file")
	}
	c.duration(at("runner", "page_cap"), "page_cap", c.Runner.PageCap, Duration(time.Second))
}

func (c *checker) needsStore(key string, n int) {
	if n > 0 && !c.doc.Has("store") {
		c.bad(at(strictyaml.Key(key)), "%s need a store: give store: {embedded: {}}", key)
	}
}

func (c *checker) checkStore() {
	s := c.Store
	c.duration(at("store", "interval"), "interval", s.Interval, Duration(100*time.Millisecond))
	c.duration(at("store", "embedded", "retention"), "retention", s.Embedded.Retention, Duration(time.Hour))
	if s.Embedded.Size < 1_000_000 {
		c.bad(at("store", "embedded", "size"), "size wants at least 1MB, not %v", s.Embedded.Size)
	}
	if s.Embedded.Dir == "" {
		c.bad(at("store", "embedded", "dir"), "dir wants a folder")
	}
	if !s.ScrapeConfigs.IsZero() && s.ScrapeConfigs.Node.Kind != yaml.SequenceNode {
		c.bad(at("store", "scrape_configs"), "scrape_configs wants a list, as in Prometheus's own configuration")
	}
}

func (c *checker) checkCalendar(name string) {
	cal, path := c.Calendars[name], at("calendars", name)
	c.name(at("calendars", strictyaml.Key(name)), "calendar", name)
	if len(cal.Weekly) == 0 {
		c.bad(under(path, "weekly"), "calendar %q has no windows, so it would never be open: give weekly", name)
	}
	for i, w := range cal.Weekly {
		if _, err := calendar.ParseWindow(w); err != nil {
			c.bad(under(path, "weekly", i), "weekly[%d] %v", i, err)
		}
	}
	if _, err := calendar.Zone(cal.Timezone); err != nil {
		c.bad(under(path, "timezone"), "timezone %v", err)
	}
}
