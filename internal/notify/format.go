package notify

import (
	"html/template"
	"slices"
	"strings"

	"github.com/slack-go/slack"
)

// text is complete in itself, in lines of any length.
func (l letter) text() string {
	var b strings.Builder
	put := func(s string) { b.WriteString(s + "\n") }
	put(l.headline)
	put("")
	put(l.lead)
	if l.late != "" {
		put("")
		put(l.late)
	}
	for _, s := range l.sections {
		put("")
		put(s.title)
		for _, line := range s.lines {
			put("  " + line)
		}
	}
	put("")
	put("What is asked of you")
	if len(l.ask) == 0 {
		put("  Nothing.")
	}
	for _, line := range l.ask {
		put("  " + line)
	}
	for _, c := range l.commands {
		put("    " + c)
	}
	put("")
	put("-- ")
	put(l.footer)
	return b.String()
}

// page is plain on purpose: it is read on telephones and in old clients.
const page = `<!DOCTYPE html>
<html><head><meta charset="utf-8"></head>
<body style="font-family: -apple-system, 'Segoe UI', Roboto, sans-serif; font-size: 15px; line-height: 1.45; color: #222; max-width: 44em">
<p style="font-size: 18px"><b>{{.Headline}}</b></p>
<p>{{.Lead}}</p>
{{if .Late}}<p style="color: #8a5a00">{{.Late}}</p>
{{end}}{{range .Sections}}<h3 style="font-size: 15px; margin-bottom: 4px">{{.Title}}</h3>
<div>{{range .Lines}}<div>{{.}}</div>
{{end}}</div>
{{end}}<h3 style="font-size: 15px; margin-bottom: 4px">What is asked of you</h3>
<div>{{range .Ask}}<div>{{.}}</div>
{{else}}<div>Nothing.</div>
{{end}}{{range .Commands}}<div><code>{{.}}</code></div>
{{end}}</div>
<p style="color: #777; font-size: 12px">{{.Footer}}</p>
</body></html>
`

// html escapes everything that comes from outside.
func (l letter) html() string {
	type shown struct {
		Title string
		Lines []string
	}
	sections := make([]shown, len(l.sections))
	for i, s := range l.sections {
		sections[i] = shown{s.title, s.lines}
	}
	var b strings.Builder
	t := template.Must(template.New("page").Parse(page))
	err := t.Execute(&b, map[string]any{
		"Headline": l.headline, "Lead": l.lead, "Late": l.late, "Sections": sections,
		"Ask": l.ask, "Commands": l.commands, "Footer": l.footer,
	})
	if err != nil {
		return "" // strings only: it cannot fail, and the text says the same
	}
	return b.String()
}

// Slack's bounds, in characters.
const (
	slackHeader  = 150
	slackSection = 2900
)

// blocks are the message for Slack.
func (l letter) blocks() []slack.Block {
	header := slack.NewTextBlockObject(slack.PlainTextType, clip(l.headline, slackHeader), false, false)
	list := []slack.Block{slack.NewHeaderBlock(header), markdown(mrkdwn(l.lead))}
	if l.late != "" {
		list = append(list, markdown("_"+mrkdwn(l.late)+"_"))
	}
	for _, s := range l.sections {
		list = append(list, titled(s.title, s.lines))
	}
	asked := l.ask
	if len(asked) == 0 {
		asked = []string{"Nothing."}
	}
	list = append(list, titled("What is asked of you", append(slices.Clip(asked), l.commands...)))
	footer := slack.NewTextBlockObject(slack.PlainTextType, clip(l.footer, slackHeader), false, false)
	return append(list, slack.NewContextBlock("", footer))
}

func titled(title string, lines []string) slack.Block {
	escaped := make([]string, len(lines))
	for i, line := range lines {
		escaped[i] = mrkdwn(line)
	}
	return markdown("*" + title + "*\n" + strings.Join(escaped, "\n"))
}

func markdown(s string) slack.Block {
	return slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, clip(s, slackSection), false, false), nil, nil)
}

// mrkdwn escapes s, so that a label can neither mention people nor make links.
func mrkdwn(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
