package postfix

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/minikeeper/minikeeper/internal/testkit"
)

// delays shows how many messages each class delays, a line each.
func delays(messages []Message) string {
	var b strings.Builder
	counts := Delayed(messages)
	for _, r := range Reasons() {
		if n := counts[r]; n > 0 {
			fmt.Fprintf(&b, "~ %s: %d\n", r, n)
		}
	}
	return b.String()
}

func TestClassify(t *testing.T) {
	tests := []struct {
		text string
		want Reason
	}{
		{"connect to mx.example.com[192.0.2.5]:25: Connection refused", ConnectionRefused},
		{"delivery temporarily suspended: connect to 127.0.0.1[127.0.0.1]:1: Connection refused", ConnectionRefused},
		{"connect to mx.example.com[192.0.2.5]:25: Connection timed out", TimedOut},
		{"connect to mx.example.com[192.0.2.5]:25: Operation timed out", TimedOut}, // macOS
		{"conversation with mx.example.com[192.0.2.5] timed out while receiving the initial server greeting", TimedOut},
		{"connect to mx.example.com[2001:db8::5]:25: Network is unreachable", Unreachable},
		{"connect to mx.example.com[192.0.2.5]:25: No route to host", Unreachable},
		{"connect to mx.example.com[192.0.2.5]:25: Host is down", Unreachable}, // macOS
		{"Host or domain name not found. Name service error for name=tls.example.com type=MX: Host not found, try again", NameService},
		{"Name service error for name=example.com type=AAAA: Malformed or unexpected name server reply", NameService},
		{"TLSA lookup error for mx.example.com:25", NameService},
		{"Cannot start TLS: handshake failure", TLS},
		{"TLS is required, but was not offered by host mx.example.com[192.0.2.5]", TLS},
		{"Server certificate not trusted", TLS},
		{"host mx.example.com[192.0.2.5] said: 454 4.7.0 TLS not available due to local problem (in reply to STARTTLS command)", TLS},
		{"host smtp.example.com[192.0.2.6] said: 530 5.7.0 Must issue a STARTTLS command first. (in reply to MAIL FROM command)", TLS},
		{"SASL authentication failed; server smtp.example.com[192.0.2.6] said: 535 5.7.8 Error: authentication failed", Authentication},
		{"SASL authentication failed; server smtp.example.com[192.0.2.6] said: 454 4.7.0 Temporary authentication failure: Connection lost", Authentication},
		{"SASL authentication failed; cannot authenticate to server smtp.example.com[192.0.2.6]: no mechanism available", Authentication},
		{"host smtp.example.com[192.0.2.6] said: 530 5.7.0 Authentication Required. (in reply to MAIL FROM command)", Authentication},
		{"host smtp.example.com[192.0.2.6] said: 534-5.7.9 Application-specific password required (in reply to AUTH command)", Authentication},
		{"host mx.example.com[192.0.2.5] said: 452 4.2.2 Quota exceeded (a@example.com) (in reply to RCPT TO command)", MailboxFull},
		{"host mx.example.com[192.0.2.5] said: 452-4.2.2 The account is out of space. Please direct 452 4.2.2 it elsewhere", MailboxFull},
		{"host mail.example.com[private/dovecot-lmtp] said: 552 5.2.2 <a@example.com> Quota exceeded (mailbox for user is full)", MailboxFull},
		{"host mx.example.com[192.0.2.5] said: 552 Requested mail action aborted: exceeded storage allocation", MailboxFull},
		{"host mx.example.com[192.0.2.5] said: 450 mailbox is full", MailboxFull},
		{"maildir delivery failed: Sorry, the user's maildir has overquota files", MailboxFull},
		{"host mx.example.com[192.0.2.5] said: 552 5.3.4 Message size exceeds fixed limit (in reply to MAIL FROM command)", Rejected},
		{"host mx.example.com[192.0.2.5] said: 550 5.4.5 Daily user sending quota exceeded", Rejected},
		{"host mx.example.com[192.0.2.5] said: 452 4.3.1 Insufficient system storage", Temporary},
		{"host mx.example.com[192.0.2.5] said: 451 4.7.1 Greylisting in action, please come back later", Temporary},
		{"host mx.example.com[192.0.2.5] said: 451 database: Connection refused (in reply to RCPT TO command)", Temporary},
		{"host mx.example.com[192.0.2.5] refused to talk to me: 421 4.7.0 Try again later, connection timed out", Temporary},
		{"temporary failure. Command output: connect: Connection refused", Temporary},
		{"host mx.example.com[192.0.2.5] said: 550 5.7.26 Unauthenticated email is not accepted", Rejected},
		{"host mx.example.com[192.0.2.5] refused to talk to me: 554 mx.example.com", Rejected},
		{"host mx.example.com[192.0.2.5] said: hello", Other},
		{"host mx.example.com[192.0.2.5] said: 4505 quota", Other},
		{"lost connection with mx.example.com[192.0.2.5] while sending end of data -- message may be sent more than once", Other},
		{"mail transport unavailable", Other},
		{"connect to quota.greylist.timedout.example.com[192.0.2.5]:25: Protocol error", Other},
		{"", Other},
		{"\xff\xfe said: \xff", Other},
	}
	seen := make(map[Reason]bool)
	for _, tt := range tests {
		seen[tt.want] = true
		if got := Classify(tt.text); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.text, got, tt.want)
		}
	}
	for _, r := range Reasons() {
		if !seen[r] {
			t.Errorf("no text is %s", r)
		}
	}
}

// TestClassifyRecorded judges what a mail log has of deliveries that were put
// off: it words them as the queue does.
func TestClassifyRecorded(t *testing.T) {
	log, err := os.ReadFile(testkit.Samples(t, "postfix/kumina-maillog-lines.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(log)) {
		_, reason, ok := strings.Cut(strings.TrimSpace(line), "status=deferred (")
		if ok {
			fmt.Fprintln(&b, Classify(strings.TrimSuffix(reason, ")")))
		}
	}
	testkit.Golden(t, filepath.Join("testdata", "recorded", "kumina-maillog-lines.txt.golden"), b.String())
}

func FuzzClassify(f *testing.F) {
	f.Add("connect to mx.example.com[192.0.2.5]:25: Connection refused")
	f.Add("host mx.example.com[192.0.2.5] said: 452-4.2.2 Quota exceeded (in reply to RCPT TO command)")
	f.Add("SASL authentication failed; server mx.example.com said: 5")
	f.Fuzz(func(t *testing.T, text string) {
		got := Classify(text)
		if !slices.Contains(Reasons(), got) {
			t.Errorf("%q is %q", text, got)
		}
		if strings.ContainsAny(text, "()\r\n") || strings.TrimSpace(text) != text || text == "" {
			return
		}
		// Both listings say the same about it.
		listing := "8A1F2104BA4 848 Mon Jan  5 11:49:03  a@example.com\n(" + text + ")\n\n-- 1 Kbytes in 1 Request.\n"
		messages, err := ParseQueueText(listing, now())
		if err != nil || len(messages) != 1 || !slices.Equal(messages[0].Delays, []Reason{got}) {
			t.Errorf("%q: %+v, %v; want %s", text, messages, err, got)
		}
	})
}

// TestClassifyHuge shows that a text of any size is judged by its beginning.
func TestClassifyHuge(t *testing.T) {
	text := append(bytes.Repeat([]byte("x"), 100<<20), " timed out"...)
	if got := Classify(string(text)); got != Other {
		t.Errorf("%s, want %s", got, Other)
	}
}
