package collectors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
)

// readLinux reads /proc.
func (h host) readLinux(context.Context) (machineState, error) {
	dir := h.deps.path("/proc")
	proc, err := procfs.NewFS(dir)
	if err != nil {
		return machineState{}, fmt.Errorf("read /proc: %w", err)
	}
	var state machineState
	load, loadErr := proc.LoadAvg()
	if loadErr == nil {
		state.load1 = new(load.Load1)
	}
	memory, memoryErr := proc.Meminfo()
	if memoryErr == nil {
		state.size, state.available = bytesOf(memory.MemTotalBytes), bytesOf(memory.MemAvailableBytes)
	}
	uptime, uptimeErr := readNumber(filepath.Join(dir, "uptime"))
	if uptimeErr == nil {
		state.uptime = new(uptime)
	}
	cpus, cpusErr := onlineCPUs(filepath.Join(dir, "stat"))
	if cpusErr == nil {
		state.cpus = new(cpus)
	}
	return state, errors.Join(wrap("read load", loadErr), wrap("read memory", memoryErr),
		wrap("read uptime", uptimeErr), wrap("read processors", cpusErr))
}

func bytesOf(n *uint64) *float64 {
	if n == nil { // MemAvailable came with Linux 3.14
		return nil
	}
	return new(float64(*n))
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// readNumber returns the first word of a file of /proc, which is a number.
func readNumber(path string) (float64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return parseNumber(string(data))
}

// parseNumber returns the number that text begins with, if it makes sense as a
// duration.
func parseNumber(text string) (float64, error) {
	word, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	n, err := strconv.ParseFloat(word, 64)
	if err != nil || !(n >= 0 && n < 1e12) {
		return 0, fmt.Errorf("%q is no number of seconds", firstLine([]byte(word)))
	}
	return n, nil
}

// onlineCPUs counts the processors that /proc/stat has a line for.
func onlineCPUs(path string) (float64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	n := 0
	for line := range bytes.Lines(data) {
		if rest, ok := bytes.CutPrefix(line, []byte("cpu")); ok && len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' {
			n++
		}
	}
	if n == 0 {
		return 0, fmt.Errorf("no processors in %s", path)
	}
	return float64(n), nil
}
