// Package softwareupdate reads what macOS's softwareupdate(8) prints: which
// updates wait to be installed, and which somebody chose to ignore.
//
// It is pure: it runs no program, reads no file and imports no other package
// of this module.
package softwareupdate

import (
	"errors"
	"fmt"
	"strings"
)

// An Update is one that softwareupdate offers.
type Update struct {
	Label       string // what it is called on command lines
	Title       string
	Version     string
	Recommended bool
	Restart     bool // it restarts the machine
}

// Bounds of what is believed.
const (
	textLimit   = 1 << 20
	updateLimit = 200
)

// ErrNoAnswer says that the text neither lists updates nor says that there are
// none: the program could not find out, and often ends well all the same.
var ErrNoAnswer = errors.New("softwareupdate does not say whether there are updates")

// ParseList reads what `softwareupdate -l` prints to both of its streams.
// Since macOS 10.15 an update has two lines:
//
//	Software Update found the following new or updated software:
//	* Label: macOS Monterey 12.6.7-21G651
//		Title: macOS Monterey 12.6.7, Version: 12.6.7, Size: 11395817K, Recommended: YES, Action: restart,
//
// and before that other two, where an asterisk stands for recommended and a
// dash for all others:
//
//	Software Update found the following new or updated software:
//	   * iTunesX-12.8.2
//		iTunes (12.8.2), 273564K [recommended] [restart]
//
// That there is none is said on standard error.
func ParseList(stdout, stderr string) ([]Update, error) {
	if len(stdout) > textLimit || len(stderr) > textLimit {
		return nil, fmt.Errorf("read softwareupdate: more than %d MiB", textLimit>>20)
	}
	_, list, found := strings.Cut(stdout, "found the following new or updated software:")
	if !found {
		if strings.Contains(stdout, "No new software available") || strings.Contains(stderr, "No new software available") {
			return nil, nil
		}
		return nil, fmt.Errorf("%w: %q", ErrNoAnswer, firstLine(stderr, stdout))
	}
	updates, err := parseUpdates(list)
	if err == nil && len(updates) == 0 {
		err = fmt.Errorf("%w: it announces some and lists none", ErrNoAnswer)
	}
	return updates, err
}

func parseUpdates(list string) ([]Update, error) {
	var updates []Update
	seen := make(map[string]bool)
	repeated := false // the update before has been listed already
	for line := range strings.Lines(list) {
		line = strings.TrimSpace(line)
		label, recommended, begins := labelOf(line)
		switch {
		case begins && seen[label]:
			repeated = true
		case begins && len(updates) == updateLimit:
			return updates, fmt.Errorf("read softwareupdate: more than %d updates", updateLimit)
		case begins:
			seen[label], repeated = true, false
			updates = append(updates, Update{Label: label, Recommended: recommended})
		case line != "" && len(updates) > 0 && !repeated && updates[len(updates)-1].Title == "":
			updates[len(updates)-1].describe(line)
		}
	}
	return updates, nil
}

// labelOf returns the label in a line that begins an update.
func labelOf(line string) (label string, recommended, ok bool) {
	rest, star := strings.CutPrefix(line, "* ")
	if !star {
		if rest, ok = strings.CutPrefix(line, "- "); !ok {
			return "", false, false
		}
	}
	if label, found := strings.CutPrefix(rest, "Label: "); found { // each has an asterisk there
		rest, star = label, false
	}
	label = clean(rest)
	return label, star, label != ""
}

// describe reads the second line of an update.
func (u *Update) describe(line string) {
	if rest, ok := strings.CutPrefix(line, "Title: "); ok {
		// Titles may hold commas, so the next field is looked for by name.
		title, fields, _ := strings.Cut(rest, ", Version: ")
		if !strings.Contains(rest, ", Version: ") {
			title, fields, _ = strings.Cut(rest, ", Size: ")
			fields = ", Size: " + fields
		}
		version, _, _ := strings.Cut(fields, ",")
		u.Title, u.Version = clean(title), clean(version)
		u.Recommended = strings.Contains(fields, ", Recommended: YES")
		u.Restart = strings.Contains(fields, ", Action: restart")
		return
	}
	u.Recommended = u.Recommended || strings.Contains(line, "[recommended]")
	u.Restart = strings.Contains(line, "[restart]")
	if open, end := strings.LastIndex(line, " ("), strings.LastIndex(line, "),"); open >= 0 && end > open {
		u.Title, u.Version = clean(line[:open]), clean(line[open+2:end])
		return
	}
	u.Title = clean(line)
}

// ParseIgnored reads what `softwareupdate --ignore` prints, with a label or
// without one: the list of all that are ignored.
//
//	Ignored updates:
//	(
//	    "macOS Catalina",
//	    iTunesXPatch
//	)
func ParseIgnored(text string) ([]string, error) {
	if len(text) > textLimit {
		return nil, fmt.Errorf("read softwareupdate: more than %d MiB", textLimit>>20)
	}
	_, list, found := strings.Cut(text, "Ignored updates:")
	if !found {
		return nil, fmt.Errorf("read softwareupdate: no list of ignored updates: %q", firstLine(text))
	}
	list = strings.TrimSpace(list)
	list, begun := strings.CutPrefix(list, "(")
	list, _, ended := strings.Cut(list, "\n)")
	if !ended {
		list, _, ended = strings.Cut(list, ")") // "()" or "(\n)" if there is none
		ended = ended && strings.TrimSpace(list) == ""
	}
	if !begun || !ended {
		return nil, errors.New("read softwareupdate: the list of ignored updates is cut off")
	}
	var ignored []string
	seen := make(map[string]bool)
	for line := range strings.Lines(list) {
		label := clean(strings.Trim(strings.TrimSuffix(strings.TrimSpace(line), ","), `"`))
		if label == "" || seen[label] {
			continue
		}
		if len(ignored) == updateLimit {
			return ignored, fmt.Errorf("read softwareupdate: more than %d ignored updates", updateLimit)
		}
		seen[label] = true
		ignored = append(ignored, label)
	}
	return ignored, nil
}

// ValidLabel tells whether label can be handed to softwareupdate: it is one
// line and no flag.
func ValidLabel(label string) bool {
	return label != "" && label == clean(label) && !strings.HasPrefix(label, "-")
}

// clean makes one short line of valid UTF-8 of text.
func clean(text string) string {
	const limit = 200
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "")
	}
	return strings.TrimSpace(text)
}

// firstLine returns the first line of the first text that has one.
func firstLine(texts ...string) string {
	for _, text := range texts {
		for line := range strings.Lines(text) {
			if line := clean(line); line != "" && line != "Software Update Tool" && !strings.HasPrefix(line, "Finding available") {
				return line
			}
		}
	}
	return ""
}
