package bsdp

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

func ask(t testing.TB) Question {
	t.Helper()
	q, err := Ask(Client{Address: netip.MustParseAddr("192.0.2.9"), ReplyPort: 1000, Model: "Macmini6,1"})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// answer makes an ACK to q with vendor options, changed by more.
func answer(t testing.TB, q Question, vendor []byte, more ...dhcpv4.Modifier) []byte {
	t.Helper()
	question, err := dhcpv4.FromBytes(q.Datagram)
	if err != nil {
		t.Fatal(err)
	}
	m, err := dhcpv4.NewReplyFromRequest(question, append([]dhcpv4.Modifier{
		dhcpv4.WithMessageType(dhcpv4.MessageTypeAck),
		dhcpv4.WithOption(dhcpv4.OptClassIdentifier(class)),
		dhcpv4.WithGeneric(dhcpv4.OptionVendorSpecificInformation, vendor),
	}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	return m.ToBytes()
}

func TestRead(t *testing.T) {
	const list = "\x01\x01\x01"
	const one, two = "\x81\x00\x10\x00\x03One", "\x01\x00\x00\x07\x00"
	q := ask(t)
	tests := []struct {
		name   string
		vendor string
		change dhcpv4.Modifier
		want   []Image
		err    string
	}{
		{name: "two images", vendor: list + "\x04\x02\x80\x00\x09\x0d" + one + two, want: []Image{{0x81001000, "One"}, {0x01000007, ""}}},
		{name: "a list in two parts", vendor: list + "\x09\x06" + one[:6] + "\x00\x09\x02" + one[6:] + "\xff\x09", want: []Image{{0x81001000, "One"}}},
		{name: "no list", vendor: list},
		{name: "a list that breaks off", vendor: list + "\x09\x09" + one + "\x01", want: []Image{{0x81001000, "One"}}, err: "its list of images breaks off"},
		{name: "a name that breaks off", vendor: list + "\x09\x07" + one[:7], err: "its list of images breaks off"},
		{name: "options that break off", vendor: list + "\x09\x09" + one, err: "its BSDP options break off"},
		{name: "no vendor options", err: "it answers with message type 0, not with a list"},
		{name: "another message", vendor: "\x01\x01\x02", err: "it answers with message type 2, not with a list"},
		{name: "a failure", vendor: "\x01\x01\x03", err: "it answers that it failed"},
		{name: "not an ACK", vendor: list, change: dhcpv4.WithMessageType(dhcpv4.MessageTypeNak), err: "it answers with NAK, not with ACK"},
		{name: "a DHCP server", change: dhcpv4.WithOption(dhcpv4.OptClassIdentifier("")), err: ErrNotAnswer.Error()},
		{name: "another conversation", vendor: list, change: dhcpv4.WithTransactionID(dhcpv4.TransactionID{1, 2, 3, 4}), err: ErrNotAnswer.Error()},
		{name: "another's question", vendor: list, change: func(m *dhcpv4.DHCPv4) { m.OpCode = dhcpv4.OpcodeBootRequest }, err: ErrNotAnswer.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var more []dhcpv4.Modifier
			if tt.change != nil {
				more = append(more, tt.change)
			}
			got, err := q.Read(answer(t, q, []byte(tt.vendor), more...))
			if !slices.Equal(got, tt.want) || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
				t.Errorf("%v, %v; want %v, %q", got, err, tt.want, tt.err)
			}
		})
	}
	if _, err := q.Read([]byte("no DHCP")); !errors.Is(err, ErrNotAnswer) {
		t.Errorf("error %v of what is no DHCP", err)
	}
	if i := (Image{ID: 0x8100FFFF}); i.Index() != 65535 {
		t.Errorf("index %d", i.Index())
	}
}

func TestAskRefuses(t *testing.T) {
	for name, c := range map[string]Client{
		"a port that servers do not answer to": {Address: netip.MustParseAddr("192.0.2.9"), ReplyPort: 1024},
		"IPv6":                                 {Address: netip.MustParseAddr("2001:db8::9"), ReplyPort: 1000},
		"no address":                           {ReplyPort: 1000},
	} {
		if _, err := Ask(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzRead(f *testing.F) {
	q := ask(f)
	f.Add(answer(f, q, []byte("\x01\x01\x01\x09\x08\x81\x00\x10\x00\x03One")))
	f.Add(q.Datagram)
	f.Fuzz(func(t *testing.T, datagram []byte) {
		images, _ := q.Read(datagram)
		if 5*len(images) > len(datagram) {
			t.Errorf("%d images from %d bytes", len(images), len(datagram))
		}
		// The id is random; what is inside is read whatever it is.
		if m, err := dhcpv4.FromBytes(datagram); err == nil {
			_, _ = Question{id: m.TransactionID}.Read(datagram)
		}
	})
}

func FuzzReadOptions(f *testing.F) {
	f.Add([]byte("\x01\x01\x01\x09\x08\x81\x00\x10\x00\x03One\xff"))
	f.Fuzz(func(t *testing.T, options []byte) {
		_, list, err := readOptions(options)
		images, _ := readImages(list)
		if err == nil && 5*len(images) > len(options) {
			t.Errorf("%d images from %d bytes", len(images), len(options))
		}
	})
}
