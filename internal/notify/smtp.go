package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// through offers letter to one relay for the recipients to. go-mail's own
// client refuses the whole message if one recipient is refused, so the
// transaction is ours.
func (m *Mail) through(ctx context.Context, relay string, letter *mail.Msg, to []string) map[string]error {
	ctx, cancel := context.WithTimeout(ctx, relayTimeout)
	defer cancel()
	client, err := m.dial(ctx, relay)
	if err != nil {
		return all(to, &Failure{Err: fmt.Errorf("%s: %w", relay, err), Channel: true})
	}
	outcome := m.transact(client, relay, letter, to)
	// The relay has answered for the message, so a bad farewell changes nothing.
	_ = client.Quit()
	return outcome
}

// dial connects, encrypts and logs in as configured. The connection is closed
// when ctx ends: the client's own Close would wait for what it is reading.
func (m *Mail) dial(ctx context.Context, relay string) (*smtp.Client, error) {
	host, _, err := net.SplitHostPort(relay)
	if err != nil {
		return nil, err
	}
	conn, err := m.connect(ctx, relay, host)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	client, err := smtp.NewClient(conn, host)
	if err != nil {
		return nil, inTime(ctx, fmt.Errorf("greeting: %w", err))
	}
	if err := m.open(ctx, client, host); err != nil {
		return nil, inTime(ctx, err)
	}
	return client, nil
}

// inTime says that time ran out, where a closed connection was the result.
func inTime(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}

func (m *Mail) connect(ctx context.Context, relay, host string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: relayTimeout / 2}
	if m.o.TLS != TLSDirect {
		return dialer.DialContext(ctx, "tcp", relay)
	}
	return (&tls.Dialer{NetDialer: &dialer, Config: m.certificates(host)}).DialContext(ctx, "tcp", relay)
}

// open says hello, starts TLS and logs in.
func (m *Mail) open(ctx context.Context, client *smtp.Client, host string) error {
	if err := client.Hello(m.helo(ctx)); err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	client.SkipSMTPUTF8(ascii(m.Recipients()) && ascii([]string{m.from.Address}))
	offered, _ := client.Extension("STARTTLS")
	switch {
	case m.o.TLS == TLSStart && !offered:
		return errors.New("the relay does not offer STARTTLS")
	case m.o.TLS == TLSStart, m.o.TLS == TLSWhereOffered && offered:
		if err := client.StartTLS(m.certificates(host)); err != nil {
			return fmt.Errorf("STARTTLS: %w", err)
		}
	}
	if m.o.User == "" {
		return nil
	}
	return m.logIn(client, host)
}

// certificates says how a relay proves who it is. Where encryption is taken
// only if offered, plain text would do as well, so any certificate is better;
// but no password is ever sent to a relay that did not prove its name.
func (m *Mail) certificates(host string) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if m.o.TLSConfig != nil {
		config = m.o.TLSConfig.Clone()
	}
	config.ServerName = host
	if m.o.TLS == TLSWhereOffered && m.o.User == "" {
		config.InsecureSkipVerify = true
	}
	return config
}

// logIn uses the best of what the relay offers. PLAIN and LOGIN are refused
// without encryption.
func (m *Mail) logIn(client *smtp.Client, host string) error {
	ok, offered := client.Extension("AUTH")
	mechanisms := strings.Fields(strings.ToUpper(offered))
	has := func(name string) bool {
		return slices.Contains(mechanisms, name)
	}
	var auth smtp.Auth
	switch {
	case !ok:
		return errors.New("log in: the relay offers no AUTH")
	case has("SCRAM-SHA-256"):
		auth = smtp.ScramSHA256Auth(m.o.User, m.o.Password)
	case has("PLAIN"):
		auth = smtp.PlainAuth("", m.o.User, m.o.Password, host, false)
	case has("LOGIN"):
		auth = smtp.LoginAuth(m.o.User, m.o.Password, host, false)
	default:
		return fmt.Errorf("log in: the relay offers only %s", oneLine(offered))
	}
	if err := client.Auth(auth); err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	return nil
}

// transact performs MAIL, RCPT and DATA. Recipients that the relay refuses do
// not keep the others from their mail.
func (m *Mail) transact(client *smtp.Client, relay string, letter *mail.Msg, to []string) map[string]error {
	if err := client.Mail("<" + m.from.Address + ">"); err != nil {
		return all(to, &Failure{Err: fmt.Errorf("%s: sender: %w", relay, err), Channel: true})
	}
	outcome := make(map[string]error, len(to))
	var taken []string
	for _, recipient := range to {
		if err := client.Rcpt("<" + recipient + ">"); err != nil {
			outcome[recipient] = answer(relay, "recipient", err)
			continue
		}
		taken = append(taken, recipient)
	}
	if len(taken) == 0 {
		return outcome
	}
	err := write(client, letter)
	for _, recipient := range taken {
		outcome[recipient] = nil
		if err != nil {
			outcome[recipient] = answer(relay, "message", err)
		}
	}
	return outcome
}

func write(client *smtp.Client, letter *mail.Msg) error {
	w, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := letter.WriteTo(w); err != nil {
		// Whatever is sent next would end the message, and half of it would
		// be taken for the whole.
		return errors.Join(err, client.Close())
	}
	return w.Close()
}

// answer judges an error about a recipient or a message: 5xx is for good, 4xx
// may pass, and anything that is no answer, such as a broken connection, or
// 421, is about the relay.
func answer(relay, about string, err error) error {
	wrapped := fmt.Errorf("%s: %s: %w", relay, about, err)
	said, ok := errors.AsType[*textproto.Error](err)
	if !ok || said.Code == 421 {
		return &Failure{Err: wrapped, Channel: true, After: time.Minute}
	}
	return &Failure{Err: wrapped, Permanent: said.Code >= 500}
}

func ascii(list []string) bool {
	for _, s := range list {
		for i := range len(s) {
			if s[i] >= 0x80 {
				return false
			}
		}
	}
	return true
}
