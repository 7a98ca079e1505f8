package collectors

import (
	"os"

	"golang.org/x/sys/unix"
)

// kernelClock asks the kernel, which changes nothing. It knows how far the
// clock is off only while its own loop steers it (STA_PLL): otherwise it says
// 0, which means nothing.
func kernelClock() (clock, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return clock{}, &os.SyscallError{Syscall: "adjtimex", Err: err}
	}
	return clockOf(state, t), nil
}

func clockOf(state int, t unix.Timex) clock {
	if state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0 {
		return clock{synced: new(false)}
	}
	c := clock{synced: new(true)}
	if t.Status&unix.STA_PLL != 0 {
		unit := 1e6
		if t.Status&unix.STA_NANO != 0 {
			unit = 1e9
		}
		c.ahead = new(-float64(t.Offset) / unit)
	}
	return c
}
