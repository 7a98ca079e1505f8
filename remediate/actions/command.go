package actions

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/minikeeper/minikeeper"
)

// commandTimeout bounds a command of the config.
const commandTimeout = 10 * time.Minute

// command runs an argument list that this machine's own config names. An order
// gives the name only, so no alert and no hub can decide what is run.
type command struct{}

func (command) Name() string { return "command" }

func (command) Describe() Description {
	return Description{
		Doc:        "Runs an argument list that the server's own config names.",
		Interrupts: InterruptsUnknown,
		Params: []Param{
			{Name: "command", Doc: "the name under actions.commands in the server's config", Required: true},
		},
	}
}

func (c command) Plan(_ context.Context, m Machine, with map[string]string) (minikeeper.Plan, error) {
	if err := c.Describe().Check(with); err != nil {
		return minikeeper.Plan{}, fmt.Errorf("plan command: %w", err)
	}
	name := with["command"]
	argv := m.Commands[name]
	if len(argv) == 0 || argv[0] == "" {
		err := refuse("no command is called %q (have %s)", name, choices(slices.Collect(maps.Keys(m.Commands))))
		return minikeeper.Plan{}, fmt.Errorf("plan command: %w", err)
	}
	return minikeeper.Plan{
		Action:     c.Name(),
		Interrupts: InterruptsUnknown,
		Steps: []minikeeper.Step{{
			Name:    "run " + name,
			Command: &minikeeper.Command{Path: argv[0], Args: slices.Clone(argv[1:])},
			Timeout: commandTimeout,
		}},
	}, nil
}

func (command) Do(_ context.Context, _ Machine, s minikeeper.Step) (string, error) {
	return "", fmt.Errorf("perform %q: the action command has no operations", s.Op)
}
