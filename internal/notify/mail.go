package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
)

// relayTimeout bounds the talk with one relay, so that a silent one leaves
// time for the next.
const relayTimeout = 20 * time.Second

// The values of MailOptions.TLS.
const (
	TLSWhereOffered = ""         // STARTTLS if the relay offers it
	TLSNone         = "none"     // never
	TLSStart        = "starttls" // STARTTLS, or no mail
	TLSDirect       = "tls"      // from the first byte
)

// MailOptions describe a mail channel.
type MailOptions struct {
	SMTP     []string // relays as HOST:PORT, tried in order; the port is 25, or 465 for TLSDirect, if left out
	TLS      string
	User     string // "" does not log in
	Password string
	From     string // an address, with or without a name
	To       []string

	// HELO is the name that minikeeper gives as its own. "" finds the
	// machine's full name out.
	HELO string

	// TLSConfig may name the authorities that relays' certificates are
	// checked against; nil: the system's own.
	TLSConfig *tls.Config
}

// Mail sends messages by SMTP.
type Mail struct {
	o    MailOptions
	from *netmail.Address
	to   []*netmail.Address
}

var _ Channel = (*Mail)(nil)

// NewMail returns a Channel that sends mail. All that is wrong with o is in the
// error.
func NewMail(o MailOptions) (*Mail, error) {
	var bad []error
	m := &Mail{o: o}
	if !slices.Contains([]string{TLSWhereOffered, TLSNone, TLSStart, TLSDirect}, o.TLS) {
		bad = append(bad, fmt.Errorf("unknown tls %q (have none, starttls, tls)", o.TLS))
	}
	if len(o.SMTP) == 0 {
		bad = append(bad, errors.New("mail needs at least one relay in smtp"))
	}
	from, err := netmail.ParseAddress(o.From)
	if err != nil {
		bad = append(bad, fmt.Errorf("from %q: %w", o.From, err))
	}
	m.from = from
	if len(o.To) == 0 {
		bad = append(bad, errors.New("mail needs at least one recipient in to"))
	}
	for _, s := range o.To {
		to, err := netmail.ParseAddress(s)
		if err != nil {
			bad = append(bad, fmt.Errorf("to %q: %w", s, err))
			continue
		}
		m.to = append(m.to, to)
	}
	m.o.SMTP = make([]string, len(o.SMTP))
	for i, relay := range o.SMTP {
		m.o.SMTP[i] = withPort(relay, o.TLS)
	}
	return m, errors.Join(bad...)
}

func withPort(relay, security string) string {
	if _, _, err := net.SplitHostPort(relay); err == nil {
		return relay
	}
	port := "25"
	if security == TLSDirect {
		port = "465"
	}
	return net.JoinHostPort(strings.Trim(relay, "[]"), port)
}

// Recipients implements Channel.
func (m *Mail) Recipients() []string {
	addresses := make([]string, len(m.to))
	for i, to := range m.to {
		addresses[i] = to.Address
	}
	return addresses
}

// Send implements Channel: it offers the message to the relays in order, to
// each for those whom none before took it for.
func (m *Mail) Send(ctx context.Context, msg Message, to []string) map[string]error {
	outcome := make(map[string]error, len(to))
	letter, err := m.build(msg)
	if err != nil {
		return all(to, &Failure{Err: fmt.Errorf("write mail: %w", err), Permanent: true})
	}
	left := to
	for _, relay := range m.o.SMTP {
		answers := m.through(ctx, relay, letter, left)
		var refused []string
		for _, recipient := range left {
			outcome[recipient] = worse(outcome[recipient], answers[recipient])
			if outcome[recipient] != nil {
				refused = append(refused, recipient)
			}
		}
		if left = refused; len(left) == 0 || ctx.Err() != nil {
			break
		}
	}
	return outcome
}

// worse joins what two relays said about one recipient. The message was taken
// if the later took it; it is refused for good if both say so, and the channel
// is down if neither talked about the message.
func worse(before, now error) error {
	if before == nil || now == nil {
		return now
	}
	a, aOK := errors.AsType[*Failure](before)
	b, bOK := errors.AsType[*Failure](now)
	return &Failure{
		Err:       fmt.Errorf("%w; %w", before, now),
		Permanent: aOK && bOK && a.Permanent && b.Permanent,
		Channel:   aOK && bOK && a.Channel && b.Channel,
	}
}

// build writes the mail. It is the same for all recipients and relays.
func (m *Mail) build(msg Message) (*mail.Msg, error) {
	letter := mail.NewMsg(mail.WithNoDefaultUserAgent())
	letter.FromMailAddress(m.from)
	letter.ToMailAddress(m.to...)
	letter.Subject(msg.Subject)
	letter.SetDateWithValue(msg.At)
	_, domain, _ := strings.Cut(m.from.Address, "@")
	letter.SetMessageIDWithValue(msg.ID + "@" + domain)
	if msg.Thread != "" {
		// Nobody ever sent the message with this id; clients thread by it
		// nevertheless, and it needs no memory of what was sent first.
		root := "<" + msg.Thread + "@" + domain + ">"
		letter.SetGenHeader(mail.HeaderInReplyTo, root)
		letter.SetGenHeader(mail.HeaderReferences, root)
	}
	letter.SetGenHeader("Auto-Submitted", "auto-generated") // no holiday replies, RFC 3834
	letter.SetGenHeader(mail.HeaderXAutoResponseSuppress, "All")
	if msg.Run != "" {
		letter.SetGenHeader("X-Minikeeper-Run", oneLine(msg.Run))
	}
	letter.SetBodyString(mail.TypeTextPlain, msg.Text)
	letter.AddAlternativeString(mail.TypeTextHTML, msg.HTML)
	if _, err := letter.GetSender(false); err != nil {
		return nil, err
	}
	return letter, nil
}

// helo returns a full name for this machine: relays refuse "localhost", and
// some any name without a dot.
func (m *Mail) helo(ctx context.Context) string {
	if m.o.HELO != "" {
		return m.o.HELO
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "minikeeper"
	}
	if strings.Contains(host, ".") {
		return host
	}
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if full, err := net.DefaultResolver.LookupCNAME(short, host); err == nil && strings.Contains(strings.Trim(full, "."), ".") {
		return strings.TrimSuffix(full, ".")
	}
	_, domain, _ := strings.Cut(m.from.Address, "@")
	return host + "." + domain
}
