package probes

import (
	"bufio"
	"strings"
	"testing"
)

// The parsers see what anybody on the network may send.

func FuzzSMB(f *testing.F) {
	f.Add(smbRequest()[4:])
	f.Add([]byte("\xffSMB"))
	f.Fuzz(func(_ *testing.T, answer []byte) { _ = checkSMB(answer) })
}

func FuzzAFP(f *testing.F) {
	f.Add([]byte{1, 3, 0x4d, 0x4b, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, header []byte) { _ = checkAFP(header) })
}

func FuzzReply(f *testing.F) {
	f.Add("220-a\r\n220 b\r\n")
	f.Add("250")
	f.Fuzz(func(t *testing.T, said string) {
		code, text, err := reply(bufio.NewReader(strings.NewReader(said)), nil)
		if err == nil && (code < 200 || code > 599 || strings.Contains(text, "\n")) {
			t.Errorf("%q gave %d %q", said, code, text)
		}
	})
}

func FuzzHealth(f *testing.F) {
	f.Add([]byte("[]"))
	f.Add([]byte(`[{"healthCode":1,"httpCode":503,"description":"DBConnectionError"}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if code, problem := parseHealth(body); problem == nil && code != 0 {
			t.Errorf("%q gave the code %d and no problem", body, code)
		}
	})
}
