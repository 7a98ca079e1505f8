package collectors

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/minikeeper/minikeeper"
)

// SmartSettings are the settings of the smart collector.
type SmartSettings struct {
	Command map[string]string // path of smartctl
	Devices []SmartDevice     // what to read; what smartctl finds if empty
	Exclude []string          // patterns, as path.Match has them, of devices to leave out
	Wake    bool              // also read disks that sleep, which wakes them
}

// A SmartDevice is a disk as smartctl names it.
type SmartDevice struct {
	Name string // such as /dev/sda, disk0
	Type string // for -d, such as sat; empty where smartctl finds out itself
}

// Names of the smart collector's metrics.
const (
	smartInfo        = "minikeeper_smart_device_info"
	smartHealthy     = "minikeeper_smart_healthy"
	smartAsleep      = "minikeeper_smart_asleep"
	smartTemperature = "minikeeper_smart_temperature_celsius"
	smartPowerOn     = "minikeeper_smart_power_on_seconds"
	smartReallocated = "minikeeper_smart_reallocated_sectors"
	smartPending     = "minikeeper_smart_pending_sectors"
	smartMediaErrors = "minikeeper_smart_media_errors"
	smartWear        = "minikeeper_smart_wear_ratio"
	smartFinding     = "minikeeper_smart_finding"
)

// smartDevices bounds how many devices are read, and smartAtOnce how many at
// the same time: a disk that hangs must not keep the others from being read.
const (
	smartDevices = 256
	smartAtOnce  = 8
)

// smartShare is the part of the remaining time that reading the devices may
// take, so that one that hangs leaves out its own series only.
const smartShare = 3.0 / 4

// smart reads what disks say about themselves, through smartctl.
type smart struct {
	deps     Deps
	settings SmartSettings
	exclude  patterns
}

func newSmart(d Deps) (Collector, error) {
	s := d.Settings.Smart
	exclude, err := newPatterns(s.Exclude)
	if err != nil {
		return nil, fmt.Errorf("smart: exclude: %w", err)
	}
	for i, device := range s.Devices {
		if device.Name == "" || strings.HasPrefix(device.Name, "-") || strings.HasPrefix(device.Type, "-") {
			return nil, fmt.Errorf("smart: device %d: smartctl would not take %q of type %q for a device", i+1, device.Name, device.Type)
		}
	}
	return smart{deps: d, settings: s, exclude: exclude}, nil
}

// Families implements Collector.
func (smart) Families() []minikeeper.Family {
	gauge := func(name, help string, labels ...string) minikeeper.Family {
		return minikeeper.Family{Name: name, Help: help, Type: minikeeper.Gauge, Labels: append([]string{"device"}, labels...)}
	}
	return []minikeeper.Family{
		gauge(smartInfo, "What the disk is; always 1.", "path", "model", "serial", "firmware", "protocol"),
		gauge(smartHealthy, "Whether the disk judges itself healthy (1) or failing (0). Absent while it does not say."),
		gauge(smartAsleep, "Whether the disk sleeps (1), and was not woken to be read, or not (0)."),
		gauge(smartTemperature, "Temperature of the disk."),
		gauge(smartPowerOn, "How long the disk has been switched on in its life."),
		gauge(smartReallocated, "Sectors that the disk has replaced by spare ones."),
		gauge(smartPending, "Sectors that the disk could not read and would replace."),
		gauge(smartMediaErrors, "Errors that the disk could not correct."),
		gauge(smartWear, "How much of its expected life a solid-state disk has used up; may be more than 1."),
		gauge(smartFinding, "Whether smartctl found this about the disk (1) or not (0).", "finding"),
	}
}

// Collect implements Collector.
func (s smart) Collect(ctx context.Context) ([]minikeeper.Sample, error) {
	ctx, cancel := partOf(ctx, smartShare)
	defer cancel()
	devices, err := s.devices(ctx)
	if err != nil {
		err = fmt.Errorf("find disks: %w", err)
	}
	samples := make([][]minikeeper.Sample, len(devices))
	errs := make([]error, len(devices))
	var wait sync.WaitGroup
	turns := make(chan struct{}, smartAtOnce)
	for i, device := range devices {
		wait.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			samples[i], errs[i] = s.read(ctx, device)
		})
	}
	wait.Wait()
	return slices.Concat(samples...), errors.Join(err, errors.Join(errs...))
}

// A smartDisk is a device that is read.
type smartDisk struct {
	SmartDevice
	label string // tells it from the others of this machine
}

// devices returns what is read.
func (s smart) devices(ctx context.Context) ([]smartDisk, error) {
	found, err := s.settings.Devices, error(nil)
	if len(found) == 0 {
		var res minikeeper.Result
		res, err = s.deps.tool(ctx, s.settings.Command, "smartctl", "--scan", "-j")
		if err != nil && len(res.Stdout) == 0 {
			return nil, err
		}
		found, err = parseSmartScan(res.Stdout)
	}
	if len(found) > smartDevices {
		err = errors.Join(err, fmt.Errorf("%d disks are too many to be read: only the first %d are", len(found), smartDevices))
		found = found[:smartDevices]
	}
	names := make(map[string]int)
	for _, d := range found {
		names[deviceLabel(d.Name)]++
	}
	var all []smartDisk
	seen := make(map[string]bool)
	for _, d := range found {
		label := deviceLabel(d.Name)
		if names[label] > 1 && d.Type != "" { // the disks behind one controller share its name
			label += "," + d.Type
		}
		if seen[label] || s.exclude.match(d.Name) || s.exclude.match(label) {
			continue
		}
		seen[label] = true
		all = append(all, smartDisk{SmartDevice: d, label: label})
	}
	return all, err
}

// deviceLabel is the name of a device as a label. On macOS it may be a place
// in the tree of devices, such as
// "IOService:/AppleARMPE/…/AppleANS3CGv2Controller/NS_01@1": of that the last
// part is taken, with a hash of the whole to tell two of them apart.
func deviceLabel(name string) string {
	name = firstLine([]byte(name))
	if !strings.HasPrefix(name, "IOService:") {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return path.Base(name) + "-" + hex.EncodeToString(sum[:4])
}

// read reads one disk.
func (s smart) read(ctx context.Context, d smartDisk) ([]minikeeper.Sample, error) {
	args := []string{"-j", "-x"}
	if !s.settings.Wake {
		args = append(args, "-n", "standby")
	}
	if d.Type != "" {
		args = append(args, "-d", d.Type)
	}
	c := minikeeper.Command{Path: cmp.Or(s.settings.Command["smartctl"], "smartctl"), Args: append(args, d.Name)}
	res, err := s.deps.Run.Run(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("read disk %s: %w", d.label, err)
	}
	report, err := parseSmart(res.Stdout, res.Exit)
	if err != nil {
		if len(res.Stdout) == 0 {
			err = fmt.Errorf("exit status %d: %s", res.Exit, cmp.Or(firstLine(res.Stderr), "it said nothing"))
		}
		err = fmt.Errorf("read disk %s: %w", d.label, err)
	}
	return report.samples(d), err
}
