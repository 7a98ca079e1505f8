package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/minikeeper/minikeeper/delta"
)

// oneDirectory returns the folder that --from names.
func oneDirectory(from []string) (string, error) {
	switch len(from) {
	case 0:
		return "", wrongAsk(errors.New("minikeeper: --from SOURCE is needed: the folder that is copied from"))
	case 1:
	default:
		return "", wrongAsk(fmt.Errorf("minikeeper: one --from is possible, but got %d", len(from)))
	}
	source := from[0]
	if path, ok := strings.CutPrefix(source, "file://"); ok && strings.HasPrefix(path, "/") {
		return path, nil
	}
	if source == "" || isRemote(source) {
		return "", wrongAsk(fmt.Errorf("minikeeper: source %q is no folder of this machine, and no other kind of source can be read yet", source))
	}
	return source, nil
}

// isRemote tells whether source is spelled as a URL or as rsync spells another
// machine's folder (HOST:PATH), and is no folder here.
func isRemote(source string) bool {
	if _, err := os.Stat(source); err == nil {
		return false
	}
	host, _, colon := strings.Cut(source, ":")
	return colon && host != "" && !strings.Contains(host, "/")
}

// treesError gives an error of the library its exit status.
func treesError(err error) error {
	tooMany, isTooMany := errors.AsType[*delta.TooManyDeletesError](err)
	locked, isLocked := errors.AsType[*delta.LockedError](err)
	switch {
	case isTooMany:
		return wrongWorld(fmt.Errorf("refused: %w; see --max-delete", tooMany))
	case isLocked:
		return wrongWorld(fmt.Errorf("refused: %w", locked))
	case errors.Is(err, delta.ErrOriginEmpty):
		return wrongWorld(fmt.Errorf("refused: %w: is its disk mounted?", delta.ErrOriginEmpty))
	case errors.Is(err, delta.ErrSameTree), errors.Is(err, delta.ErrPattern):
		return wrongAsk(err)
	default:
		return cannotTell(err)
	}
}

// printProblems prints the paths that could not be dealt with.
func printProblems(w io.Writer, problems []delta.Problem) {
	for _, p := range problems {
		path := p.Path
		if path == "" {
			path = "."
		}
		fmt.Fprintf(w, "%s: %v\n", showPath(path), p.Err)
	}
}

// showPath shows a path as it is if a terminal and a reader of lines can take
// it, and quoted otherwise.
func showPath(path string) string {
	strange := func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError || r == '"' || r == '\\' }
	if strings.ContainsFunc(path, strange) || strings.TrimSpace(path) != path || path == "" {
		return strconv.Quote(path)
	}
	return path
}

// showBytes shows a size as people read it.
func showBytes(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1000, 0
	for value >= 999.5 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	return fmt.Sprintf("%.3g %cB", value, units[unit])
}

// A pathJSON is a path in JSON, whose strings cannot hold every path.
type pathJSON struct {
	Path       string `json:"path"`
	PathBase64 string `json:"path_base64,omitempty"` // the bytes, where they are not UTF-8
}

func newPathJSON(path string) pathJSON {
	if utf8.ValidString(path) {
		return pathJSON{Path: path}
	}
	return pathJSON{Path: strings.ToValidUTF8(path, "\uFFFD"), PathBase64: base64.StdEncoding.EncodeToString([]byte(path))}
}

type entryJSON struct {
	pathJSON
	Kind delta.Kind `json:"kind"`
}

type problemJSON struct {
	pathJSON
	Error string `json:"error"`
}

// A driftJSON is what drift prints with --json.
type driftJSON struct {
	Counts   map[delta.Kind]int64 `json:"counts"`
	Bytes    int64                `json:"bytes"`
	Entries  []entryJSON          `json:"entries"`
	Problems []problemJSON        `json:"problems,omitempty"`
}

func newDriftJSON(r delta.Report) driftJSON {
	d := driftJSON{Counts: r.Counts, Bytes: r.DriftBytes, Entries: make([]entryJSON, len(r.Entries)), Problems: newProblemsJSON(r.Problems)}
	for i, e := range r.Entries {
		d.Entries[i] = entryJSON{newPathJSON(e.Path), e.Kind}
	}
	return d
}

func newProblemsJSON(problems []delta.Problem) []problemJSON {
	out := make([]problemJSON, len(problems))
	for i, p := range problems {
		out[i] = problemJSON{newPathJSON(p.Path), p.Err.Error()}
	}
	return out
}
