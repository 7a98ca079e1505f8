package actions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/softwareupdate"
)

// UpdatesMachine says which softwareupdate the machine has.
type UpdatesMachine struct {
	Command map[string]string // path of softwareupdate, where it differs
}

// updatesTimeout bounds what only changes the system's preferences.
const updatesTimeout = 2 * time.Minute

// opIgnore has the system ignore one update.
const opIgnore = "ignore"

// ignoreUpdate has macOS no longer offer one update.
type ignoreUpdate struct{}

func (ignoreUpdate) Name() string { return "ignore-update" }

func (ignoreUpdate) Describe() Description {
	return Description{
		Doc:        "Has macOS no longer offer an update.",
		Idempotent: true,
		Params: []Param{
			{Name: "update", Doc: "the update's label, as the label update of the metrics has it", Required: true},
		},
	}
}

func (i ignoreUpdate) Plan(ctx context.Context, m Machine, with map[string]string) (minikeeper.Plan, error) {
	if err := i.check(with); err != nil {
		return minikeeper.Plan{}, fmt.Errorf("plan ignore-update: %w", err)
	}
	ignored, err := ignoredUpdates(ctx, m)
	if err != nil {
		return minikeeper.Plan{}, fmt.Errorf("plan ignore-update: %w", err)
	}
	return planIgnore(ignored, with["update"]), nil
}

func (i ignoreUpdate) check(with map[string]string) error {
	if err := i.Describe().Check(with); err != nil {
		return err
	}
	if label := with["update"]; !softwareupdate.ValidLabel(label) {
		return refuse("%q is not the label of an update", label)
	}
	return nil
}

// planIgnore is pure.
func planIgnore(ignored []string, label string) minikeeper.Plan {
	plan := minikeeper.Plan{Action: "ignore-update", Idempotent: true}
	if isIgnored(ignored, label) {
		return plan
	}
	plan.Steps = []minikeeper.Step{{
		Name:    "ignore " + label,
		Op:      opIgnore,
		Args:    map[string]string{"update": label},
		Revert:  "softwareupdate --reset-ignored, and ignore the others again: " + labelList(ignored),
		Timeout: updatesTimeout,
	}}
	return plan
}

func (ignoreUpdate) Do(ctx context.Context, m Machine, s minikeeper.Step) (string, error) {
	label := s.Args["update"]
	if s.Op != opIgnore || !softwareupdate.ValidLabel(label) {
		return "", fmt.Errorf("perform %q: the action ignore-update has no such operation", s.Op)
	}
	ignored, err := ignoredUpdates(ctx, m, label)
	if err != nil {
		return "", fmt.Errorf("ignore %s: %w", label, err)
	}
	if !isIgnored(ignored, label) { // it ends well whatever it was asked to ignore
		return "", fmt.Errorf("ignore %s: softwareupdate does not take it: it ignores %s", label, labelList(ignored))
	}
	return "ignored now: " + labelList(ignored), nil
}

// resetIgnoredUpdates has macOS offer all updates again.
type resetIgnoredUpdates struct{}

func (resetIgnoredUpdates) Name() string { return "reset-ignored-updates" }

func (resetIgnoredUpdates) Describe() Description {
	return Description{
		Doc:        "Has macOS offer every update again that somebody chose to ignore.",
		Idempotent: true,
	}
}

func (r resetIgnoredUpdates) Plan(ctx context.Context, m Machine, with map[string]string) (minikeeper.Plan, error) {
	if err := r.Describe().Check(with); err != nil {
		return minikeeper.Plan{}, fmt.Errorf("plan reset-ignored-updates: %w", err)
	}
	ignored, err := ignoredUpdates(ctx, m)
	if err != nil {
		return minikeeper.Plan{}, fmt.Errorf("plan reset-ignored-updates: %w", err)
	}
	return planReset(m.Updates, ignored), nil
}

// planReset is pure.
func planReset(m UpdatesMachine, ignored []string) minikeeper.Plan {
	plan := minikeeper.Plan{Action: "reset-ignored-updates", Idempotent: true}
	if len(ignored) == 0 {
		return plan
	}
	plan.Steps = []minikeeper.Step{{
		Name:    "offer all updates again",
		Command: &minikeeper.Command{Path: program(m.Command, "softwareupdate"), Args: []string{"--reset-ignored"}},
		Revert:  "softwareupdate --ignore each of " + labelList(ignored),
		Timeout: updatesTimeout,
	}}
	return plan
}

func (resetIgnoredUpdates) Do(_ context.Context, _ Machine, s minikeeper.Step) (string, error) {
	return "", fmt.Errorf("perform %q: the action reset-ignored-updates has no operations", s.Op)
}

// ignoredUpdates returns what is ignored. With labels, these are from then on.
func ignoredUpdates(ctx context.Context, m Machine, labels ...string) ([]string, error) {
	c := minikeeper.Command{Path: program(m.Updates.Command, "softwareupdate"), Args: append([]string{"--ignore"}, labels...)}
	res, err := m.Run.Run(ctx, c)
	if err != nil {
		return nil, err
	}
	if res.Exit != 0 {
		return nil, exitError(c, res)
	}
	ignored, err := softwareupdate.ParseIgnored(string(res.Stdout))
	if err != nil {
		return nil, errors.Join(err, errors.New("macOS 12 and later only let device management hide updates"))
	}
	return ignored, nil
}

// isIgnored tells whether label is in the list, where old systems leave the
// version at its end out.
func isIgnored(ignored []string, label string) bool {
	if slices.Contains(ignored, label) {
		return true
	}
	cut := strings.LastIndexByte(label, '-')
	return cut > 0 && slices.Contains(ignored, label[:cut])
}

// labelList shows labels for people.
func labelList(labels []string) string {
	if len(labels) == 0 {
		return "none"
	}
	quoted := make([]string, len(labels))
	for i, label := range labels {
		quoted[i] = strconv.Quote(label)
	}
	return strings.Join(quoted, ", ")
}
