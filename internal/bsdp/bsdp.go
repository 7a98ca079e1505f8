// Package bsdp speaks the part of Apple's Boot Server Discovery Protocol that
// asks for NetBoot images: INFORM[LIST] and its ACK. BSDP is DHCP whose vendor
// options carry options of their own; Apple's bootp sources describe it in
// BSDP.doc and bsdp.h.
//
// It is a leaf: bytes in, bytes out. It opens no socket and imports no other
// package of this module.
package bsdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// ServerPort is where servers listen; it is that of DHCP.
const ServerPort = 67

// HighestReplyPort is the highest port that an answer is sent to.
const HighestReplyPort = 1023

// class begins the vendor class of clients, and is that of servers.
const class = "AAPLBSDPC"

// The options inside the vendor options, and the message type that lists.
const (
	optionMessageType = 1
	optionVersion     = 2
	optionReplyPort   = 5
	optionImages      = 9
	optionPad         = 0
	optionEnd         = 255

	typeList = 1
	typeFail = 3
)

// maxMessage is the largest answer that is asked for, in bytes.
const maxMessage = 1500

// A Client is who asks.
type Client struct {
	Hardware  net.HardwareAddr // of the interface; six zeros if it has none
	Address   netip.Addr       // its IPv4 address, to which answers go
	ReplyPort uint16           // at most HighestReplyPort
	Model     string           // such as Macmini6,1; images may be for some models only
}

// A Question is an INFORM[LIST].
type Question struct {
	Datagram []byte
	id       dhcpv4.TransactionID
}

// Ask makes the question of c. Each has an id of its own.
func Ask(c Client) (Question, error) {
	switch {
	case c.ReplyPort > HighestReplyPort:
		return Question{}, fmt.Errorf("reply port %d is above %d", c.ReplyPort, HighestReplyPort)
	case !c.Address.Is4():
		return Question{}, fmt.Errorf("%s is no IPv4 address", c.Address)
	}
	hardware := c.Hardware
	if len(hardware) != 6 {
		hardware = make(net.HardwareAddr, 6)
	}
	options := []byte{optionMessageType, 1, typeList, optionVersion, 2, 1, 1, optionReplyPort, 2}
	options = binary.BigEndian.AppendUint16(options, c.ReplyPort)
	m, err := dhcpv4.NewInform(hardware, c.Address.AsSlice(),
		dhcpv4.WithRequestedOptions(dhcpv4.OptionVendorSpecificInformation, dhcpv4.OptionClassIdentifier),
		dhcpv4.WithOption(dhcpv4.OptMaxMessageSize(maxMessage)),
		dhcpv4.WithOption(dhcpv4.OptClassIdentifier(class+"/i386/"+c.Model)),
		dhcpv4.WithGeneric(dhcpv4.OptionVendorSpecificInformation, options),
	)
	if err != nil {
		return Question{}, fmt.Errorf("make INFORM[LIST]: %w", err)
	}
	return Question{m.ToBytes(), m.TransactionID}, nil
}

// An Image is one that a server offers.
type Image struct {
	ID   uint32 // install (1 bit), kind (7), reserved (8), index (16); images are told apart by all of it
	Name string // may hold any bytes
}

// Index is the part of the ID that an NBImageInfo.plist has.
func (i Image) Index() uint16 { return uint16(i.ID) }

// ErrNotAnswer says that a datagram is no answer to the question: one of
// another conversation, or of a DHCP server that knows nothing of BSDP.
var ErrNotAnswer = errors.New("it is no answer to the question")

// Read reads an ACK[LIST] to q. A list that does not fit into one comes in
// several. An error that is not ErrNotAnswer says what is wrong with an answer.
func (q Question) Read(datagram []byte) ([]Image, error) {
	m, err := dhcpv4.FromBytes(datagram)
	if err != nil || m.OpCode != dhcpv4.OpcodeBootReply || m.TransactionID != q.id || !strings.HasPrefix(m.ClassIdentifier(), class) {
		return nil, ErrNotAnswer
	}
	if kind := m.MessageType(); kind != dhcpv4.MessageTypeAck {
		return nil, fmt.Errorf("it answers with %s, not with ACK", kind)
	}
	kind, list, err := readOptions(m.Options.Get(dhcpv4.OptionVendorSpecificInformation))
	switch {
	case err != nil:
		return nil, err
	case kind == typeFail:
		return nil, errors.New("it answers that it failed")
	case kind != typeList:
		return nil, fmt.Errorf("it answers with message type %d, not with a list", kind)
	}
	return readImages(list)
}

// readOptions returns the message type and the list of images, whose parts
// belong together if there are several.
func readOptions(b []byte) (kind byte, list []byte, err error) {
	for len(b) > 0 && b[0] != optionEnd {
		if b[0] == optionPad {
			b = b[1:]
			continue
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return 0, nil, errors.New("its BSDP options break off")
		}
		value := b[2 : 2+int(b[1])]
		switch {
		case b[0] == optionImages:
			list = append(list, value...)
		case b[0] == optionMessageType && len(value) == 1:
			kind = value[0]
		}
		b = b[2+len(value):]
	}
	return kind, list, nil
}

// readImages reads entries of four bytes of id, one that counts the bytes of
// the name, and the name.
func readImages(b []byte) ([]Image, error) {
	var images []Image
	for len(b) > 0 {
		if len(b) < 5 || len(b) < 5+int(b[4]) {
			return images, errors.New("its list of images breaks off")
		}
		end := 5 + int(b[4])
		images = append(images, Image{binary.BigEndian.Uint32(b), string(b[5:end])})
		b = b[end:]
	}
	return images, nil
}
