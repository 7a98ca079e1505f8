package actions

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/launchd"
)

// planPlist is pure.
func planPlist(f plistFacts) (minikeeper.Plan, error) {
	switch {
	case f.open:
		return minikeeper.Plan{}, refuse("others than root may write to %s, so they could replace the file at any time", filepath.Dir(f.path))
	case f.parseErr != nil:
		return minikeeper.Plan{}, refuse("%s: %v", f.path, f.parseErr)
	case f.plist.Label != f.label:
		return minikeeper.Plan{}, refuse("%s is that of %s, not of %s", f.path, f.plist.Label, f.label)
	}
	plan := minikeeper.Plan{Action: "fix-launchd-plist", Idempotent: true}
	if !launchd.Secure(f.uid, f.gid, f.mode) {
		plan.Steps = append(plan.Steps, minikeeper.Step{
			Name:    "give " + filepath.Base(f.path) + " to root",
			Op:      opOwn,
			Args:    map[string]string{"plist": f.path, "sha256": f.sum},
			Revert:  fmt.Sprintf("chown %d:%d %s; chmod %04o %s", f.uid, f.gid, f.path, f.mode.Perm(), f.path),
			Timeout: ownTimeout,
		})
	}
	step := minikeeper.Step{
		Args:    map[string]string{"label": f.label, "plist": f.path},
		Revert:  "launchctl bootout system/" + f.label,
		Timeout: reloadTimeout,
	}
	runs := fmt.Sprintf("%s, which runs %q", f.label, strings.Join(f.plist.Argv, " "))
	switch {
	case f.disabled: // somebody does not want it to run
	case f.job == nil:
		step.Name, step.Op = "load "+runs, opLoad
		plan.Steps = append(plan.Steps, step)
	case f.job.SpawnFailed(): // it has no process, so nothing is interrupted
		step.Name, step.Op = "reload "+runs, opReload
		plan.Steps = append(plan.Steps, step)
	}
	return plan, nil
}
