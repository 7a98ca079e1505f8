package collectors

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Bits of smartctl's exit status (smartctl(8), "EXIT STATUS"). Only the first
// two mean that nothing was read.
const (
	smartBadCommand  = 1 << 0
	smartNotOpened   = 1 << 1 // also: it sleeps
	smartFailingNow  = 1 << 3
	smartBitsNoData  = smartBadCommand | smartNotOpened
	smartFindingsBit = 2 // the first of smartFindings
)

// smartFindings are what the bits of the exit status from bit 2 on say. That a
// command failed says nothing about health: the internal disks of Apple-silicon
// Macs refuse one and are well.
func smartFindings() []string {
	return []string{"command_failed", "failing", "prefail_now", "prefail_past", "error_log", "self_test_log"}
}

// A smartReport is as much of smartctl's JSON as is used. What is nil was not
// told.
type smartReport struct {
	Smartctl *struct {
		ExitStatus int      `json:"exit_status"`
		Output     []string `json:"output"`
		Messages   []struct {
			String   string `json:"string"`
			Severity string `json:"severity"`
		} `json:"messages"`
	} `json:"smartctl"`
	Device struct {
		Name     string `json:"name"`
		Protocol string `json:"protocol"`
	} `json:"device"`
	ModelName     string `json:"model_name"`
	ScsiModelName string `json:"scsi_model_name"`
	Serial        string `json:"serial_number"`
	Firmware      string `json:"firmware_version"`
	ScsiRevision  string `json:"scsi_revision"`

	PowerMode struct {
		ATAValue maybe[float64] `json:"ata_value"`
	} `json:"power_mode"`
	Status struct {
		Passed maybe[bool] `json:"passed"`
	} `json:"smart_status"`
	Temperature struct {
		Current maybe[float64] `json:"current"`
	} `json:"temperature"`
	PowerOn struct {
		Hours   maybe[float64] `json:"hours"`
		Minutes maybe[float64] `json:"minutes"`
	} `json:"power_on_time"`
	Endurance struct {
		Percent maybe[float64] `json:"current_percent"`
	} `json:"endurance_used"`

	ATA struct {
		Table []smartAttribute `json:"table"`
	} `json:"ata_smart_attributes"`
	NVMe struct {
		PercentageUsed maybe[float64] `json:"percentage_used"`
		MediaErrors    maybe[float64] `json:"media_errors"`
	} `json:"nvme_smart_health_information_log"`
	ScsiGrown  maybe[float64] `json:"scsi_grown_defect_list"`
	ScsiWear   maybe[float64] `json:"scsi_percentage_used_endurance_indicator"`
	ScsiErrors map[string]struct {
		Uncorrected maybe[float64] `json:"total_uncorrected_errors"`
	} `json:"scsi_error_counter_log"`

	exit   int
	asleep bool
	empty  bool // nothing was read
}

// A smartAttribute is a row of the table that ATA disks have.
type smartAttribute struct {
	ID    int            `json:"id"`
	Name  string         `json:"name"`
	Value maybe[float64] `json:"value"` // normalized: it falls, mostly from 100
	Raw   struct {
		Value  maybe[float64] `json:"value"`
		String string         `json:"string"`
	} `json:"raw"`
}

// A maybe is a value that is nil unless it was told, and was what it should
// be: what encoding/json leaves behind of a wrong one would pass for a zero.
type maybe[T bool | float64] struct{ told *T }

// UnmarshalJSON implements json.Unmarshaler.
func (m *maybe[T]) UnmarshalJSON(data []byte) error {
	var value *T
	if json.Unmarshal(data, &value) == nil {
		m.told = value
	}
	return nil
}

// parseSmartScan reads the output of "smartctl --scan -j".
func parseSmartScan(out []byte) ([]SmartDevice, error) {
	if len(out) > listLimit {
		return nil, fmt.Errorf("smartctl --scan: %d MiB are too much to be true", len(out)>>20)
	}
	var scan struct {
		smartReport
		Devices []struct {
			Name string `json:"name"`
			Type string `json:"type"`
		} `json:"devices"`
	}
	if err := json.Unmarshal(out, &scan); err != nil {
		return nil, fmt.Errorf("smartctl --scan: %w (smartctl 7.0 or later is needed)", err)
	}
	if scan.Smartctl == nil {
		return nil, errors.New("smartctl --scan: what it prints is not smartctl's JSON")
	}
	var found []SmartDevice
	for _, d := range scan.Devices {
		if d.Name == "" || strings.HasPrefix(d.Name, "-") || strings.HasPrefix(d.Type, "-") {
			continue
		}
		switch d.Type {
		case "ata", "scsi", "nvme": // a guess from the name, which keeps smartctl from finding SATA behind SCSI
			d.Type = ""
		}
		found = append(found, SmartDevice{Name: d.Name, Type: d.Type})
	}
	if said := scan.complaint(); len(found) == 0 && scan.Smartctl.ExitStatus&smartBitsNoData != 0 {
		return nil, fmt.Errorf("smartctl --scan: exit status %d: %s", scan.Smartctl.ExitStatus, said)
	}
	return found, nil
}

// parseSmart reads the output of "smartctl -j -x" that ended with status exit.
// An error may come with what could be read.
func parseSmart(out []byte, exit int) (smartReport, error) {
	nothing := smartReport{empty: true}
	if len(out) > listLimit {
		return nothing, fmt.Errorf("smartctl: %d MiB are too much to be true", len(out)>>20)
	}
	var r smartReport
	err := json.Unmarshal(out, &r)
	if err != nil {
		err = fmt.Errorf("smartctl: %w", err)
		if _, odd := errors.AsType[*json.UnmarshalTypeError](err); !odd || r.Smartctl == nil {
			return nothing, err // else one value is odd, and the others were read
		}
	}
	if r.Smartctl == nil {
		return nothing, errors.New("smartctl: what it prints is not smartctl's JSON")
	}
	r.exit = exit | r.Smartctl.ExitStatus
	if r.asleep = r.sleeps(); r.asleep {
		return r, err
	}
	if r.exit&smartBitsNoData != 0 {
		return nothing, fmt.Errorf("smartctl: exit status %d: %s", r.exit, r.complaint())
	}
	return r, err
}

// complaint is the first error that smartctl told of.
func (r smartReport) complaint() string {
	said := "it said nothing"
	for i, m := range r.Smartctl.Messages {
		if i == 0 || m.Severity == "error" {
			said = firstLine([]byte(m.String))
		}
		if m.Severity == "error" {
			break
		}
	}
	return said
}

// sleeps tells whether the disk was left asleep. smartctl 7.5 tells the power
// mode; before it there is a sentence, or only the exit status of a disk that
// cannot be opened, without a complaint and with its name.
func (r smartReport) sleeps() bool {
	if r.exit&smartNotOpened == 0 {
		return false
	}
	const idle = 0x80 // below: standby, and -1 for sleep
	if mode := r.PowerMode.ATAValue.told; mode != nil && *mode < idle {
		return true
	}
	complaints := 0
	for _, m := range r.Smartctl.Messages {
		if saysAsleep(m.String) {
			return true
		}
		if m.Severity == "error" {
			complaints++
		}
	}
	if slices.ContainsFunc(r.Smartctl.Output, saysAsleep) {
		return true
	}
	return complaints == 0 && r.Device.Name != ""
}

// saysAsleep knows "Device is in STANDBY mode, exit(2)".
func saysAsleep(line string) bool {
	return strings.Contains(line, "Device is in ") && strings.Contains(line, " mode, exit(")
}
