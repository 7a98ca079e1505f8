package actions

import (
	"context"
	"fmt"
	"time"

	"github.com/minikeeper/minikeeper"
)

// How often and how long loadJob waits for a job that launchd still unloads.
const (
	loadAttempts = 5
	loadWait     = 3 * time.Second
)

// launchdBusy is what launchctl bootstrap answers (EIO) for a job that is
// loaded already, that is still being unloaded, or whose file it does not
// trust: three causes, one status.
const launchdBusy = 5

// loadJob has launchd know the job in the file plist. It asks before it loads,
// waits where launchd may still be unloading, and leaves the last word to the
// kickstart that follows: "still refused" is output, not an error.
func loadJob(ctx context.Context, m Machine, label, plist string) (string, error) {
	launchctl := launchctl(m)
	for attempt := 1; ; attempt++ {
		loaded, err := jobLoaded(ctx, m, label)
		if err != nil {
			return "", fmt.Errorf("load launchd job: %w", err)
		}
		if loaded {
			return label + " is loaded", nil
		}
		// A job that was disabled answers bootstrap with status 5 for ever.
		enable := minikeeper.Command{Path: launchctl, Args: []string{"enable", "system/" + label}}
		if _, err := m.Run.Run(ctx, enable); err != nil {
			return "", fmt.Errorf("load launchd job: %w", err)
		}
		bootstrap := minikeeper.Command{Path: launchctl, Args: []string{"bootstrap", "system", plist}}
		res, err := m.Run.Run(ctx, bootstrap)
		switch {
		case err != nil:
			return "", fmt.Errorf("load launchd job: %w", err)
		case res.Exit == 0:
			return label + " is loaded", nil
		case res.Exit != launchdBusy:
			return "", fmt.Errorf("load launchd job: %w", exitError(bootstrap, res))
		case attempt == loadAttempts:
			return fmt.Sprintf("%v; trying to start it all the same", exitError(bootstrap, res)), nil
		}
		if err := sleep(ctx, loadWait); err != nil {
			return "", fmt.Errorf("load launchd job: %w", err)
		}
	}
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
