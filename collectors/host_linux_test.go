package collectors

import (
	"errors"
	"math"
	"testing"

	"golang.org/x/sys/unix"
)

// The kernel's own words: an offset counts only while its loop steers the clock.
func TestKernelClock(t *testing.T) {
	tests := []struct {
		name   string
		state  int
		timex  unix.Timex
		synced bool
		ahead  float64 // NaN if it is not known
	}{
		{"microseconds behind", unix.TIME_OK, unix.Timex{Status: unix.STA_PLL, Offset: 1500}, true, -0.0015},
		{"nanoseconds ahead", unix.TIME_OK, unix.Timex{Status: unix.STA_PLL | unix.STA_NANO, Offset: -2_000_000}, true, 0.002},
		{"steered by somebody else", unix.TIME_OK, unix.Timex{}, true, math.NaN()},
		{"error", unix.TIME_ERROR, unix.Timex{Status: unix.STA_PLL, Offset: 7}, false, math.NaN()},
		{"not kept", unix.TIME_OK, unix.Timex{Status: unix.STA_PLL | unix.STA_UNSYNC, Offset: 7}, false, math.NaN()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := clockOf(tt.state, tt.timex)
			if c.synced == nil || *c.synced != tt.synced {
				t.Errorf("synced %v, want %v", c.synced, tt.synced)
			}
			if (c.ahead == nil) != math.IsNaN(tt.ahead) || c.ahead != nil && math.Abs(*c.ahead-tt.ahead) > 1e-12 {
				t.Errorf("ahead %v, want %v", c.ahead, tt.ahead)
			}
		})
	}
}

// This machine, whatever it is, has a load, memory and an uptime.
func TestHostReadsThisMachine(t *testing.T) {
	c, err := newHost(Deps{Run: noTools{}, GOOS: "linux"})
	if err != nil {
		t.Fatal(err)
	}
	samples, err := c.Collect(t.Context())
	if err != nil && !errors.Is(err, unix.EPERM) { // a sandbox may hide the kernel's clock
		t.Error(err)
	}
	checkSamples(t, c, samples)
	got := make(map[string]float64)
	for _, s := range samples {
		got[s.Name] = s.Value
	}
	if got[hostMemoryAvailable] <= 0 || got[hostMemoryAvailable] > got[hostMemorySize] {
		t.Errorf("%v of %v bytes of memory are available", got[hostMemoryAvailable], got[hostMemorySize])
	}
	if got[hostUptime] <= 0 || got[hostCPUs] < 1 {
		t.Errorf("up for %v seconds with %v processors", got[hostUptime], got[hostCPUs])
	}
	if _, ok := got[hostLoad1]; !ok {
		t.Error("no load")
	}
}
