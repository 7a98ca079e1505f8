package notify_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"net"
	netmail "net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"github.com/emersion/go-sasl"

	"github.com/minikeeper/minikeeper/internal/notify"
)

// A relay is a real SMTP server on loopback.
type relay struct {
	refuse   map[string]*smtp.SMTPError // by recipient; "DATA" is the message, "MAIL" the sender
	password string                     // of user "mk"; "" asks for none

	mu    sync.Mutex
	addr  string
	mails []received
	helo  string
	auths int
}

type received struct {
	from string
	to   []string
	data string
	tls  bool
}

// start runs r; security is "", "starttls" or "tls".
func (r *relay) start(t *testing.T, security string, cert tls.Certificate) *relay {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = listener.Addr().String()
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{relay: r, conn: c}, nil
	}))
	server.Domain = "relay.example.com"
	server.ErrorLog = discard{}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	switch security {
	case "starttls":
		server.TLSConfig = config
	case "tls":
		listener = tls.NewListener(listener, config)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = server.Serve(listener) // ends with an error when it is closed
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-stopped
	})
	return r
}

func (r *relay) got() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.mails)
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

type session struct {
	relay *relay
	conn  *smtp.Conn
	mail  received
}

func (s *session) AuthMechanisms() []string {
	if s.relay.password == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		s.relay.mu.Lock()
		defer s.relay.mu.Unlock()
		s.relay.auths++
		if user != "mk" || password != s.relay.password {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "bad credentials"}
		}
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	_, secure := s.conn.TLSConnectionState()
	s.mail = received{from: from, tls: secure}
	s.relay.mu.Lock()
	s.relay.helo = s.conn.Hostname()
	s.relay.mu.Unlock()
	return s.answer("MAIL")
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if err := s.answer(to); err != nil {
		return err
	}
	s.mail.to = append(s.mail.to, to)
	return nil
}

func (s *session) answer(to string) error {
	if err := s.relay.refuse[to]; err != nil {
		return err
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.answer("DATA"); err != nil {
		return err
	}
	s.mail.data = string(data)
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	s.relay.mails = append(s.relay.mails, s.mail)
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

func said(code int) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 0, 0}, Message: "no"}
}

