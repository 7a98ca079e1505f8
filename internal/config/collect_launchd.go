package config

import (
	"slices"
	"strings"
	"time"
)

// Launchd reads jobs of macOS's launchd.
type Launchd struct {
	Collector  `yaml:",inline"`
	Labels     []string          `yaml:"labels,omitempty"`   // of jobs; all that have a file in DaemonsDir if empty
	DaemonsDir string            `yaml:"daemons_dir"`        // folder of property lists
	Evidence   map[string]string `yaml:"evidence,omitempty"` // by label, a file that the job writes on each run
}

// SetDefaults implements strictyaml.Defaulter.
func (l *Launchd) SetDefaults() {
	*l = Launchd{Collector: common(time.Minute, 30*time.Second), DaemonsDir: "/Library/LaunchDaemons"}
}

func (c *checker) checkLaunchd(l *Launchd) {
	path := at("collectors", "launchd")
	if l.DaemonsDir == "" {
		c.bad(under(path, "daemons_dir"), "daemons_dir wants a folder, not %q", l.DaemonsDir)
	}
	for i, label := range l.Labels {
		if label == "" || strings.HasPrefix(label, "-") || strings.HasPrefix(label, ".") || strings.ContainsAny(label, "/ \t\n") {
			c.bad(under(path, "labels", i), "labels[%d] wants the label of a job such as com.example.sync, not %q", i, label)
		} else if slices.Contains(l.Labels[:i], label) {
			c.bad(under(path, "labels", i), "labels[%d] is %q again", i, label)
		}
	}
	for label, file := range l.Evidence {
		if file == "" {
			c.bad(under(path, "evidence", label), "evidence of %s wants a file, not %q", label, file)
		}
	}
}
