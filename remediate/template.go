package remediate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Template is a text in which {{ .label }} stands for the value of one of
// the alert's labels. It has no functions, conditions or loops.
type Template struct {
	text  string
	parts []part
}

// A part of a template is plain text, or the name of a label.
type part struct{ text, label string }

// ParseTemplate reads a template.
func ParseTemplate(text string) (Template, error) {
	t := Template{text: text}
	for rest := text; rest != ""; {
		plain, after, found := strings.Cut(rest, "{{")
		if plain != "" {
			t.parts = append(t.parts, part{text: plain})
		}
		if !found {
			break
		}
		inner, tail, closed := strings.Cut(after, "}}")
		if !closed {
			return Template{}, errors.New("wants }} after {{")
		}
		label, dotted := strings.CutPrefix(strings.TrimSpace(inner), ".")
		if !dotted || !isLabelName(label) {
			return Template{}, fmt.Errorf("wants a label as in {{ .server }}, not {{%s}}", inner)
		}
		t.parts = append(t.parts, part{label: label})
		rest = tail
	}
	return t, nil
}

// isLabelName tells whether s can be the name of a label.
func isLabelName(s string) bool {
	for i, r := range s {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// String returns the template as it was written.
func (t Template) String() string { return t.text }

// Labels returns the labels that t names, each once, in order.
func (t Template) Labels() []string {
	var labels []string
	for _, p := range t.parts {
		if p.label != "" && !slices.Contains(labels, p.label) {
			labels = append(labels, p.label)
		}
	}
	return labels
}

// Render fills in labels. A label that is missing is an error: an empty value
// would make the text mean something else.
func (t Template) Render(labels map[string]string) (string, error) {
	return t.render(labels, func(value string) string { return value })
}

// RenderExpr fills in labels as the inside of quoted strings of PromQL. What
// could end the string is escaped: a label's value comes from outside, and
// must not become a part of the expression.
func (t Template) RenderExpr(labels map[string]string) (string, error) {
	return t.render(labels, escapeExpr)
}

func (t Template) render(labels map[string]string, show func(string) string) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.label == "" {
			b.WriteString(p.text)
			continue
		}
		value, ok := labels[p.label]
		if !ok || value == "" {
			return "", fmt.Errorf("the alert has no label %q, which %q needs", p.label, t.text)
		}
		b.WriteString(show(value))
	}
	return b.String(), nil
}

// escapeExpr writes quotes, backslashes and control characters of s as \xNN,
// which means the same between either kind of quotes.
func escapeExpr(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c == '"' || c == '\'' || c == '`' || c == '\\':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
