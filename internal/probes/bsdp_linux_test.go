package probes_test

import (
	"context"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/bsdp"
	"golang.org/x/sys/unix"

	"github.com/minikeeper/minikeeper/internal/probes"
	"github.com/minikeeper/minikeeper/internal/testkit"
)

// bootServer answers questions at address with what reply makes of them, to
// where BSDP has the answer go, and returns its own address.
func bootServer(t *testing.T, address string, reply func(question *bsdp.Packet) [][]byte) (string, error) {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp4", address)
	if err != nil {
		return "", err
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, _, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			m, err := dhcpv4.FromBytes(buffer[:n])
			if err != nil {
				t.Errorf("a question that is no DHCP: %v", err)
				return
			}
			port := bsdp.GetVendorOptions(m.Options).Get(bsdp.OptionReplyPort)
			to := &net.UDPAddr{IP: m.ClientIPAddr, Port: int(port[0])<<8 | int(port[1])}
			for _, answer := range reply(bsdp.PacketFor(m)) {
				_, _ = conn.WriteTo(answer, to)
			}
		}
	}()
	return conn.LocalAddr().String(), nil
}

// offers answers with images, by a codec that is not ours.
func offers(t *testing.T, change func([]byte) [][]byte, images ...bsdp.BootImage) func(*bsdp.Packet) [][]byte {
	return func(question *bsdp.Packet) [][]byte {
		m, err := bsdp.NewReplyForInformList(question, bsdp.ReplyConfig{ServerIP: net.IPv4(127, 0, 0, 1), Images: images, DefaultImage: &images[0]})
		if err != nil {
			t.Error(err)
			return nil
		}
		return change(m.ToBytes())
	}
}

func TestBSDP(t *testing.T) {
	testkit.Root(t)
	install := bsdp.BootImage{ID: bsdp.BootImageID{IsInstall: true, ImageType: bsdp.BootImageTypeMacOSX, Index: 4096}, Name: "Install"}
	diagnose := bsdp.BootImage{ID: bsdp.BootImageID{ImageType: bsdp.BootImageTypeHardwareDiagnostics, Index: 7}, Name: "Diagnose"}
	same := func(b []byte) [][]byte { return [][]byte{b} }
	asked := 0
	tests := []struct {
		name  string
		reply func(*bsdp.Packet) [][]byte
		want  string
	}{
		{"two images", offers(t, same, install, diagnose), "probe_success 1, bsdp_image_info 1, bsdp_image_info 1"},
		{"the same twice", offers(t, func(b []byte) [][]byte { return [][]byte{b, b} }, install), "probe_success 1, bsdp_image_info 1"},
		{"noise before the answer", offers(t, func(b []byte) [][]byte { return [][]byte{[]byte("noise"), b} }, install), "probe_success 1, bsdp_image_info 1"},
		{"the first question is lost", func(q *bsdp.Packet) [][]byte {
			if asked++; asked == 1 {
				return nil
			}
			return offers(t, same, install)(q)
		}, "probe_success 1, bsdp_image_info 1"},
		{"no images", func(q *bsdp.Packet) [][]byte {
			m, err := bsdp.NewReplyForInformSelect(q, bsdp.ReplyConfig{ServerIP: net.IPv4(127, 0, 0, 1), Images: []bsdp.BootImage{install}, SelectedImage: &install})
			if err != nil {
				t.Error(err)
			}
			m.UpdateOption(bsdp.OptVendorOptions(bsdp.OptMessageType(bsdp.MessageTypeList)))
			return [][]byte{m.ToBytes()}
		}, "probe_success 0, problem no_images"},
		{"an answer to another question", func(q *bsdp.Packet) [][]byte {
			m, err := bsdp.NewReplyForInformSelect(q, bsdp.ReplyConfig{ServerIP: net.IPv4(127, 0, 0, 1), Images: []bsdp.BootImage{install}, SelectedImage: &install})
			if err != nil {
				t.Error(err)
			}
			return [][]byte{m.ToBytes()}
		}, "probe_success 0, problem protocol"},
		{"silence", func(*bsdp.Packet) [][]byte { return nil }, "probe_success 0, problem timeout"},
		{"noise alone", func(*bsdp.Packet) [][]byte { return [][]byte{[]byte("noise")} }, "probe_success 0, problem timeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			address, err := bootServer(t, "127.0.0.1:0", tt.reply)
			if err != nil {
				t.Fatal(err)
			}
			timeout := patience
			if strings.HasSuffix(tt.want, "timeout") {
				timeout = 300 * time.Millisecond
			}
			if got := look(t, probes.BSDP{Address: address, Model: "Macmini6,1"}, timeout); got != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
		})
	}
	for name, p := range map[string]probes.BSDP{
		"an interface that is not there": {Interface: "none0"},
		"neither interface nor address":  {},
	} {
		if got, want := look(t, p, patience), "probe_success 0, problem settings"; got != want {
			t.Errorf("%s: got %s\nwant %s", name, got, want)
		}
	}
	if got, want := look(t, probes.BSDP{Address: "none.invalid:67"}, patience), "probe_success 0, problem name"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestBSDPOnANetwork asks all of a network, of which this machine's real ones
// know nothing.
func TestBSDPOnANetwork(t *testing.T) {
	testkit.Root(t)
	testkit.Peers(t, "ip")
	result := make(chan probes.Result, 1)
	failure := make(chan error, 1)
	image := bsdp.BootImage{ID: bsdp.BootImageID{IsInstall: true, ImageType: bsdp.BootImageTypeMacOSX, Index: 300}, Name: "Local"}
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		failure <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			for _, args := range [][]string{
				{"link", "set", "lo", "up"},
				{"link", "add", "mk0", "type", "veth", "peer", "name", "mk1"},
				{"addr", "add", "192.0.2.9/24", "dev", "mk0"},
				{"link", "set", "mk0", "up"},
				{"link", "set", "mk1", "up"},
			} {
				if err := exec.CommandContext(t.Context(), "ip", args...).Run(); err != nil {
					return err
				}
			}
			if _, err := bootServer(t, "0.0.0.0:67", offers(t, func(b []byte) [][]byte { return [][]byte{b} }, image)); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			result <- probes.BSDP{Interface: "mk0", Model: "Macmini6,1"}.Probe(ctx)
			return nil
		}()
	}()
	if err := <-failure; err != nil {
		testkit.Missing(t, "no network namespace can be made: "+err.Error())
	}
	r := <-result
	if !r.Serves || len(r.Problems) > 0 || len(r.Facts) != 1 {
		t.Fatalf("%+v", r)
	}
	want := []string{"192.0.2.9", "2164261164", "300", "Local"}
	var got []string
	for _, l := range r.Facts[0].Labels {
		got = append(got, l.Value)
	}
	if _, err := netip.ParseAddr(got[0]); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
