package bsdp

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/bsdp"
)

// Another implementation of the protocol understands the question, and is
// understood. (Its package cannot be built on macOS.)
func TestAgainstAnotherImplementation(t *testing.T) {
	hardware := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	q, err := Ask(Client{Hardware: hardware, Address: netip.MustParseAddr("192.0.2.9"), ReplyPort: 1000, Model: "Macmini6,1"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := dhcpv4.FromBytes(q.Datagram)
	if err != nil {
		t.Fatal(err)
	}
	options := bsdp.GetVendorOptions(m.Options)
	if bsdp.MessageTypeFromPacket(m) != bsdp.MessageTypeList || m.MessageType() != dhcpv4.MessageTypeInform || m.IsBroadcast() ||
		m.ClassIdentifier() != "AAPLBSDPC/i386/Macmini6,1" || !m.ClientIPAddr.Equal(net.IPv4(192, 0, 2, 9)) ||
		m.ClientHWAddr.String() != hardware.String() || !slices.Equal(options.Get(bsdp.OptionReplyPort), []byte{1000 >> 8, 1000 & 0xff}) {
		t.Errorf("it reads %s", bsdp.PacketFor(m).Summary())
	}
	if version, err := options.Version(); err != nil || version != bsdp.Version1_1 {
		t.Errorf("version %v, %v", version, err)
	}
	images := []bsdp.BootImage{
		{ID: bsdp.BootImageID{IsInstall: true, ImageType: bsdp.BootImageTypeMacOSX, Index: 4096}, Name: "Install"},
		{ID: bsdp.BootImageID{ImageType: bsdp.BootImageTypeHardwareDiagnostics, Index: 7}, Name: "Diagnose"},
	}
	reply, err := bsdp.NewReplyForInformList(bsdp.PacketFor(m), bsdp.ReplyConfig{
		ServerIP: net.IPv4(192, 0, 2, 1), ServerPriority: 32768, Images: images, DefaultImage: &images[0],
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := q.Read(reply.ToBytes())
	if want := []Image{{0x81001000, "Install"}, {0x03000007, "Diagnose"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}
