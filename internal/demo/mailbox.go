package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// maxMail bounds what the mailbox takes as one message.
const maxMail = 10 << 20

// A Mail is a message that reached the mailbox.
type Mail struct {
	At      time.Time
	Subject string
	Header  mail.Header
	File    string // where it lies
}

// A Mailbox is a real SMTP server on loopback that keeps what it is sent as
// files, in the order of arrival.
type Mailbox struct {
	dir    string
	server *smtp.Server
	listen net.Listener

	mu    sync.Mutex
	mails []Mail
}

// NewMailbox listens on a free port of the loopback interface and keeps what
// comes in dir.
func NewMailbox(ctx context.Context, dir string) (*Mailbox, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make mailbox: %w", err)
	}
	listen, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for mail: %w", err)
	}
	m := &Mailbox{dir: dir, listen: listen}
	m.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &session{box: m}, nil
	}))
	m.server.Domain = "mailbox.demo.example"
	m.server.MaxMessageBytes = maxMail
	m.server.ReadTimeout, m.server.WriteTimeout = time.Minute, time.Minute
	return m, nil
}

// Addr is where the mailbox listens, as HOST:PORT.
func (m *Mailbox) Addr() string { return m.listen.Addr().String() }

// Run takes mail until ctx ends.
func (m *Mailbox) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = m.Close() })
	defer stop()
	if err := m.server.Serve(m.listen); err != nil && !errors.Is(err, smtp.ErrServerClosed) && ctx.Err() == nil {
		return fmt.Errorf("take mail: %w", err)
	}
	return nil
}

// Close stops listening. A server that does not serve yet knows of no listener,
// so that is closed, too.
func (m *Mailbox) Close() error {
	err := errors.Join(m.server.Close(), m.listen.Close())
	if errors.Is(err, net.ErrClosed) || errors.Is(err, smtp.ErrServerClosed) {
		return nil
	}
	return err
}

// Mails returns what has come so far, oldest first.
func (m *Mailbox) Mails() []Mail {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Mail(nil), m.mails...)
}

// keep writes one message to a file of its own.
func (m *Mailbox) keep(source []byte) error {
	parsed, err := mail.ReadMessage(bytes.NewReader(source))
	if err != nil {
		return fmt.Errorf("read mail: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	file := filepath.Join(m.dir, fmt.Sprintf("%03d.eml", len(m.mails)+1))
	if err := os.WriteFile(file, source, 0o644); err != nil {
		return fmt.Errorf("keep mail: %w", err)
	}
	m.mails = append(m.mails, Mail{At: time.Now(), Subject: subject(parsed.Header), Header: parsed.Header, File: file})
	return nil
}

// session is one SMTP conversation: the mailbox takes mail for anybody.
type session struct{ box *Mailbox }

func (*session) Mail(string, *smtp.MailOptions) error { return nil }
func (*session) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (*session) Reset()                               {}
func (*session) Logout() error                        { return nil }

func (s *session) Data(r io.Reader) error {
	source, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return s.box.keep(source)
}
