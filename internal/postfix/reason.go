package postfix

import "strings"

// A Reason is the class of what delays a message.
type Reason string

// The classes. Each text that postfix gives for a delay is in one of them.
const (
	ConnectionRefused Reason = "connection_refused" // nobody listens there
	TimedOut          Reason = "timed_out"          // no connection in time, or the other side fell silent
	Unreachable       Reason = "unreachable"        // no route, or a network or host that is down
	NameService       Reason = "dns"                // the destination's name could not be looked up
	TLS               Reason = "tls"                // no encryption, or a certificate that is not trusted
	Authentication    Reason = "authentication"     // a login is needed, or was refused
	MailboxFull       Reason = "mailbox_full"       // the recipient's mailbox or quota is full
	Temporary         Reason = "temporary"          // any other reply 4xx, greylisting before all
	Rejected          Reason = "rejected"           // any other reply 5xx
	Other             Reason = "other"              // none of these
)

// Reasons are all classes.
func Reasons() []Reason {
	return []Reason{
		ConnectionRefused, TimedOut, Unreachable, NameService, TLS, Authentication, MailboxFull, Temporary, Rejected, Other,
	}
}

// maxReason bounds how much of a text is looked at, in bytes.
const maxReason = 4096

// Classify tells the class of a delay_reason of postqueue -j, or of what
// postqueue -p has in parentheses:
//
//	connect to mx.example.com[192.0.2.5]:25: Connection refused
//	host mx.example.com[192.0.2.5] said: 451 4.7.1 Greylisted (in reply to RCPT TO command)
//
// The words are postfix's own (src/smtp, src/local, and strerror of Linux and
// macOS). What another server replied is judged by its codes: its words may
// speak of anything, such as a database that refused its connection.
func Classify(text string) Reason {
	text = text[:min(len(text), maxReason)]
	text, _, _ = strings.Cut(text, "Command output:") // a program's words say even less
	ours, reply, replied := cutReply(text)
	if !replied || strings.Contains(ours, "SASL authentication") {
		return classifyOurs(text)
	}
	return classifyReply(reply)
}

// cutReply parts what postfix says from what the other server replied.
func cutReply(text string) (ours, reply string, ok bool) {
	for _, sign := range []string{" said: ", " refused to talk to me: "} {
		if ours, reply, ok = strings.Cut(text, sign); ok {
			return ours, strings.TrimSpace(reply), true
		}
	}
	return text, "", false
}

// classifyOurs judges postfix's own words. No class's words may be such as a
// host's name can be, since names are quoted in the text.
func classifyOurs(text string) Reason {
	text = strings.ToLower(text)
	for _, class := range []struct {
		reason Reason
		signs  []string
	}{
		{Authentication, []string{"sasl authentication", "authentication mechanism"}},
		{NameService, []string{"name service error", "domain name not found", "host not found", "tlsa lookup error"}},
		{TLS, []string{"cannot start tls", "tls is required", "tls handshake", "starttls", "server certificate", "ssl_connect"}},
		{ConnectionRefused, []string{"connection refused"}},
		{TimedOut, []string{" timed out"}},
		{Unreachable, []string{"no route to host", " is unreachable", "host is down", "network is down"}},
		{MailboxFull, []string{"over quota", "overquota", "quota exceeded", "mailbox full", "mailbox is full", "mailbox size limit"}},
		{Temporary, []string{"temporary failure"}},
	} {
		for _, sign := range class.signs {
			if strings.Contains(text, sign) {
				return class.reason
			}
		}
	}
	return Other
}

// classifyReply judges a reply by its SMTP code (RFC 5321) and the enhanced
// one (RFC 3463, RFC 4954), and by its words where those leave it open.
func classifyReply(reply string) Reason {
	code, status := replyCodes(reply)
	words := strings.ToLower(reply)
	switch {
	case strings.Contains(words, "starttls"): // "Must issue a STARTTLS command first", or it was the command that failed
		return TLS
	case code == "530", code == "534", code == "535", code == "538",
		status == "7.8", status == "7.9", strings.Contains(words, "authentication required"):
		return Authentication
	case full(code, status, words):
		return MailboxFull
	case strings.HasPrefix(code, "4"):
		return Temporary
	case strings.HasPrefix(code, "5"):
		return Rejected
	default:
		return Other
	}
}

// full tells whether a reply says that a mailbox is full. "Quota" in it may be
// the sender's, so a status about something else than the mailbox outweighs it.
func full(code, status, words string) bool {
	switch {
	case code == "":
		return false
	case status == "2.2":
		return true
	case status == "":
		if code == "552" {
			return true
		}
	case status != "0.0" && !strings.HasPrefix(status, "2."):
		return false
	}
	for _, sign := range []string{"quota", "mailbox full", "mailbox is full"} {
		if strings.Contains(words, sign) {
			return true
		}
	}
	return false
}

// replyCodes returns the three digits that begin a reply, and the subject and
// detail of its enhanced status: "452-4.2.2 Over quota" has "452" and "2.2".
// What is not there is "".
func replyCodes(reply string) (code, status string) {
	if digits(reply) != 3 || reply[0] < '2' || reply[0] > '5' {
		return "", ""
	}
	code, rest := reply[:3], reply[3:]
	if rest == "" || rest[0] != ' ' && rest[0] != '-' {
		return code, ""
	}
	word, _, _ := strings.Cut(rest[1:], " ")
	class, after, _ := strings.Cut(word, ".")
	subject, detail, dotted := strings.Cut(after, ".")
	if class != code[:1] || !dotted || digits(subject) == 0 || digits(detail) == 0 {
		return code, ""
	}
	return code, subject[:digits(subject)] + "." + detail[:digits(detail)]
}

// digits returns how many digits s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
