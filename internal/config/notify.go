package config

import (
	"maps"
	"net/mail"
	"slices"
	"strings"

	"github.com/minikeeper/minikeeper/internal/matcher"
	"github.com/minikeeper/minikeeper/internal/strictyaml"
)

// Notify is how people are told.
type Notify struct {
	Channels map[string]Channel `yaml:"channels,omitempty"`
	Routes   []Route            `yaml:"routes,omitempty"`
}

// A Channel is one way to people. Its kind is told by its keys; the keys of
// the other kinds are empty.
type Channel struct {
	// Mail.
	SMTP         []string `yaml:"smtp,omitempty"` // HOST:PORT of relays, tried in order
	TLS          string   `yaml:"tls,omitempty"`  // none, starttls or tls; empty for STARTTLS where it is offered
	User         string   `yaml:"user,omitempty"`
	Password     Secret   `yaml:"password,omitempty"` // reads PasswordFile if that is given
	PasswordFile string   `yaml:"password_file,omitempty"`
	From         string   `yaml:"from,omitempty"`
	To           []string `yaml:"to,omitempty"`

	// Slack.
	Token     Secret `yaml:"token,omitempty"` // reads TokenFile if that is given
	TokenFile string `yaml:"token_file,omitempty"`
	Channel   string `yaml:"channel,omitempty"`
	APIURL    string `yaml:"api_url,omitempty"` // another address than Slack's own

	// Any kind. While an alert fires that fits all of these, the channel is skipped.
	DependsOn matcher.Matchers `yaml:"depends_on,omitempty"`
}

// A Route says over which channels people hear of which alerts.
type Route struct {
	Match    matcher.Matchers `yaml:"match,omitempty"` // all must fit; none fit everything
	Channels []string         `yaml:"channels"`        // in order: the next takes over when one is down
}

// The kinds of channel.
const (
	Mail  = "mail"
	Slack = "slack"
)

// Kind returns which kind of channel ch is, or "".
func (ch Channel) Kind() string {
	switch {
	case len(ch.SMTP) > 0:
		return Mail
	case ch.Channel != "":
		return Slack
	default:
		return ""
	}
}

// kindKeys are the keys that belong to one kind only; the first tells the kind.
func kindKeys() map[string][]string {
	return map[string][]string{
		Mail:  {"smtp", "tls", "user", "password", "password_file", "from", "to"},
		Slack: {"channel", "token", "token_file", "api_url"},
	}
}

func (c *checker) checkNotify() {
	names := slices.Sorted(maps.Keys(c.Notify.Channels))
	for _, name := range names {
		ch := c.Notify.Channels[name]
		c.name(at("notify", "channels", strictyaml.Key(name)), "channel", name)
		c.checkChannel(at("notify", "channels", name), name, &ch)
		c.Notify.Channels[name] = ch
	}
	if c.Notify.Routes == nil && len(names) > 0 {
		c.Notify.Routes = []Route{{Channels: names}}
	}
	for i, r := range c.Notify.Routes {
		path := at("notify", "routes", i, "channels")
		if len(r.Channels) == 0 {
			c.bad(path, "routes[%d] leads to no channels", i)
		}
		for j, name := range r.Channels {
			if !slices.Contains(names, name) {
				c.bad(under(path, j), "unknown channel %q (have %s)", name, have(names))
			}
		}
	}
}

func (c *checker) checkChannel(path []any, name string, ch *Channel) {
	isMail, isSlack := c.hasAny(path, kindKeys()[Mail]), c.hasAny(path, kindKeys()[Slack])
	switch {
	case isMail && isSlack:
		c.bad(at("notify", "channels", strictyaml.Key(name)), "channel %q is mail (smtp) and Slack (channel) at once: make it two", name)
	case isMail:
		c.checkMail(path, name, ch)
	case isSlack:
		c.checkSlack(path, name, ch)
	default:
		c.bad(at("notify", "channels", strictyaml.Key(name)), "channel %q is neither mail (smtp, from, to) nor Slack (channel, token_file)", name)
	}
}

