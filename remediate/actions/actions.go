// Package actions holds the repairs that minikeeper knows. An action looks at
// the machine that it runs on and answers with a plan: steps that people can
// read before anything happens. Looking and planning are apart, so that the
// plan is a pure function of the facts.
//
// The package decides nothing about whether or when to act: the keeper has
// the allow-list, the runner has the guards. No action judges its own
// success: that is for the runner, on samples that were measured afterwards.
package actions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/minikeeper/minikeeper"
)

// An Action is a named kind of repair.
type Action interface {
	// Name is what remedies and allow-lists call the action.
	Name() string

	// Describe says what the action is and takes, without looking at any machine.
	Describe() Description

	// Plan looks at the machine, changes nothing, and returns what would be
	// done now. A plan without steps means that nothing needs to be done. An
	// error that is ErrRefused means that the order is wrong or must not be
	// carried out here; any other means that the machine could not be read.
	Plan(ctx context.Context, m Machine, with map[string]string) (minikeeper.Plan, error)

	// Do performs one operation (a step without Command) of a plan that this
	// action made. Steps with a Command are run by the keeper.
	Do(ctx context.Context, m Machine, s minikeeper.Step) (output string, err error)
}

// ErrRefused is in the chain of an error of Plan when asking again cannot
// help: a parameter is wrong, or the action must not be done on this machine.
var ErrRefused = errors.New("refused")

// InterruptsUnknown is what Description.Interrupts and Plan.Interrupts say when
// an action may interrupt a service that minikeeper does not know.
const InterruptsUnknown = "unknown"

// A Description is what people and the config check need to know of an action.
type Description struct {
	Doc        string // one sentence
	Idempotent bool   // doing it twice is as good as once
	Interrupts string // the service that it may stop for a moment, such as "smtp"; "" if none. The plan knows better
	Params     []Param
}

// A Param is one thing that an order for the action may or must give.
type Param struct {
	Name     string
	Doc      string // one sentence
	Required bool
}

// Check returns an error that is ErrRefused if with names a parameter that the
// action does not have, or leaves out or empties one that it must have. It
// does not look at values otherwise, so templates may be checked too.
func (d Description) Check(with map[string]string) error {
	names := make([]string, len(d.Params))
	for i, p := range d.Params {
		names[i] = p.Name
	}
	for _, name := range slices.Sorted(maps.Keys(with)) {
		if !slices.Contains(names, name) {
			return refuse("unknown parameter %q (have %s)", name, choices(names))
		}
	}
	for _, p := range d.Params {
		if p.Required && with[p.Name] == "" {
			return refuse("parameter %q is missing: %s", p.Name, p.Doc)
		}
	}
	return nil
}

// A Machine is what actions may touch. Only its own config fills it: nothing
// of it comes from an order or an alert.
type Machine struct {
	Run  minikeeper.Runner
	GOOS string // "linux" or "darwin"
	Root string // "" or a folder that stands for "/"; file roots hang below it

	Postfix  PostfixMachine
	NetBoot  NetBootMachine
	Launchd  LaunchdMachine
	Updates  UpdatesMachine
	Shares   []Share
	Commands map[string][]string // argument lists for the action "command", by name

	StateDir string       // where actions keep what a revert needs; must be writable
	Progress func(string) // told in words how far a long step is; may be nil
}

// PostfixMachine says which postfix the machine has.
type PostfixMachine struct {
	ConfigDir string            // of a second instance; "" for the main one
	Command   map[string]string // usual program name → path, where it differs
}

// NetBootMachine says where the machine keeps NetBoot images.
type NetBootMachine struct {
	Roots []string // folders of .nbi folders
}

// A Share is a directory tree that must equal its origin.
type Share struct {
	Name      string
	Path      string   // of the replica on this machine
	Origin    string   // directory that is the truth
	Exclude   []string // globs that are neither drift nor deleted
	Delete    bool     // remove what the origin does not have
	MaxDelete string   // "N" or "N%" of the files; a resync that would delete more is refused; "" for the default
}

// Builtin returns all actions, by name.
func Builtin() map[string]Action {
	return map[string]Action{
		"command":               command{},
		"fix-launchd-plist":     fixLaunchdPlist{},
		"flush-mail-queue":      flushMailQueue{},
		"ignore-update":         ignoreUpdate{},
		"reset-ignored-updates": resetIgnoredUpdates{},
		"reindex-nbi":           newReindexNBI(),
		"restart-service":       restartService{},
		"resync":                resync{},
	}
}

// PlanHash returns the hash by which an admitted plan is told from another:
// SHA-256 in hexadecimal of its JSON. It is the same on both ends of a
// connection.
func PlanHash(p minikeeper.Plan) string {
	// A plan that came over the wire has lost what JSON cannot carry (bytes
	// that are not UTF-8), so the hash is that of a plan which has been there.
	var carried minikeeper.Plan
	if err := json.Unmarshal(encode(p), &carried); err != nil {
		panic("plan does not survive JSON: " + err.Error()) // its fields are strings, booleans and numbers
	}
	sum := sha256.Sum256(encode(carried))
	return hex.EncodeToString(sum[:])
}

// encode returns p as JSON. Keys have the order of the fields, those of maps
// are sorted, so equal plans give equal bytes.
func encode(p minikeeper.Plan) []byte {
	data, err := json.Marshal(p)
	if err != nil {
		panic("plan cannot be JSON: " + err.Error())
	}
	return data
}

// refuse returns an error that is ErrRefused.
func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
}

// choices lists names for a message.
func choices(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(slices.Values(names)), ", ")
}

// program returns the path that is configured for the program called name, or
// the name itself, which is looked up in PATH.
func program(configured map[string]string, name string) string {
	if path := configured[name]; path != "" {
		return path
	}
	return name
}