func newMail(t *testing.T, o notify.MailOptions) *notify.Mail {
	t.Helper()
	if o.From == "" {
		o.From = "minikeeper <mk@example.com>"
	}
	if o.To == nil {
		o.To = []string{"alice@example.com", "Bob <bob@example.com>"}
	}
	o.HELO = "hub.example.com"
	m, err := notify.NewMail(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// send sends a message about a failed run to all recipients of m.
func send(t *testing.T, m *notify.Mail) map[string]error {
	t.Helper()
	return m.Send(t.Context(), notify.Render(hostile(), at, ""), m.Recipients())
}

func TestMailArrives(t *testing.T) {
	r := new(relay).start(t, "", tls.Certificate{})
	m := newMail(t, notify.MailOptions{SMTP: []string{r.addr}})
	e := hostile()
	e.Summary = "Ein Stück fehlt"
	msg := notify.Render(e, at, "")
	for who, err := range m.Send(t.Context(), msg, m.Recipients()) {
		if err != nil {
			t.Errorf("%s: %v", who, err)
		}
	}
	got := r.got()
	if len(got) != 1 {
		t.Fatalf("%d mails, want one for both recipients", len(got))
	}
	if got[0].from != "mk@example.com" || !slices.Equal(got[0].to, []string{"alice@example.com", "bob@example.com"}) || r.helo != "hub.example.com" {
		t.Errorf("from %q to %q, hello %q", got[0].from, got[0].to, r.helo)
	}
	letter, err := netmail.ReadMessage(strings.NewReader(got[0].data))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(letter.Header.Get("Subject"))
	if err != nil || subject != msg.Subject {
		t.Errorf("subject %q (%v), want %q", subject, err, msg.Subject)
	}
	want := map[string]string{
		"Message-Id": "<" + msg.ID + "@example.com>", "In-Reply-To": "<" + msg.Thread + "@example.com>", "References": "<" + msg.Thread + "@example.com>",
		"Auto-Submitted": "auto-generated", "X-Minikeeper-Run": msg.Run, "Date": "Sun, 22 Nov 2026 22:04:05 +0000",
		"Bcc": "", "X-Injected": "",
	}
	for name, value := range want {
		if got := letter.Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	text, html := parts(t, letter)
	if diff := cmp.Diff(msg.Text, text); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(msg.HTML, html); diff != "" {
		t.Errorf("HTML (-want +got):\n%s", diff)
	}
}

// parts returns the text and the HTML of letter, in which they come in this
// order, so that clients show the richer one.
func parts(t *testing.T, letter *netmail.Message) (text, html string) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(letter.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("content type %s: %v", kind, err)
	}
	r := multipart.NewReader(letter.Body, params["boundary"])
	var bodies []string
	for _, want := range []string{"text/plain; charset=UTF-8", "text/html; charset=UTF-8"} {
		part, err := r.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if got := part.Header.Get("Content-Type"); got != want {
			t.Errorf("part of type %q, want %q", got, want)
		}
		body, err := io.ReadAll(part) // which decodes quoted-printable
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, strings.ReplaceAll(string(body), "\r\n", "\n"))
	}
	return bodies[0], bodies[1]
}

// fate shows what an error means for what comes next.
func fate(err error) string {
	if err == nil {
		return "taken"
	}
	f, ok := errors.AsType[*notify.Failure](err)
	switch {
	case !ok:
		return "unclassified: " + err.Error()
	case f.Permanent:
		return "refused"
	case f.Channel:
		return "down"
	default:
		return "later"
	}
}

func TestMailRefusals(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	good := func(t *testing.T) string { return new(relay).start(t, "", tls.Certificate{}).addr }
	refusing := func(t *testing.T, codes map[string]int) string {
		r := &relay{refuse: make(map[string]*smtp.SMTPError)}
		for who, code := range codes {
			r.refuse[who] = said(code)
		}
		return r.start(t, "", tls.Certificate{}).addr
	}
	const alice, bob = "alice@example.com", "bob@example.com"
	tests := []struct {
		name   string
		relays func(t *testing.T) []string
		want   string // alice's fate, then bob's
	}{
		{"taken", func(t *testing.T) []string { return []string{good(t)} }, "taken taken"},
		{"one recipient unknown", func(t *testing.T) []string { return []string{refusing(t, map[string]int{alice: 550})} }, "refused taken"},
		{"one recipient greylisted", func(t *testing.T) []string { return []string{refusing(t, map[string]int{bob: 451})} }, "taken later"},
		{"each in another way", func(t *testing.T) []string { return []string{refusing(t, map[string]int{alice: 550, bob: 452})} }, "refused later"},
		{"message refused", func(t *testing.T) []string { return []string{refusing(t, map[string]int{"DATA": 554})} }, "refused refused"},
		{"message postponed", func(t *testing.T) []string { return []string{refusing(t, map[string]int{"DATA": 451})} }, "later later"},
		{"sender refused", func(t *testing.T) []string { return []string{refusing(t, map[string]int{"MAIL": 550})} }, "down down"},
		{"relay goes away", func(t *testing.T) []string { return []string{refusing(t, map[string]int{alice: 421, bob: 421})} }, "down down"},
		{"nobody listens", func(*testing.T) []string { return []string{closed.Addr().String()} }, "down down"},
		{"name does not resolve", func(*testing.T) []string { return []string{"relay.invalid:25"} }, "down down"},
		{"the next relay takes over", func(t *testing.T) []string { return []string{closed.Addr().String(), good(t)} }, "taken taken"},
		{"the next relay takes the rest", func(t *testing.T) []string {
			return []string{refusing(t, map[string]int{alice: 451}), good(t)}
		}, "taken taken"},
		{"refused by one, later by the other", func(t *testing.T) []string {
			return []string{refusing(t, map[string]int{alice: 550, bob: 550}), refusing(t, map[string]int{alice: 451, bob: 550})}
		}, "later refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			outcome := send(t, newMail(t, notify.MailOptions{SMTP: tt.relays(t)}))
			if got := fate(outcome[alice]) + " " + fate(outcome[bob]); got != tt.want {
				t.Errorf("%s, want %s\n%v", got, tt.want, outcome)
			}
		})
	}

	t.Run("silent relay", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		m := newMail(t, notify.MailOptions{SMTP: []string{silent.Addr().String()}})
		begun := time.Now()
		outcome := m.Send(ctx, notify.Render(hostile(), at, ""), m.Recipients())
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		if err := outcome[alice]; fate(err) != "down" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("outcome %v", outcome)
		}
	})
}

