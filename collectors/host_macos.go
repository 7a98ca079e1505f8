package collectors

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// readMac asks sysctl and vm_stat, which every user may run.
func (h host) readMac(ctx context.Context) (machineState, error) {
	var state machineState
	asked, err := h.deps.output(ctx, h.settings.Command, "sysctl", "vm.loadavg", "hw.ncpu", "hw.memsize", "kern.boottime")
	// A name that a system does not know makes the exit status 1; the others
	// are answered all the same.
	state, parseErr := parseSysctl(string(asked), time.Now())
	if err != nil && len(asked) == 0 {
		parseErr = nil
	}
	pages, pagesErr := h.deps.output(ctx, h.settings.Command, "vm_stat")
	if pagesErr == nil {
		var free float64
		if free, pagesErr = parseVMStat(string(pages)); pagesErr == nil {
			state.available = new(free)
		}
	}
	return state, errors.Join(err, parseErr, pagesErr)
}

// parseSysctl reads what `sysctl NAME…` prints, a line "NAME: VALUE" each (very
// old ones print "NAME = VALUE"):
//
//	vm.loadavg: { 1.87 2.01 2.20 }
//	kern.boottime: { sec = 1763800000, usec = 123456 } Sat Nov 22 08:26:40 2025
func parseSysctl(text string, now time.Time) (machineState, error) {
	var state machineState
	if err := checkLength(text); err != nil {
		return state, fmt.Errorf("read sysctl: %w", err)
	}
	var errs []error
	bad := func(name, value string) {
		errs = append(errs, fmt.Errorf("read sysctl: %s is %q", name, firstLine([]byte(value))))
	}
	for line := range strings.Lines(text) {
		name, value, ok := cutEither(strings.TrimSpace(line), ": ", " = ")
		if !ok {
			continue
		}
		switch name {
		case "vm.loadavg":
			if state.load1 = firstNumber(value); state.load1 == nil {
				bad(name, value)
			}
		case "hw.ncpu":
			if state.cpus = wholeNumber(value); state.cpus == nil {
				bad(name, value)
			}
		case "hw.memsize":
			if state.size = wholeNumber(value); state.size == nil {
				bad(name, value)
			}
		case "kern.boottime":
			boot, ok := bootTime(value)
			if !ok {
				bad(name, value)
				continue
			}
			state.uptime = since(boot, now)
		}
	}
	if state == (machineState{}) && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("read sysctl: nothing known in %q", firstLine([]byte(text))))
	}
	return state, errors.Join(errs...)
}

// cutEither cuts s at the first of two separators.
func cutEither(s, a, b string) (before, after string, found bool) {
	before, after, found = strings.Cut(s, a)
	if !found {
		before, after, found = strings.Cut(s, b)
	}
	return before, after, found
}

// firstNumber returns the first number in "{ 1.87 2.01 2.20 }". Where a comma
// stands for the point, it is one.
func firstNumber(value string) *float64 {
	for word := range strings.FieldsSeq(strings.Trim(value, "{} ")) {
		n, err := strconv.ParseFloat(strings.Replace(word, ",", ".", 1), 64)
		if err != nil || !(n >= 0) || math.IsInf(n, 0) {
			return nil
		}
		return new(n)
	}
	return nil
}

func wholeNumber(value string) *float64 {
	n, err := strconv.ParseUint(value, 10, 63)
	if err != nil || n == 0 {
		return nil
	}
	return new(float64(n))
}

func bootTime(value string) (time.Time, bool) {
	_, rest, ok := strings.Cut(value, "sec = ")
	seconds, _, comma := strings.Cut(rest, ",")
	n, err := strconv.ParseInt(strings.TrimSpace(seconds), 10, 64)
	if !ok || !comma || err != nil || n <= 0 || n > math.MaxUint32 {
		return time.Time{}, false
	}
	return time.Unix(n, 0), true
}

// parseVMStat sums up the memory that programs can get: pages that are free,
// those read ahead on speculation, and those not used of late, which are
// written back or dropped. Compressed and wired memory is none of it.
func parseVMStat(text string) (float64, error) {
	if err := checkLength(text); err != nil {
		return 0, fmt.Errorf("read vm_stat: %w", err)
	}
	header := regexp.MustCompile(`\(page size of (\d+) bytes\)`).FindStringSubmatch(text)
	if header == nil {
		return 0, fmt.Errorf("read vm_stat: no page size in %q", firstLine([]byte(text)))
	}
	size, err := strconv.ParseFloat(header[1], 64)
	if err != nil || size <= 0 || size > 1<<30 {
		return 0, fmt.Errorf("read vm_stat: page size of %s bytes", header[1])
	}
	pages, found := 0.0, 0
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "Pages free", "Pages inactive", "Pages speculative":
			n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), "."), 10, 48)
			if err != nil {
				return 0, fmt.Errorf("read vm_stat: %q", firstLine([]byte(line)))
			}
			pages += float64(n)
			found++
		}
	}
	if found < 2 { // before 10.9 nothing is called speculative
		return 0, errors.New("read vm_stat: free or inactive pages are missing")
	}
	return pages * size, nil
}
