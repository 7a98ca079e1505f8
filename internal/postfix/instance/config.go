package instance

import (
	"fmt"
	"path/filepath"
)

// mainCF is the instance's main.cf. Level 2 is what Postfix 3.1 to 3.11 all
// understand. Where maillog_file is unknown (before 3.4, so on macOS) the log
// goes to syslog.
func (i *Instance) mainCF(o Options, data string) string {
	return fmt.Sprintf(`compatibility_level = 2
queue_directory = %s
data_directory = %s
maillog_file = %s
maillog_file_prefixes = %s
myhostname = relay.invalid
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
relayhost = %s
disable_dns_lookups = yes
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_tls_security_level = none
smtpd_tls_security_level = none
biff = no
`, i.queue, data, i.Log, filepath.Dir(i.Log), o.Relayhost)
}

// masterCF is the instance's master.cf: what is needed to take mail, queue it
// and relay it, without chroot.
func masterCF(addr string) string {
	return addr + ` inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`
}
