package rules

import (
	"embed"
	"io/fs"
)

//go:embed shipped/*.yml shipped/remedies/*.yml
var shipped embed.FS

// Shipped holds the rule files that come with the program, at its top: plain
// Prometheus rule files.
func Shipped() fs.FS { return under("shipped") }

// ShippedRemedies holds the remedy files that come with the program, at its
// top. Each says what to do about one of the shipped alerts.
func ShippedRemedies() fs.FS { return under("shipped/remedies") }

func under(dir string) fs.FS {
	sub, err := fs.Sub(shipped, dir)
	if err != nil {
		panic(err) // the name is a constant
	}
	return sub
}
