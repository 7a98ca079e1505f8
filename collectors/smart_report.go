package collectors

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/minikeeper/minikeeper"
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

// samples are what r says about d.
func (r smartReport) samples(d smartDisk) []minikeeper.Sample {
	if r.empty {
		return nil
	}
	var out []minikeeper.Sample
	add := func(name string, value float64, more ...string) {
		out = append(out, sample(name, value, append([]string{"device", d.label}, more...)...))
	}
	number := func(name string, value *float64) {
		if value != nil && *value >= 0 && !math.IsInf(*value, 0) {
			add(name, *value)
		}
	}
	word := func(words ...string) string {
		for _, w := range words {
			if w = firstLine([]byte(w)); w != "" {
				return w
			}
		}
		return ""
	}
	add(smartAsleep, bool01(r.asleep))
	if r.asleep {
		return out
	}
	add(smartInfo, 1, "path", firstLine([]byte(d.Name)), "model", word(r.ModelName, r.ScsiModelName), "serial", word(r.Serial),
		"firmware", word(r.Firmware, r.ScsiRevision), "protocol", word(r.Device.Protocol))
	if healthy, known := r.healthy(); known {
		add(smartHealthy, bool01(healthy))
	}
	number(smartTemperature, r.temperature())
	number(smartPowerOn, r.powerOn())
	number(smartReallocated, r.reallocated())
	number(smartPending, r.rawOf(197))
	number(smartMediaErrors, r.mediaErrors())
	number(smartWear, r.wear())
	for i, finding := range smartFindings() {
		add(smartFinding, bool01(r.exit&(1<<(i+smartFindingsBit)) != 0), "finding", finding)
	}
	return out
}

// healthy is the disk's own judgement, if it has one: RAID volumes and some
// USB bridges do not pass it on.
func (r smartReport) healthy() (healthy, known bool) {
	failing := r.exit&smartFailingNow != 0
	if r.Status.Passed.told == nil {
		return false, failing
	}
	return *r.Status.Passed.told && !failing, true
}

// temperature is in degrees Celsius. Devices without a sensor say 0, or more
// than any disk stands.
func (r smartReport) temperature() *float64 {
	t := r.Temperature.Current.told
	if t == nil || *t <= 0 || *t > 150 {
		return nil
	}
	return t
}

// powerOn is in seconds. The raw number of attribute 9 may hold more than
// hours, so smartctl's reading of it is taken.
func (r smartReport) powerOn() *float64 {
	if hours := r.PowerOn.Hours.told; hours != nil {
		seconds := *hours * 3600
		if minutes := r.PowerOn.Minutes.told; minutes != nil {
			seconds += *minutes * 60
		}
		return &seconds
	}
	if hours := r.rawOf(9); hours != nil {
		return new(*hours * 3600)
	}
	return nil
}

func (r smartReport) reallocated() *float64 {
	if grown := r.ScsiGrown.told; grown != nil {
		return grown
	}
	return r.rawOf(5)
}

// mediaErrors are what could not be corrected: NVMe's media errors, ATA's
// Reported_Uncorrect (187), SCSI's uncorrected errors of all kinds.
func (r smartReport) mediaErrors() *float64 {
	if nvme := r.NVMe.MediaErrors.told; nvme != nil {
		return nvme
	}
	sum, told := 0.0, false
	for _, kind := range r.ScsiErrors {
		if kind.Uncorrected.told != nil {
			sum, told = sum+*kind.Uncorrected.told, true
		}
	}
	if told {
		return &sum
	}
	return r.rawOf(187)
}

// wear is the part of its expected life that a solid-state disk has used up.
// On ATA disks no attribute is agreed upon, so it is known by its name, and by
// the normalized value, which falls from 100.
func (r smartReport) wear() *float64 {
	for _, percent := range []*float64{r.NVMe.PercentageUsed.told, r.ScsiWear.told, r.Endurance.Percent.told} {
		if percent != nil {
			return new(*percent / 100)
		}
	}
	for _, a := range r.ATA.Table {
		switch a.Name {
		case "SSD_Life_Left", "Media_Wearout_Indicator", "Percent_Lifetime_Remain", "Percent_Life_Remaining",
			"Remaining_Lifetime_Perc", "Wear_Leveling_Count":
			if left := a.Value.told; left != nil && *left >= 0 && *left <= 100 {
				return new((100 - *left) / 100)
			}
		}
	}
	return nil
}

// rawOf is the raw number of the attribute with this id. Vendors pack several
// numbers into one, so the text is read, as far as its first number goes:
// "2725 (151 234 0)" is 2725.
func (r smartReport) rawOf(id int) *float64 {
	for _, a := range r.ATA.Table {
		if a.ID != id {
			continue
		}
		digits := a.Raw.String
		if end := strings.IndexFunc(digits, func(c rune) bool { return c < '0' || c > '9' }); end >= 0 {
			digits = digits[:end]
		}
		if n, err := strconv.ParseUint(digits, 10, 53); err == nil {
			return new(float64(n))
		}
		if raw := a.Raw.Value.told; raw != nil && a.Raw.String == "" && *raw <= math.MaxUint32 {
			return raw
		}
		return nil
	}
	return nil
}
