package main

import "runtime/debug"

// buildVersion is the version that this binary was built from.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (version == "" || version == "(devel)") {
			version = "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	if version == "" {
		return "unknown"
	}
	return version
}
