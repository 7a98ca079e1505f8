package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/minikeeper/minikeeper/internal/config"
	"github.com/minikeeper/minikeeper/remediate"
	"github.com/minikeeper/minikeeper/rules"
)

func newCheck() *cobra.Command {
	var effective, reference bool
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Validate configuration, rule and remedy files",
		Long: `Validate files: a rule file has groups, a remedy file has remedies, and anything
else is a configuration, which is checked together with the rules and remedies
that it names. All problems are printed, as FILE:LINE:COLUMN: message.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && !reference {
				return wrongAsk(errors.New("minikeeper check: which file?"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, files []string) error {
			if reference {
				_, err := io.WriteString(cmd.OutOrStdout(), config.Reference())
				return err
			}
			if effective {
				return printEffective(cmd.OutOrStdout(), files)
			}
			return checkFiles(cmd.OutOrStdout(), files)
		},
	}
	cmd.Flags().BoolVar(&effective, "print", false, "print configurations as they are in effect, with defaults and without secrets")
	cmd.Flags().BoolVar(&reference, "reference", false, "print a configuration that explains every key")
	return cmd
}

func checkFiles(w io.Writer, files []string) error {
	var problems []error
	for _, file := range files {
		summary, err := checkFile(file)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		fmt.Fprintf(w, "%s: %s\n", file, summary)
	}
	if err := errors.Join(problems...); err != nil {
		return wrongAsk(err)
	}
	return nil
}

func printEffective(w io.Writer, files []string) error {
	for _, file := range files {
		cfg, err := loadConfig(file)
		if err != nil {
			return err
		}
		if _, err := w.Write(cfg.Redacted()); err != nil {
			return err
		}
	}
	return nil
}

// checkFile checks one file of whatever kind, and sums a good one up.
func checkFile(file string) (summary string, err error) {
	src, err := readBounded(file)
	if err != nil {
		return "", err
	}
	switch kindOf(src) {
	case "groups":
		return "rules are well", rules.CheckFile(file, src)
	case "remedies":
		remedies, err := remediate.Parse([]remediate.File{{Name: file, Src: src}}, looselyKnown())
		return fmt.Sprintf("%d remedies are well", len(remedies)), err
	default:
		return checkConfig(file)
	}
}

// maxChecked bounds what is read of one file.
const maxChecked = 16 << 20

func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	defer func() { _ = f.Close() }()
	src, err := io.ReadAll(io.LimitReader(f, maxChecked+1))
	if err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	if len(src) > maxChecked {
		return nil, fmt.Errorf("check %s: it is larger than %d MiB", file, maxChecked>>20)
	}
	return src, nil
}

// kindOf returns the key at the top that tells what kind of file src is, or "".
func kindOf(src []byte) string {
	var top map[string]yaml.Node
	if yaml.Unmarshal(src, &top) != nil {
		return "" // the strict reader says what is wrong
	}
	if _, ok := top["groups"]; ok {
		return "groups"
	}
	// A configuration has a list of paths under the same word.
	if node, ok := top["remedies"]; ok && len(top) == 1 && len(node.Content) > 0 && node.Content[0].Kind == yaml.MappingNode {
		return "remedies"
	}
	return ""
}

// looselyKnown is what a remedy file may refer to when no configuration says
// which calendars there are.
func looselyKnown() remediate.Known {
	k := knownToRemedies(&config.Config{})
	k.Calendars = nil
	return k
}

// checkConfig checks a configuration and all that it names.
func checkConfig(file string) (string, error) {
	cfg, err := config.Load(file, known())
	if err != nil {
		return "", err
	}
	var problems []error
	if _, err := newTopology(cfg, nil); err != nil {
		problems = append(problems, err)
	}
	for _, path := range cfg.RuleFiles.Paths {
		src, err := readBounded(path)
		if err == nil {
			err = rules.CheckFile(path, src)
		}
		problems = append(problems, err)
	}
	_, err = loadModules(cfg)
	problems = append(problems, err)
	remedies, err := loadRemedies(cfg)
	problems = append(problems, err)
	if err := errors.Join(problems...); err != nil {
		return "", err
	}
	return summarize(cfg, len(remedies)), nil
}

// summarize says in one line what a configuration makes of this process.
func summarize(cfg *config.Config, remedies int) string {
	parts := []string{fmt.Sprintf("%s listens on %s", cfg.Server, cfg.Listen), fmt.Sprintf("%d collectors", len(cfg.Collectors.ByName()))}
	if p := cfg.Probes; p != nil {
		parts = append(parts, fmt.Sprintf("%d probes", len(p.DistributionPoints)+len(p.TCP)+len(p.SMTP)+len(p.JSS)+len(p.BSDP)))
	}
	if n := len(cfg.Shares); n > 0 {
		parts = append(parts, fmt.Sprintf("%d shares", n))
	}
	if n := len(cfg.Sites); n > 0 {
		parts = append(parts, fmt.Sprintf("%d sites with %d servers", n, len(servers(cfg))))
	}
	if cfg.Store != nil {
		parts = append(parts, fmt.Sprintf("%d remedies", remedies), fmt.Sprintf("%d channels", len(cfg.Notify.Channels)))
	}
	if n := len(cfg.Actions.Allow); n > 0 {
		parts = append(parts, fmt.Sprintf("%d actions allowed", n))
	}
	return strings.Join(parts, ", ")
}
