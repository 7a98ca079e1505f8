package remediate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/minikeeper/minikeeper/internal/matcher"
	"github.com/minikeeper/minikeeper/internal/strictyaml"
)

// A File is a remedy file: its name, for messages, and what is in it.
type File struct {
	Name string
	Src  []byte
}

// fileYAML is a remedy file as it is written.
type fileYAML struct {
	Remedies []remedyYAML `yaml:"remedies"`
}

type remedyYAML struct {
	Name     string              `yaml:"name"`
	Match    []matcher.Matcher   `yaml:"match"`
	Action   string              `yaml:"action"`
	Target   Template            `yaml:"target"`
	With     map[string]Template `yaml:"with"`
	Mode     Mode                `yaml:"mode"`
	Guards   guardsYAML          `yaml:"guards"`
	Verify   verifyYAML          `yaml:"verify"`
	Escalate []string            `yaml:"escalate"`
}

// SetDefaults fills in what a remedy does not have to say.
func (r *remedyYAML) SetDefaults() {
	r.Mode = ModeShadow
	r.Guards.SetDefaults()
	r.Verify.SetDefaults()
}

type guardsYAML struct {
	For        time.Duration  `yaml:"for"`
	Calendar   string         `yaml:"calendar"`
	Cooldown   time.Duration  `yaml:"cooldown"`
	Attempts   attemptsYAML   `yaml:"attempts"`
	Concurrent concurrentYAML `yaml:"concurrent"`
	Partner    PartnerRule    `yaml:"partner"`
	Alone      alone          `yaml:"alone"`
	Approval   approval       `yaml:"approval"`
}

// SetDefaults implements the decoder's interface.
func (g *guardsYAML) SetDefaults() {
	d := DefaultGuards()
	g.Cooldown, g.Partner, g.Approval = d.Cooldown, d.Partner, "none"
	g.Attempts.SetDefaults()
	g.Concurrent.SetDefaults()
}

type attemptsYAML struct {
	Max int           `yaml:"max"`
	Per time.Duration `yaml:"per"`
}

// SetDefaults implements the decoder's interface.
func (a *attemptsYAML) SetDefaults() { *a = attemptsYAML(DefaultGuards().Attempts) }

type concurrentYAML struct {
	Site  int `yaml:"site"`
	Total int `yaml:"total"`
}

// SetDefaults implements the decoder's interface.
func (c *concurrentYAML) SetDefaults() { *c = concurrentYAML(DefaultGuards().Concurrent) }

type verifyYAML struct {
	Expr      Template      `yaml:"expr"`
	Within    time.Duration `yaml:"within"`
	StableFor time.Duration `yaml:"stable_for"`
}

// SetDefaults implements the decoder's interface.
func (v *verifyYAML) SetDefaults() { v.Within = 15 * time.Minute }

// UnmarshalText reads a template.
func (t *Template) UnmarshalText(text []byte) (err error) {
	*t, err = ParseTemplate(string(text))
	return err
}

// Wants says what a template is, for messages.
func (Template) Wants() string { return "a text, with {{ .label }} for a label of the alert" }

// UnmarshalText reads a mode.
func (m *Mode) UnmarshalText(text []byte) error { return oneOf(m, text, Modes()...) }

// UnmarshalText reads what is asked of the partner.
func (p *PartnerRule) UnmarshalText(text []byte) error {
	return oneOf(p, text, PartnerAuto, PartnerHealthy, PartnerIdle, PartnerAny)
}

type (
	alone    string
	approval string
)

func (a *alone) UnmarshalText(text []byte) error { return oneOf(a, text, AloneAllow, AloneAsk) }

func (a *approval) UnmarshalText(text []byte) error { return oneOf(a, text, "none", "required") }

// oneOf sets into to text if that is one of choices.
func oneOf[T ~string](into *T, text []byte, choices ...T) error {
	if !slices.Contains(choices, T(text)) {
		names := make([]string, len(choices))
		for i, c := range choices {
			names[i] = string(c)
		}
		return fmt.Errorf("wants one of %s, not %q", strings.Join(names, ", "), text)
	}
	*into = T(text)
	return nil
}

// Known is what remedies may refer to.
type Known struct {
	Actions   map[string]ActionInfo
	Calendars []string

	// CheckExpr refuses an expression that cannot be parsed or reads no
	// series. nil accepts all.
	CheckExpr func(expr string) error
}

// ActionInfo is what the check of a remedy needs to know of an action.
type ActionInfo struct {
	// Check refuses parameters that the action does not have, or the lack of
	// one that it needs. The values may hold templates. nil accepts all.
	Check func(with map[string]string) error
}

// Parse reads remedy files and returns the remedies in the order in which they
// are written. The error holds everything that is wrong, as
// strictyaml.Problems; then no remedies are returned.
func Parse(files []File, known Known) ([]*Remedy, error) {
	c := checker{known: known, where: make(map[string]place)}
	var problems strictyaml.Problems
	for _, f := range files {
		var in fileYAML
		doc, found := strictyaml.Decode(f.Name, f.Src, &in)
		c.file(doc, f.Name, found, in)
		problems = append(problems, found...)
	}
	c.references()
	problems = append(problems, c.problems...)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return c.remedies, nil
}

// remedy returns r in the form that the engine uses.
func (r remedyYAML) remedy(source string) *Remedy {
	match := make([]Matcher, len(r.Match))
	for i, m := range r.Match {
		match[i] = m
	}
	g := r.Guards
	return &Remedy{
		Name: r.Name, Match: match, Action: r.Action, Target: r.Target, With: maps.Clone(r.With), Mode: r.Mode,
		Guards: Guards{
			For: g.For, Calendar: g.Calendar, Cooldown: g.Cooldown,
			Attempts: Attempts(g.Attempts), Concurrent: Concurrent(g.Concurrent),
			Partner: g.Partner, Alone: string(g.Alone),
		},
		Verify:   Verify{Expr: r.Verify.Expr, Within: r.Verify.Within, StableFor: r.Verify.StableFor},
		Escalate: r.Escalate, Asks: g.Approval == "required", Source: source,
	}
}
