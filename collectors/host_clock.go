package collectors

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A clock is what is known about the machine's clock. What is nil is not known.
type clock struct {
	ahead  *float64 // seconds; negative if it is behind
	synced *bool    // somebody keeps it right
}

// readClock asks whoever knows best: a server, if one is configured; chrony,
// which steers the clock without telling the kernel how far it is off; the
// kernel. Nobody to ask is no error, but then nothing is known.
func (h host) readClock(ctx context.Context) (clock, error) {
	c, err := h.localClock(ctx)
	if h.settings.NTPServer == "" {
		return c, err
	}
	out, askErr := h.deps.output(ctx, h.settings.Command, "sntp", h.settings.NTPServer)
	if askErr != nil {
		return c, errors.Join(err, askErr)
	}
	behind, askErr := parseSNTP(string(out))
	if askErr != nil {
		return c, errors.Join(err, askErr)
	}
	c.ahead = new(-behind)
	return c, err
}

func (h host) localClock(ctx context.Context) (clock, error) {
	if h.deps.GOOS != "linux" {
		return clock{}, nil
	}
	// That chrony is not installed, or installed and not running, only means
	// that somebody else keeps the clock.
	if out, err := h.deps.output(ctx, h.settings.Command, "chronyc", "-n", "-c", "tracking"); err == nil {
		return parseTracking(string(out))
	}
	if h.kernel == nil {
		return clock{}, nil
	}
	c, err := h.kernel()
	if err != nil {
		return clock{}, fmt.Errorf("ask the kernel about the clock: %w", err)
	}
	return c, nil
}

// parseTracking reads the line that `chronyc -c tracking` prints. Of its
// fields, the fifth is how far the clock is behind, in seconds, and the last
// whether it is kept at all.
func parseTracking(text string) (clock, error) {
	line := strings.TrimSpace(text)
	fields := strings.Split(line, ",")
	if len(fields) != 14 {
		return clock{}, fmt.Errorf("read chronyc: no tracking report: %q", firstLine([]byte(line)))
	}
	switch leap := fields[13]; leap {
	case "Normal", "Insert second", "Delete second":
	case "Not synchronised":
		return clock{synced: new(false)}, nil
	default:
		return clock{}, fmt.Errorf("read chronyc: leap status %q", leap)
	}
	behind, err := parseOffset(fields[4])
	if err != nil {
		return clock{synced: new(true)}, fmt.Errorf("read chronyc: %w", err)
	}
	return clock{ahead: new(-behind), synced: new(true)}, nil
}

// parseSNTP returns how far the clock is behind, which is the number before
// "+/-" in all versions:
//
//	+0.006318 +/- 0.012207 time.example.com 192.0.2.1
//	2026-11-22 08:26:40.123456 (+0000) +0.006318 +/- 0.012207 time.example.com 192.0.2.1 s2 no-leap
func parseSNTP(text string) (float64, error) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if i := slices.Index(words, "+/-"); i > 0 {
			behind, err := parseOffset(words[i-1])
			if err != nil {
				return 0, fmt.Errorf("read sntp: %w", err)
			}
			return behind, nil
		}
	}
	return 0, fmt.Errorf("read sntp: no offset in %q", firstLine([]byte(text)))
}

func parseOffset(word string) (float64, error) {
	n, err := strconv.ParseFloat(word, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("%q is no offset in seconds", firstLine([]byte(word)))
	}
	return n, nil
}
