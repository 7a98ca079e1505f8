package poll

import "github.com/gosnmp/gosnmp"

// Request encodes a request as a plain link does.
func Request(version gosnmp.SnmpVersion, community string, kind gosnmp.PDUType, id int32, rows int, oids []string) ([]byte, error) {
	return appendRequest(nil, version, community, kind, id, rows, oids)
}

// Reply decodes an answer as a plain link does.
func Reply(b []byte, version gosnmp.SnmpVersion) (id int64, status gosnmp.SNMPError, index int, objects []gosnmp.SnmpPDU, err error) {
	id, pdu, err := envelope(b, version)
	if err != nil {
		return 0, 0, 0, nil, err
	}
	r, err := decode(pdu, 1)
	return id, r.status, r.index, r.objects, err
}
