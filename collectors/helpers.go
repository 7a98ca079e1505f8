package collectors

import (
	"bytes"
	"cmp"
	"context"
	"fmt"

	"github.com/minikeeper/minikeeper"
)

// output runs the program usually called name, or the path that command names
// for it, and returns what it printed. An exit status other than zero is an
// error that carries the first line of what the program complained about; what
// it printed until then is returned beside it.
func (d Deps) output(ctx context.Context, command map[string]string, name string, args ...string) ([]byte, error) {
	c := minikeeper.Command{Path: cmp.Or(command[name], name), Args: args}
	res, err := d.Run.Run(ctx, c)
	if err != nil {
		return nil, err // it names the program already
	}
	if res.Exit != 0 {
		said := cmp.Or(firstLine(res.Stderr), firstLine(res.Stdout), "it said nothing")
		return res.Stdout, fmt.Errorf("%s: exit status %d: %s", c, res.Exit, said)
	}
	return res.Stdout, nil
}

// labels makes labels of name and value pairs.
func labels(pairs ...string) []minikeeper.Label {
	made := make([]minikeeper.Label, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		made = append(made, minikeeper.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return made
}

// sample makes a sample whose labels are name and value pairs.
func sample(name string, value float64, pairs ...string) minikeeper.Sample {
	return minikeeper.Sample{Name: name, Labels: labels(pairs...), Value: value}
}

// bool01 is a truth as a sample's value.
func bool01(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// firstLineLimit bounds how much of a program's words goes into an error.
const firstLineLimit = 200

// firstLine returns the first line of b that is not blank, shortened.
func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(b), []byte("\n"))
	line = bytes.TrimSpace(line)
	if len(line) > firstLineLimit {
		return string(bytes.ToValidUTF8(line[:firstLineLimit], nil)) + "…"
	}
	return string(bytes.ToValidUTF8(line, []byte("?")))
}
