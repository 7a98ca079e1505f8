package collectors

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper"
)

// HostSettings are the settings of the host collector.
type HostSettings struct {
	NTPServer string            // asked with sntp how far the clock is off; nobody is asked if empty
	Command   map[string]string // paths of sysctl, vm_stat, chronyc and sntp
}

// Names of the host collector's metrics.
const (
	hostLoad1           = "minikeeper_host_load1"
	hostCPUs            = "minikeeper_host_cpus"
	hostMemoryAvailable = "minikeeper_host_memory_available_bytes"
	hostMemorySize      = "minikeeper_host_memory_size_bytes"
	hostUptime          = "minikeeper_host_uptime_seconds"
	hostClockOffset     = "minikeeper_host_clock_offset_seconds"
	hostClockSynced     = "minikeeper_host_clock_synchronized"
)

// host reads what an SNMP agent would say of the machine: load, memory,
// uptime, and how right its clock is.
type host struct {
	deps     Deps
	settings HostSettings
	kernel   func() (clock, error) // asks the running kernel about the clock; nil if it is not the one that is read
}

func newHost(d Deps) (Collector, error) {
	s := d.Settings.Host
	if strings.HasPrefix(s.NTPServer, "-") || strings.ContainsAny(s.NTPServer, " \t\n") {
		return nil, fmt.Errorf("host: ntp_server %q is not the name of a server", s.NTPServer)
	}
	h := host{deps: d, settings: s}
	if d.Root == "" && d.GOOS == runtime.GOOS {
		h.kernel = kernelClock
	}
	return h, nil
}

// Families implements Collector.
func (host) Families() []minikeeper.Family {
	gauge := func(name, help string) minikeeper.Family {
		return minikeeper.Family{Name: name, Help: help, Type: minikeeper.Gauge}
	}
	return []minikeeper.Family{
		gauge(hostLoad1, "Processes that ran or waited to run, on average over the last minute."),
		gauge(hostCPUs, "Processors that the system uses."),
		gauge(hostMemoryAvailable, "Memory that programs can get without anything being swapped out."),
		gauge(hostMemorySize, "Memory that the machine has."),
		gauge(hostUptime, "Time since the system started."),
		gauge(hostClockOffset, "How far the clock is ahead of the right time; negative if it is behind."),
		gauge(hostClockSynced, "Whether somebody keeps the clock right (1) or nobody does (0)."),
	}
}

// machineState is what is known of the machine. What is nil is not known.
type machineState struct {
	load1, cpus, available, size, uptime *float64
}

// Collect implements Collector.
func (h host) Collect(ctx context.Context) ([]minikeeper.Sample, error) {
	read := h.readLinux
	if h.deps.GOOS == "darwin" {
		read = h.readMac
	}
	state, err := read(ctx)
	clock, clockErr := h.readClock(ctx)

	var samples []minikeeper.Sample
	add := func(name string, value *float64) {
		if value != nil {
			samples = append(samples, sample(name, *value))
		}
	}
	add(hostLoad1, state.load1)
	add(hostCPUs, state.cpus)
	add(hostMemoryAvailable, state.available)
	add(hostMemorySize, state.size)
	add(hostUptime, state.uptime)
	add(hostClockOffset, clock.ahead)
	if clock.synced != nil {
		samples = append(samples, sample(hostClockSynced, bool01(*clock.synced)))
	}
	return samples, errors.Join(err, clockErr)
}

// since is how long ago boot was. A clock that was set back since says nothing.
func since(boot, now time.Time) *float64 {
	if boot.After(now) {
		return nil
	}
	return new(now.Sub(boot).Seconds())
}
