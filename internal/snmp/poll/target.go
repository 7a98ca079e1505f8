package poll

import (
	"encoding/hex"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gosnmp/gosnmp"
)

// A Target is an agent and how it lets one in.
type Target struct {
	Address   string // [NETWORK://]HOST[:PORT]; udp and port 161 if left out
	Version   int    // 1, 2 or 3
	Community string
	Context   string // version 3
	EngineID  string // version 3: of the context, in hexadecimal; "": the agent's own
	User      User   // version 3

	Unconnected bool // answers may come from another address
}

// A User is who asks, in version 3.
type User struct {
	Name               string
	Auth, Priv         string // protocols as snmp.yml names them; "" without
	AuthSecret, Secret string
}

// networks are the transports that a Target may name.
func networks() []string { return []string{"udp", "udp4", "udp6", "tcp", "tcp4", "tcp6"} }

// split returns the parts of the address.
func (t Target) split() (network, host string, port uint16, err error) {
	network, address := "udp", t.Address
	if before, after, ok := strings.Cut(address, "://"); ok {
		network, address = before, after
	}
	known := false
	for _, n := range networks() {
		known = known || n == network
	}
	if !known {
		return "", "", 0, fmt.Errorf("unknown network %q of target %q (have %s)", network, t.Address, strings.Join(networks(), ", "))
	}
	if h, p, err := net.SplitHostPort(address); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return "", "", 0, fmt.Errorf("bad port %q of target %q", p, t.Address)
		}
		address, port = h, uint16(n)
	} else {
		address, port = strings.Trim(address, "[]"), 161
	}
	if address == "" {
		return "", "", 0, fmt.Errorf("target %q has no host", t.Address)
	}
	return network, address, port, nil
}

// Check says what is wrong with the target, if anything.
func (t Target) Check() error {
	if _, _, _, err := t.split(); err != nil {
		return err
	}
	if _, err := hex.DecodeString(t.EngineID); err != nil {
		return fmt.Errorf("engine id %q is not hexadecimal", t.EngineID)
	}
	return nil
}

// key tells targets apart whose sessions cannot be exchanged.
func (t Target) key() string {
	return fmt.Sprintf("%q", []string{
		t.Address, strconv.Itoa(t.Version), t.Community, t.Context, t.EngineID,
		t.User.Name, t.User.Auth, t.User.Priv, t.User.AuthSecret, t.User.Secret, strconv.FormatBool(t.Unconnected),
	})
}

// client returns an unconnected client of the target.
func (t Target) client(timeout time.Duration) (*gosnmp.GoSNMP, error) {
	network, host, port, err := t.split()
	if err != nil {
		return nil, err
	}
	g := &gosnmp.GoSNMP{
		Transport: network, Target: host, Port: port, Timeout: timeout,
		Community: t.Community, ExponentialTimeout: true,
		UseUnconnectedUDPSocket: t.Unconnected,
	}
	switch t.Version {
	case 1:
		g.Version = gosnmp.Version1
	case 2:
		g.Version = gosnmp.Version2c
	default:
		g.Version = gosnmp.Version3
		if err := t.secure(g); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// secure sets what only version 3 needs.
func (t Target) secure(g *gosnmp.GoSNMP) error {
	engine, err := hex.DecodeString(t.EngineID)
	if err != nil {
		return fmt.Errorf("engine id %q is not hexadecimal", t.EngineID)
	}
	g.ContextName, g.ContextEngineID = t.Context, string(engine)
	g.SecurityModel, g.MsgFlags = gosnmp.UserSecurityModel, gosnmp.NoAuthNoPriv
	usm := &gosnmp.UsmSecurityParameters{UserName: t.User.Name}
	if t.User.Auth != "" {
		g.MsgFlags = gosnmp.AuthNoPriv
		usm.AuthenticationPassphrase = t.User.AuthSecret
		if usm.AuthenticationProtocol, err = authProtocol(t.User.Auth); err != nil {
			return err
		}
	}
	if t.User.Priv != "" {
		g.MsgFlags = gosnmp.AuthPriv
		usm.PrivacyPassphrase = t.User.Secret
		if usm.PrivacyProtocol, err = privProtocol(t.User.Priv); err != nil {
			return err
		}
	}
	g.SecurityParameters = usm
	return nil
}

func authProtocol(name string) (gosnmp.SnmpV3AuthProtocol, error) {
	switch name {
	case "MD5":
		return gosnmp.MD5, nil
	case "SHA":
		return gosnmp.SHA, nil
	case "SHA224":
		return gosnmp.SHA224, nil
	case "SHA256":
		return gosnmp.SHA256, nil
	case "SHA384":
		return gosnmp.SHA384, nil
	case "SHA512":
		return gosnmp.SHA512, nil
	default:
		return 0, fmt.Errorf("unknown authentication protocol %q", name)
	}
}

func privProtocol(name string) (gosnmp.SnmpV3PrivProtocol, error) {
	switch name {
	case "DES":
		return gosnmp.DES, nil
	case "AES":
		return gosnmp.AES, nil
	case "AES192":
		return gosnmp.AES192, nil
	case "AES192C":
		return gosnmp.AES192C, nil
	case "AES256":
		return gosnmp.AES256, nil
	case "AES256C":
		return gosnmp.AES256C, nil
	default:
		return 0, fmt.Errorf("unknown privacy protocol %q", name)
	}
}
