package probes

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/minikeeper/minikeeper"
)

// startTLS is the metric of what a mail server offers.
const startTLS = "minikeeper_probe_smtp_starttls"

// NoSTARTTLS is the problem of a mail server that does not offer encryption
// where it should.
const NoSTARTTLS = "no_starttls"

// SMTP greets a mail server and takes its leave. It never begins a message.
type SMTP struct {
	Address         string // HOST:PORT
	Hello           string // who this is; the address of the connection if empty
	RequireSTARTTLS bool   // without it, it does not serve
}

// Probe implements Prober.
func (p SMTP) Probe(ctx context.Context) Result {
	conn, problem := dial(ctx, p.Address)
	if problem != nil {
		return failed(problem)
	}
	defer func() { _ = conn.Close() }()
	offers, problem := p.greet(ctx, conn)
	if problem != nil {
		return failed(problem)
	}
	r := Result{Serves: true, Facts: []minikeeper.Sample{{Name: startTLS}}}
	if offers {
		r.Facts[0].Value = 1
	} else if p.RequireSTARTTLS {
		r.Serves = false
		r.Problems = []*Problem{problemf(NoSTARTTLS, "it does not offer STARTTLS")}
	}
	return r
}

// greet is the conversation. It tells whether STARTTLS is offered.
func (p SMTP) greet(ctx context.Context, conn net.Conn) (offers bool, problem *Problem) {
	r := bufio.NewReader(conn)
	if problem := expect(ctx, r, "greeting", 220, nil); problem != nil {
		return false, problem
	}
	hello := cmp.Or(p.Hello, literal(conn.LocalAddr()))
	if _, err := fmt.Fprintf(conn, "EHLO %s\r\n", hello); err != nil {
		return false, connection(ctx, "EHLO", err)
	}
	if problem := expect(ctx, r, "EHLO", 250, func(line string) {
		word, _, _ := strings.Cut(line, " ")
		offers = offers || strings.EqualFold(word, "STARTTLS")
	}); problem != nil {
		return false, problem
	}
	// It serves, however it takes the farewell; but waiting for that keeps
	// "lost connection" out of its log.
	if _, err := io.WriteString(conn, "QUIT\r\n"); err == nil {
		_, _, _ = reply(r, nil)
	}
	return offers, nil
}

// expect reads a reply and demands that it has code.
func expect(ctx context.Context, r *bufio.Reader, doing string, code int, each func(string)) *Problem {
	got, text, err := reply(r, each)
	switch {
	case err != nil:
		return spoken(ctx, doing, err)
	case got == code:
		return nil
	case got >= 400:
		return problemf(Unavailable, "%s: it said %d %s", doing, got, text)
	default:
		return problemf(Protocol, "%s: it said %d %s, not %d", doing, got, text, code)
	}
}

// Bounds of a reply: RFC 5321 has 512 bytes a line.
const (
	replyLines = 100
	replyLine  = 2048
)

// reply reads a reply of one line or more, and hands the text of each line to
// each. It returns the code and the text of the last line.
func reply(r *bufio.Reader, each func(text string)) (code int, text string, err error) {
	for range replyLines {
		line, err := readLine(r)
		if err != nil {
			return 0, "", err
		}
		c, last, text, err := parseReply(line)
		if err != nil {
			return 0, "", err
		}
		if code != 0 && c != code {
			return 0, "", wrongWords("a reply has the codes %d and %d", code, c)
		}
		code = c
		if each != nil {
			each(text)
		}
		if last {
			return code, text, nil
		}
	}
	return 0, "", wrongWords("a reply has more than %d lines", replyLines)
}

// readLine reads a line without its end.
func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for len(line) <= replyLine {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return "", err
		}
		return strings.TrimRight(string(line), "\r\n"), nil
	}
	return "", wrongWords("a line has more than %d bytes", replyLine)
}

// parseReply takes a line of a reply apart: three digits, a hyphen unless it
// is the last, and text. It is pure.
func parseReply(line string) (code int, last bool, text string, err error) {
	shown := strconv.QuoteToASCII(line[:min(len(line), 60)])
	if len(line) < 3 || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
		return 0, false, "", wrongWords("it said %s, which is not SMTP", shown)
	}
	n, err := strconv.ParseUint(line[:3], 10, 16)
	if err != nil || n < 200 || n > 599 {
		return 0, false, "", wrongWords("it said %s, which is not SMTP", shown)
	}
	if len(line) > 3 {
		text = line[4:]
	}
	return int(n), len(line) == 3 || line[3] == ' ', strings.ToValidUTF8(text, "?"), nil
}

// literal is the address of this machine as SMTP writes it.
func literal(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	switch {
	case !ok:
		return "localhost"
	case tcp.IP.To4() != nil:
		return "[" + tcp.IP.String() + "]"
	default:
		return "[IPv6:" + tcp.IP.String() + "]"
	}
}
