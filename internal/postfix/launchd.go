package postfix

import (
	"errors"
	"strings"
)

// launchdNotFound is launchctl's exit status for a job that is not loaded.
const launchdNotFound = 113

// ErrJobUnknown says that launchctl did not tell anything about the job.
var ErrJobUnknown = errors.New("launchctl does not say whether the job is loaded")

// JobReady tells from the exit status of "launchctl print system/LABEL", and
// from what it printed, whether launchd will start the job when it is needed:
// it is loaded, and the last start did not fail. The text is "not API", so
// only lines with exactly one leading tab are looked at; nested blocks repeat
// their names. Otherwise the error is ErrJobUnknown.
func JobReady(exit int, stdout, stderr string) (bool, error) {
	switch {
	case exit == launchdNotFound, strings.Contains(stderr, "Could not find service"):
		return false, nil
	case exit != 0:
		return false, ErrJobUnknown
	}
	for line := range strings.Lines(stdout) {
		if strings.TrimRight(line, "\r\n") == "\tjob state = spawn failed" {
			return false, nil
		}
	}
	return true, nil
}
