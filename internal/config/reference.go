package config

import _ "embed"

//go:embed reference.yml
var reference string

// Reference returns an example of a configuration in which every key is
// explained, with its default.
func Reference() string { return reference }
