package snmp_test

import (
	"testing"

	"github.com/minikeeper/minikeeper/internal/snmp"
)

func TestDisplayHint(t *testing.T) {
	tests := []struct {
		hint   string
		octets []byte
		want   string
		bad    bool
	}{
		{hint: "255a", octets: []byte("text"), want: "text"},
		{hint: "1x:", octets: []byte{0, 26, 255}, want: "00:1A:FF"},
		{hint: "1d.1d.1d.1d", octets: []byte{192, 168, 1, 10}, want: "192.168.1.10"},
		{hint: "2d-1d-1d,1d:1d:1d.1d,1a1d:1d", octets: []byte{7, 229, 2, 10, 11, 12, 13, 5, '+', 1, 30}, want: "2021-2-10,11:12:13.5,+1:30"},
		{hint: "1o ", octets: []byte{8, 64}, want: "10 100"},
		{hint: "*1x:/1x:", octets: []byte{2, 1, 2, 3, 4}, want: "01:02/03:04"},
		{hint: "2x", octets: []byte{1}, want: "01"},
		{hint: "x", octets: []byte{1}, bad: true},
		{hint: "1z", octets: []byte{1}, bad: true},
		{hint: "0a", octets: []byte{1}, bad: true},
		{hint: "9d", octets: make([]byte, 9), bad: true},
		{hint: "", octets: []byte{1}, bad: true},
	}
	for _, tt := range tests {
		got, ok := snmp.DisplayHint(tt.hint, tt.octets)
		if ok == tt.bad || ok && got != tt.want {
			t.Errorf("%q of %v: %q, %v; want %q", tt.hint, tt.octets, got, ok, tt.want)
		}
	}
}

func TestDatePattern(t *testing.T) {
	tests := []struct {
		pattern, text string
		want          float64
		bad           bool
	}{
		{pattern: "%Y-%m-%d", text: "1970-01-02", want: 86400},
		{pattern: "%F %T", text: "1970-01-01 01:02:03", want: 3723},
		{pattern: "%b %e %y", text: "Jan  2 70", want: 86400},
		{pattern: "%A, %d %B %Y", text: "friday, 02 january 1970", want: 86400},
		{pattern: "%I%p %j %Y", text: "12AM 2 1970", want: 86400},
		{pattern: "%I:%M %p %D", text: "1:30 pm 01/01/70", want: 48600},
		{pattern: "%s", text: "1700000000", want: 1.7e9},
		{pattern: "%F %R%z", text: "1970-01-01 02:00+02:00", want: 0},
		{pattern: "%F%n%H %Z", text: "1970-01-01 \t 02 UTC", want: 7200},
		{pattern: "100%% %Y", text: "100% 1970", want: 0},
		{pattern: "%Y", text: "197x", bad: true},
		{pattern: "%m", text: "13", bad: true},
		{pattern: "%b", text: "Brumaire", bad: true},
		{pattern: "%z", text: "+1", bad: true},
		{pattern: "%Y-", text: "1970/", bad: true},
	}
	for _, tt := range tests {
		got, err := snmp.ParseDate(tt.pattern, tt.text)
		if (err != nil) != tt.bad || err == nil && got != tt.want {
			t.Errorf("%q as %q: %v, %v; want %v", tt.text, tt.pattern, got, err, tt.want)
		}
	}
}

func FuzzIndexText(f *testing.F) {
	f.Add("1.4.10.0.0.1")
	f.Add("4294967295.1")
	f.Add("")
	f.Fuzz(func(t *testing.T, index string) {
		for _, typ := range []string{"gauge", "OctetString", "DisplayString", "PhysAddress48", "InetAddress", "InetAddressMissingSize", "InetAddressIPv6", "LldpPortId", "EnumAsInfo"} {
			if text := snmp.IndexText(index, typ); len(text) > 3000 {
				t.Errorf("%d bytes of text for %d", len(text), len(index))
			}
		}
	})
}

func FuzzDisplayHint(f *testing.F) {
	f.Add("*1x:/1d", "\x02abc")
	f.Fuzz(func(t *testing.T, hint, octets string) {
		text, ok := snmp.DisplayHint(hint, []byte(octets))
		if ok && len(text) > 300*len(octets) {
			t.Errorf("%d bytes of text for %d", len(text), len(octets))
		}
	})
}

func FuzzDate(f *testing.F) {
	f.Add("%a %b %d %H:%M:%S %Y %z", "Sun Feb 07 10:20:30 2021 +0100")
	f.Fuzz(func(_ *testing.T, pattern, text string) { _, _ = snmp.ParseDate(pattern, text) })
}
