package snmpyml

import (
	"os"
	"strings"
)

// maxCommunity is what one byte of length can say.
const maxCommunity = 127

// auth checks an auth as snmp_exporter does, and fills secrets in.
func (c *checker) auth(raw *rawAuth) *Auth {
	a := &Auth{
		Version: raw.Version, SecurityLevel: raw.SecurityLevel,
		AuthProtocol: raw.AuthProtocol, PrivProtocol: raw.PrivProtocol, ContextName: raw.ContextName,
		Username:     c.expand("username", raw.Username),
		Password:     Secret(c.expand("password", raw.Password)),
		PrivPassword: Secret(c.expand("priv_password", raw.PrivPassword)),
		Community:    Secret(raw.Community),
	}
	if strings.Contains(raw.Community, "${") {
		a.Community = Secret(c.expand("community", raw.Community))
	}
	if a.Version < 1 || a.Version > 3 {
		c.bad(key("version"), "version wants 1, 2 or 3, not %d", a.Version)
	}
	if len(a.Community) > maxCommunity {
		c.bad(key("community"), "community is longer than %d bytes", maxCommunity)
	}
	if a.Version == 3 {
		c.user(a)
	}
	return a
}

// user checks what only version 3 needs.
func (c *checker) user(a *Auth) {
	c.oneOf("security_level", a.SecurityLevel, "noAuthNoPriv", "authNoPriv", "authPriv")
	if a.Username == "" {
		c.bad(nil, "username is missing, and version 3 needs one")
	}
	if a.SecurityLevel == "authNoPriv" || a.SecurityLevel == "authPriv" {
		if a.Password == "" {
			c.bad(nil, "password is missing, and security_level %s needs one", a.SecurityLevel)
		}
		c.oneOf("auth_protocol", a.AuthProtocol, "MD5", "SHA", "SHA224", "SHA256", "SHA384", "SHA512")
	}
	if a.SecurityLevel == "authPriv" {
		if a.PrivPassword == "" {
			c.bad(nil, "priv_password is missing, and security_level authPriv needs one")
		}
		c.oneOf("priv_protocol", a.PrivProtocol, "DES", "AES", "AES192", "AES192C", "AES256", "AES256C")
	}
}

// expand fills variables into the value of key name. Messages never show what
// a variable holds.
func (c *checker) expand(name, value string) string {
	if c.env == nil || !strings.Contains(value, "$") {
		return value
	}
	var missing []string
	filled := os.Expand(value, func(variable string) string {
		v, ok := c.env(variable)
		if !ok || v == "" {
			missing = append(missing, variable)
		}
		return v
	})
	for _, variable := range missing {
		c.bad(key(name), "%s: environment variable %q is not set", name, variable)
	}
	if len(missing) > 0 {
		return value // complained of once is enough
	}
	return filled
}
