package actions

import (
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/postfix"
)

// postfixFacts are what a plan for postfix depends on.
type postfixFacts struct {
	machine PostfixMachine
	service postfix.Service
	managed bool // launchd or systemd knows that it is responsible for master
	masterState
}

// planPostfix returns the steps that bring postfix back. It is pure.
//
// Starting what is down interrupts nobody, so it may be done while the partner
// is down too; only the restart of a running master does.
func planPostfix(f postfixFacts, rung string) minikeeper.Plan {
	plan := minikeeper.Plan{Action: "restart-service", Idempotent: true}
	switch {
	case !f.running:
		plan.Steps = startSteps(f)
	case rung == rungFlush:
		plan.Steps = []minikeeper.Step{
			commandStep("flush the mail queue", postfixCommand(f.machine, "postqueue", "-f"), flushTimeout),
		}
	case rung == rungReload:
		plan.Steps = []minikeeper.Step{
			checkStep(),
			tryStep("flush the mail queue", rungFlush),
			commandStep("reload postfix", postfixCommand(f.machine, "postfix", "reload"), checkTimeout),
		}
	case f.hangs: // the milder rungs would only wait for it
		plan.Interrupts = "smtp"
		plan.Steps = restartSteps(f)
	default:
		plan.Interrupts = "smtp"
		plan.Steps = append([]minikeeper.Step{
			checkStep(),
			tryStep("flush the mail queue", rungFlush),
			tryStep("reload postfix", rungReload),
		}, restartSteps(f)...)
	}
	return plan
}

// startSteps start a master that does not run.
func startSteps(f postfixFacts) []minikeeper.Step {
	switch f.service.Kind {
	case postfix.Launchd:
		kickstart := commandStep("start postfix", kickstart(f), restartTimeout)
		if f.managed {
			return []minikeeper.Step{kickstart}
		}
		load := minikeeper.Step{
			Name:    "load the launchd job",
			Op:      opLoadJob,
			Args:    map[string]string{"label": f.service.Label, "plist": f.service.Plist},
			Revert:  "launchctl bootout system/" + f.service.Label,
			Timeout: restartTimeout,
		}
		return []minikeeper.Step{load, kickstart}
	case postfix.Systemd:
		// restart, not start: after master was killed the unit still counts as
		// active, and start would do nothing.
		return []minikeeper.Step{commandStep("start postfix", systemctl(f, "restart"), restartTimeout)}
	default:
		return []minikeeper.Step{
			startStep(f),
		}
	}
}

// restartSteps restart a master that runs. One that was started past launchd
// or systemd is restarted past them: they would only start a second one, which
// finds the lock taken.
func restartSteps(f postfixFacts) []minikeeper.Step {
	switch {
	case f.managed && f.service.Kind == postfix.Launchd:
		return []minikeeper.Step{commandStep("restart postfix", kickstart(f), restartTimeout)}
	case f.managed && f.service.Kind == postfix.Systemd:
		return []minikeeper.Step{commandStep("restart postfix", systemctl(f, "restart"), restartTimeout)}
	default:
		return []minikeeper.Step{
			{Name: "stop postfix", Op: opStop, Timeout: restartTimeout},
			startStep(f),
		}
	}
}

// checkStep ends a run before it stops a relay that its own configuration
// would keep from starting again.
func checkStep() minikeeper.Step {
	return minikeeper.Step{Name: "check the configuration", Op: opCheck, Timeout: checkTimeout + opSlack}
}

// startStep shows its command, which startMaster runs.
func startStep(f postfixFacts) minikeeper.Step {
	return minikeeper.Step{
		Name:    "start postfix",
		Op:      opStart,
		Args:    map[string]string{"command": postfixCommand(f.machine, "postfix", "start").String()},
		Timeout: restartTimeout,
	}
}

func kickstart(f postfixFacts) *minikeeper.Command {
	return &minikeeper.Command{
		Path: program(f.machine.Command, "launchctl"),
		Args: []string{"kickstart", "-k", "system/" + f.service.Label},
	}
}

func systemctl(f postfixFacts, verb string) *minikeeper.Command {
	return &minikeeper.Command{Path: program(f.machine.Command, "systemctl"), Args: []string{verb, f.service.Unit}}
}

func commandStep(name string, c *minikeeper.Command, timeout time.Duration) minikeeper.Step {
	return minikeeper.Step{Name: name, Command: c, Timeout: timeout}
}

func tryStep(name, what string) minikeeper.Step {
	return minikeeper.Step{
		Name:    name + " (going on if that fails)",
		Op:      opTry,
		Args:    map[string]string{"what": what},
		Timeout: tryTimeout + opSlack,
	}
}
