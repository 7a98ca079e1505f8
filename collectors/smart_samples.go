package collectors

import (
	"math"
	"strconv"
	"strings"

	"github.com/minikeeper/minikeeper"
)

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
