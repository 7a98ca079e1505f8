package actions

import (
	"context"
	"fmt"
	"time"

	"github.com/minikeeper/minikeeper"
)

// The rungs of restart-service, from the mildest to the one that interrupts.
const (
	rungFlush   = "flush"
	rungReload  = "reload"
	rungRestart = "restart"
)

// restartService brings a service back: it starts one that is down, and for
// one that runs it climbs from what disturbs nobody up to a restart.
type restartService struct{}

func (restartService) Name() string { return "restart-service" }

func (restartService) Describe() Description {
	return Description{
		Doc:        "Starts a service that is down; flushes, reloads and restarts one that runs but does not work.",
		Idempotent: true,
		Interrupts: "smtp",
		Params: []Param{
			{Name: "service", Doc: "the service: postfix", Required: true},
			{Name: "rung", Doc: "how far to go with a service that runs: flush, reload or restart (the default)"},
		},
	}
}

func (r restartService) Plan(ctx context.Context, m Machine, with map[string]string) (minikeeper.Plan, error) {
	if err := r.check(with); err != nil {
		return minikeeper.Plan{}, fmt.Errorf("plan restart-service: %w", err)
	}
	facts, err := lookAtPostfix(ctx, m)
	if err != nil {
		return minikeeper.Plan{}, fmt.Errorf("plan restart-service: %w", err)
	}
	rung := with["rung"]
	if rung == "" {
		rung = rungRestart
	}
	return planPostfix(facts, rung), nil
}

// check looks at the values that r can judge without seeing the machine.
func (r restartService) check(with map[string]string) error {
	if err := r.Describe().Check(with); err != nil {
		return err
	}
	if service := with["service"]; service != "postfix" {
		return refuse("unknown service %q (have postfix)", service)
	}
	switch rung := with["rung"]; rung {
	case "", rungFlush, rungReload, rungRestart:
		return nil
	default:
		return refuse("unknown rung %q (have flush, reload, restart)", rung)
	}
}

// Operations of restart-service.
const (
	opCheck   = "check"    // end the run if the configuration is broken
	opTry     = "try"      // a command whose failure is told, and does not end the run
	opStop    = "stop"     // stop master, by force if it hangs
	opStart   = "start"    // start master
	opLoadJob = "load-job" // have launchd know a job that it does not know
)

func (restartService) Do(ctx context.Context, m Machine, s minikeeper.Step) (string, error) {
	switch s.Op {
	case opCheck:
		return checkConfiguration(ctx, m)
	case opTry:
		return try(ctx, m, s.Args["what"])
	case opStop:
		return stopMaster(ctx, m)
	case opStart:
		return startMaster(ctx, m)
	case opLoadJob:
		return loadJob(ctx, m, s.Args["label"], s.Args["plist"])
	default:
		return "", fmt.Errorf("perform %q: the action restart-service has no such operation", s.Op)
	}
}

// try runs a command that helps if it succeeds and does no harm if it fails: a
// mail system that hangs must not keep the next step from restarting it.
func try(ctx context.Context, m Machine, what string) (string, error) {
	c, ok := tried(m.Postfix)[what]
	if !ok {
		return "", fmt.Errorf("perform try: nothing is called %q", what)
	}
	res, hangs, err := runFor(ctx, m, tryTimeout, *c)
	output := outputOf(res)
	switch {
	case ctx.Err() != nil:
		return output, err
	case hangs:
		return output + fmt.Sprintf("\n%s: no answer within %v; going on", c, tryTimeout), nil
	case err != nil:
		return output + fmt.Sprintf("\n%v; going on", err), nil
	case res.Exit != 0:
		return output + fmt.Sprintf("\n%s: exit %d; going on", c, res.Exit), nil
	default:
		return output, nil
	}
}

// startMaster starts postfix. On a machine that is slow or busy "postfix start"
// gives up on a master that comes up a little later, so what counts is whether
// master runs then.
func startMaster(ctx context.Context, m Machine) (string, error) {
	c := postfixCommand(m.Postfix, "postfix", "start")
	res, err := m.Run.Run(ctx, *c)
	if err != nil {
		return outputOf(res), err
	}
	if res.Exit == 0 {
		return outputOf(res), nil
	}
	if state, err := lookAtMaster(ctx, m); err == nil && state.running && !state.hangs {
		return outputOf(res) + fmt.Sprintf("\n%s: exit %d, but master runs", c, res.Exit), nil
	}
	return outputOf(res), exitError(*c, res)
}

// checkConfiguration returns an error if postfix finds its configuration
// broken. A check that waits for a master that hangs says nothing about it.
func checkConfiguration(ctx context.Context, m Machine) (string, error) {
	c := postfixCommand(m.Postfix, "postfix", "check")
	res, hangs, err := runFor(ctx, m, checkTimeout, *c)
	switch {
	case err != nil:
		return outputOf(res), err
	case hangs:
		return fmt.Sprintf("%s: no answer within %v; going on", c, checkTimeout), nil
	case res.Exit != 0:
		return outputOf(res), exitError(*c, res)
	default:
		return outputOf(res), nil
	}
}

// tried holds the commands that opTry may run, by name.
func tried(p PostfixMachine) map[string]*minikeeper.Command {
	return map[string]*minikeeper.Command{
		rungFlush:  postfixCommand(p, "postqueue", "-f"),
		rungReload: postfixCommand(p, "postfix", "reload"),
	}
}

// How long the steps of restart-service may take. systemd waits for 90 seconds
// before it kills a master that hangs, and a start checks the queue's folders.
// An operation gives up before its step's time is over, and says so.
const (
	tryTimeout     = 15 * time.Second
	checkTimeout   = time.Minute
	restartTimeout = 4 * time.Minute
	opSlack        = 10 * time.Second
)