func (c *checker) hasAny(path []any, keys []string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { return c.doc.Has(under(path, key)...) })
}

func (c *checker) checkMail(path []any, name string, ch *Channel) {
	if c.require(under(path, "smtp"), "channel %q has no smtp: which relay takes its mail?", name) && len(ch.SMTP) == 0 {
		c.bad(under(path, "smtp"), "smtp wants a list of relays such as [relay1:25]")
	}
	for i, relay := range ch.SMTP {
		if !isAddress(relay) || strings.HasPrefix(relay, ":") {
			c.bad(under(path, "smtp", i), "smtp[%d] wants HOST:PORT such as relay1:25, not %q", i, relay)
		}
	}
	if c.doc.Has(under(path, "tls")...) {
		c.oneOf(under(path, "tls"), "tls", ch.TLS, "none", "starttls", "tls")
	}
	if c.require(under(path, "from"), "channel %q has no from", name) && !isMailAddress(ch.From) {
		c.bad(under(path, "from"), "from wants a mail address such as minikeeper@example.com, not %q", ch.From)
	}
	if c.require(under(path, "to"), "channel %q has no to", name) && len(ch.To) == 0 {
		c.bad(under(path, "to"), "to wants a list of mail addresses")
	}
	for i, to := range ch.To {
		if !isMailAddress(to) {
			c.bad(under(path, "to", i), "to[%d] wants a mail address such as macadmins@example.com, not %q", i, to)
		}
	}
	hasPassword := c.checkSecret(path, "password", &ch.Password, &ch.PasswordFile)
	if hasPassword != c.doc.Has(under(path, "user")...) {
		c.bad(path, "user and password_file belong together: give both or neither")
	}
	if hasPassword && ch.TLS == "none" {
		c.bad(under(path, "tls"), "tls none would send the password in the clear: use starttls or tls")
	}
}

func (c *checker) checkSlack(path []any, name string, ch *Channel) {
	if c.require(under(path, "channel"), "channel %q does not say which channel of Slack: give channel, such as \"#minis\"", name) && ch.Channel == "" {
		c.bad(under(path, "channel"), "channel wants a channel of Slack such as \"#minis\"")
	}
	if !c.checkSecret(path, "token", &ch.Token, &ch.TokenFile) {
		c.bad(path, "channel %q has no token: give token_file", name)
	}
	if c.doc.Has(under(path, "api_url")...) {
		if err := httpURL(ch.APIURL); err != nil {
			c.bad(under(path, "api_url"), "api_url %v", err)
		}
	}
}

// checkSecret looks at the two ways to give a secret: KEY_file names a file,
// and KEY holds an environment variable. It tells whether one is given, and
// makes the secret read the file if that is the one.
func (c *checker) checkSecret(path []any, key string, s *Secret, file *string) bool {
	inText, inFile := c.doc.Has(under(path, key)...), c.doc.Has(under(path, key+"_file")...)
	switch {
	case inText && inFile:
		c.bad(under(path, key), "%s and %s_file say the same: give one of them", key, key)
	case inText && !strings.Contains(c.doc.Written(under(path, key)...), "${"):
		c.bad(under(path, key), "%s wants an environment variable such as ${MAIL_PASSWORD}: a secret does not stand in this file", key)
	case inText && s.Value == "":
		c.bad(under(path, key), "%s is empty", key)
	case inFile && *file == "":
		c.bad(under(path, key+"_file"), "%s_file wants the path of a file", key)
	case inFile:
		c.relative(file)
		s.File = *file
	}
	return inText || inFile
}

// isMailAddress tells whether s is an address that mail can be sent to, with
// or without a name before it.
func isMailAddress(s string) bool {
	_, err := mail.ParseAddress(s)
	return err == nil
}
