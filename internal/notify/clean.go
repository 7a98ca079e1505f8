package notify

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// oneLine makes s fit for a header or a line: labels, paths and what programs
// print are hostile. Line breaks and other control characters become blanks, so
// that none can begin a header of its own; marks that turn the direction of
// writing round are dropped.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		default:
			return r
		}
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(s), " ")
}

// lines makes s fit for a block of text, and returns the last n of its lines.
func lines(s string, n int) []string {
	var all []string
	for line := range strings.Lines(strings.ReplaceAll(s, "\r", "\n")) {
		if line = oneLine(line); line != "" {
			all = append(all, clip(line, 200))
		}
	}
	if len(all) > n {
		all = append([]string{"…"}, all[len(all)-n:]...)
	}
	return all
}

// clip shortens s to n characters.
func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
