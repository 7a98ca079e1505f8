package config

import "time"

// Updates reads which updates of macOS wait, and which are ignored.
type Updates struct {
	Collector   `yaml:",inline"`
	Preferences string `yaml:"preferences,omitempty"` // softwareupdate's property list, if not the usual one
}

// SetDefaults implements strictyaml.Defaulter. A list of updates asks Apple's
// servers, and takes minutes where they are slow.
func (u *Updates) SetDefaults() { *u = Updates{Collector: common(6*time.Hour, 10*time.Minute)} }
