package actions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/launchd"
)

// LaunchdMachine says where the machine keeps its launchd jobs.
type LaunchdMachine struct {
	DaemonsDir string            // folder of property lists; "" for /Library/LaunchDaemons
	Command    map[string]string // path of launchctl, where it differs
}

// Operations of fix-launchd-plist.
const (
	opOwn    = "own"    // give a property list to root
	opLoad   = "load"   // have launchd know a job that it does not know
	opReload = "reload" // have launchd read a job anew
)

// How long the steps of fix-launchd-plist may take, and how long a job that is
// unloaded may take to end.
const (
	ownTimeout    = time.Minute
	reloadTimeout = 2 * time.Minute
	unloadWait    = time.Second
	unloadPolls   = 30
)

// fixLaunchdPlist makes a job's property list one that launchd accepts, and
// has launchd load the job if it does not run for want of that.
type fixLaunchdPlist struct{}

func (fixLaunchdPlist) Name() string { return "fix-launchd-plist" }

func (fixLaunchdPlist) Describe() Description {
	return Description{
		Doc:        "Gives a launchd job's property list to root and wheel with mode 644, and loads the job if launchd does not know it.",
		Idempotent: true,
		Params: []Param{
			{Name: "label", Doc: "the job's label, as the label of the metrics has it", Required: true},
		},
	}
}

func (f fixLaunchdPlist) Plan(ctx context.Context, m Machine, with map[string]string) (minikeeper.Plan, error) {
	plan, err := f.plan(ctx, m, with)
	if err != nil {
		return minikeeper.Plan{}, fmt.Errorf("plan fix-launchd-plist: %w", err)
	}
	return plan, nil
}

func (f fixLaunchdPlist) plan(ctx context.Context, m Machine, with map[string]string) (minikeeper.Plan, error) {
	if err := f.Describe().Check(with); err != nil {
		return minikeeper.Plan{}, err
	}
	label := with["label"]
	if !launchd.ValidLabel(label) {
		return minikeeper.Plan{}, refuse("%q is not the label of a job", label)
	}
	facts, err := lookAtPlist(ctx, m, label)
	if err != nil {
		return minikeeper.Plan{}, err
	}
	return planPlist(facts)
}

func (fixLaunchdPlist) Do(ctx context.Context, m Machine, s minikeeper.Step) (string, error) {
	var output string
	var err error
	switch s.Op {
	case opOwn:
		output, err = ownPlist(m, s.Args["plist"], s.Args["sha256"])
	case opLoad:
		output, err = loadForGood(ctx, m, s.Args["label"], s.Args["plist"])
	case opReload:
		output, err = reloadJob(ctx, m, s.Args["label"], s.Args["plist"])
	default:
		return "", fmt.Errorf("perform %q: the action fix-launchd-plist has no such operation", s.Op)
	}
	if err != nil {
		return output, fmt.Errorf("%s %s: %w", s.Op, s.Args["plist"], err)
	}
	return output, nil
}

// loadForGood has launchd know the job, and makes sure that it does: nothing
// follows that would start it otherwise.
func loadForGood(ctx context.Context, m Machine, label, plist string) (string, error) {
	said, err := loadJob(ctx, m, label, plist)
	if err != nil {
		return said, err
	}
	loaded, err := jobLoaded(ctx, m, label)
	if err != nil {
		return said, err
	}
	if !loaded {
		return said, errors.New("launchd does not take the job: " + said)
	}
	return said, nil
}

// reloadJob has launchd forget the job and read it anew. Until the job has
// ended, launchd answers that it is loaded, and refuses to load it.
func reloadJob(ctx context.Context, m Machine, label, plist string) (string, error) {
	bootout := minikeeper.Command{Path: launchctl(m), Args: []string{"bootout", "system/" + label}}
	if _, err := m.Run.Run(ctx, bootout); err != nil {
		return "", err
	}
	for range unloadPolls { // the exit status says little: 36 means that it goes on, 3 that it was not loaded
		loaded, err := jobLoaded(ctx, m, label)
		if err != nil {
			return "", err
		}
		if !loaded {
			return loadForGood(ctx, m, label, plist)
		}
		if err := sleep(ctx, unloadWait); err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("launchd has not unloaded the job after %v", unloadPolls*unloadWait)
}
