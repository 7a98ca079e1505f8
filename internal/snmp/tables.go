package snmp

// tableName returns what people call the table or group at oid; the OID itself
// if they call it nothing that this program knows.
func tableName(oid string) string {
	names := map[string]string{
		"1.3.6.1.2.1.1":             "system",
		"1.3.6.1.2.1.2":             "interfaces",
		"1.3.6.1.2.1.2.2":           "ifTable",
		"1.3.6.1.2.1.4":             "ip",
		"1.3.6.1.2.1.4.20":          "ipAddrTable",
		"1.3.6.1.2.1.4.22":          "ipNetToMediaTable",
		"1.3.6.1.2.1.4.24.4":        "ipCidrRouteTable",
		"1.3.6.1.2.1.4.34":          "ipAddressTable",
		"1.3.6.1.2.1.5":             "icmp",
		"1.3.6.1.2.1.6":             "tcp",
		"1.3.6.1.2.1.7":             "udp",
		"1.3.6.1.2.1.11":            "snmp",
		"1.3.6.1.2.1.17.1.4":        "dot1dBasePortTable",
		"1.3.6.1.2.1.25.1":          "hrSystem",
		"1.3.6.1.2.1.25.2":          "hrStorage",
		"1.3.6.1.2.1.25.2.3":        "hrStorageTable",
		"1.3.6.1.2.1.25.3.2":        "hrDeviceTable",
		"1.3.6.1.2.1.25.3.3":        "hrProcessorTable",
		"1.3.6.1.2.1.25.3.4":        "hrNetworkTable",
		"1.3.6.1.2.1.25.3.6":        "hrDiskStorageTable",
		"1.3.6.1.2.1.25.3.8":        "hrFSTable",
		"1.3.6.1.2.1.25.4.2":        "hrSWRunTable",
		"1.3.6.1.2.1.25.5.1":        "hrSWRunPerfTable",
		"1.3.6.1.2.1.25.6.3":        "hrSWInstalledTable",
		"1.3.6.1.2.1.31.1.1":        "ifXTable",
		"1.3.6.1.2.1.33.1.1":        "upsIdent",
		"1.3.6.1.2.1.33.1.2":        "upsBattery",
		"1.3.6.1.2.1.33.1.3":        "upsInput",
		"1.3.6.1.2.1.33.1.3.3":      "upsInputTable",
		"1.3.6.1.2.1.33.1.4":        "upsOutput",
		"1.3.6.1.2.1.33.1.4.4":      "upsOutputTable",
		"1.3.6.1.2.1.43.11.1":       "prtMarkerSuppliesTable",
		"1.3.6.1.2.1.47.1.1.1":      "entPhysicalTable",
		"1.3.6.1.2.1.99.1.1":        "entPhySensorTable",
		"1.0.8802.1.1.2.1.4.1":      "lldpRemTable",
		"1.3.6.1.4.1.2021.4":        "memory",
		"1.3.6.1.4.1.2021.9":        "dskTable",
		"1.3.6.1.4.1.2021.10":       "laTable",
		"1.3.6.1.4.1.2021.11":       "systemStats",
		"1.3.6.1.4.1.2021.13.15.1":  "diskIOTable",
		"1.3.6.1.4.1.2021.13.16.2":  "lmTempSensorsTable",
		"1.3.6.1.4.1.8072.1.3.2.3":  "nsExtendOutput1Table",
		"1.3.6.1.4.1.318.1.1.1.2.2": "upsAdvBattery",
	}
	if name, ok := names[oid]; ok {
		return name
	}
	return oid
}