func TestMailEachRecipientOnce(t *testing.T) {
	first := &relay{refuse: map[string]*smtp.SMTPError{"alice@example.com": said(451)}}
	first.start(t, "", tls.Certificate{})
	second := new(relay).start(t, "", tls.Certificate{})
	send(t, newMail(t, notify.MailOptions{SMTP: []string{first.addr, second.addr}}))
	a, b := first.got(), second.got()
	if len(a) != 1 || !slices.Equal(a[0].to, []string{"bob@example.com"}) || len(b) != 1 || !slices.Equal(b[0].to, []string{"alice@example.com"}) {
		t.Errorf("first relay %+v, second %+v", a, b)
	}
}

func TestMailEncryption(t *testing.T) {
	trusted, cert := certificate(t)
	trust := &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}
	tests := []struct {
		name     string
		server   string
		password string // that the relay wants
		o        notify.MailOptions
		want     string
		tls      bool
	}{
		{"none to a plain relay", "", "", notify.MailOptions{TLS: "none"}, "taken", false},
		{"none to one with STARTTLS", "starttls", "", notify.MailOptions{TLS: "none"}, "taken", false},
		{"default to a plain relay", "", "", notify.MailOptions{}, "taken", false},
		{"default to one with STARTTLS", "starttls", "", notify.MailOptions{TLSConfig: trust}, "taken", true},
		{"default to one with STARTTLS that nobody vouches for", "starttls", "", notify.MailOptions{}, "taken", true},
		{"starttls", "starttls", "", notify.MailOptions{TLS: "starttls", TLSConfig: trust}, "taken", true},
		{"starttls that is not offered", "", "", notify.MailOptions{TLS: "starttls", TLSConfig: trust}, "down", false},
		{"starttls that nobody vouches for", "starttls", "", notify.MailOptions{TLS: "starttls"}, "down", false},
		{"tls", "tls", "", notify.MailOptions{TLS: "tls", TLSConfig: trust}, "taken", true},
		{"tls that nobody vouches for", "tls", "", notify.MailOptions{TLS: "tls"}, "down", false},
		{"password", "starttls", "secret", notify.MailOptions{TLSConfig: trust, User: "mk", Password: "secret"}, "taken", true},
		{"wrong password", "starttls", "secret", notify.MailOptions{TLSConfig: trust, User: "mk", Password: "other"}, "down", false},
		{"password, but the relay offers no login", "starttls", "", notify.MailOptions{TLSConfig: trust, User: "mk", Password: "secret"}, "down", false},
		{"password for a relay that nobody vouches for", "starttls", "secret", notify.MailOptions{User: "mk", Password: "secret"}, "down", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := (&relay{password: tt.password}).start(t, tt.server, cert)
			tt.o.SMTP = []string{r.addr}
			outcome := send(t, newMail(t, tt.o))
			if got := fate(outcome["alice@example.com"]); got != tt.want {
				t.Fatalf("%s, want %s: %v", got, tt.want, outcome)
			}
			if mails := r.got(); tt.want == "taken" && (len(mails) != 1 || mails[0].tls != tt.tls) {
				t.Errorf("%d mails, want one over TLS %v", len(mails), tt.tls)
			}
			if tt.o.User != "" && tt.o.TLSConfig == nil && r.auths > 0 {
				t.Error("the password went to a relay that did not prove its name")
			}
		})
	}
}

// certificate makes one for 127.0.0.1, and the pool that trusts it.
func certificate(t *testing.T) (*x509.CertPool, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relay"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestNewMailRefuses(t *testing.T) {
	_, err := notify.NewMail(notify.MailOptions{TLS: "ssl", From: "nobody", To: []string{"a@example.com", "b\r\nBcc: c@example.com"}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`unknown tls "ssl" (have none, starttls, tls)`, "at least one relay", `from "nobody"`, `to "b\r\nBcc`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %s:\n%v", want, err)
		}
	}
	if _, err := notify.NewMail(notify.MailOptions{SMTP: []string{"relay"}, From: "a@example.com", To: []string{"a@example.com"}}); err != nil {
		t.Errorf("a relay without a port: %v", err)
	}
}

// ExampleFailure shows that a failure keeps its cause.
func ExampleFailure() {
	err := error(&notify.Failure{Err: io.ErrUnexpectedEOF, Channel: true})
	fmt.Println(err, errors.Is(err, io.ErrUnexpectedEOF))
	// Output: unexpected EOF true
}
