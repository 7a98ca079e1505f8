package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/minikeeper/minikeeper/internal/config"
)

// defaultConfig is where commands look for the configuration.
const defaultConfig = "minikeeper.yml"

// withConfig adds the flag --config to cmd.
func withConfig(cmd *cobra.Command, path *string) *cobra.Command {
	cmd.Flags().StringVar(path, "config", defaultConfig, "the configuration file")
	return cmd
}

// loadConfig reads the configuration at path. A bad one is a wrong request.
func loadConfig(path string) (*config.Config, error) {
	cfg, err := config.Load(path, known())
	if err != nil {
		return nil, wrongAsk(err)
	}
	return cfg, nil
}

func newCollect() *cobra.Command {
	var path string
	return withConfig(&cobra.Command{
		Use:   "collect [NAME...]",
		Short: "Read this machine once and print the metrics",
		Long: `Read this machine once, with the named collectors or with all that are
configured, and print what they read as Prometheus text. Without a
configuration file, the default collectors are used.

Exit status 1 if a collector failed; what the others read is still printed.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, names []string) error {
			return collect(cmd, path, names)
		},
	}, &path)
}

func collect(cmd *cobra.Command, path string, names []string) error {
	cfg, err := configOrDefault(cmd, path)
	if err != nil {
		return err
	}
	e, err := newExporter(cfg, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return wrongAsk(err)
	}
	defer e.Close()
	measured, err := e.Collect(cmd.Context(), names...)
	if err != nil {
		return wrongAsk(err)
	}
	if err := e.WriteText(cmd.OutOrStdout(), names...); err != nil {
		return cannotTell(err)
	}
	var failed []error
	for _, m := range measured {
		if m.Error != "" {
			failed = append(failed, fmt.Errorf("collector %s: %s", m.Collector, m.Error))
		}
	}
	if len(failed) > 0 {
		return wrongWorld(errors.Join(failed...))
	}
	return nil
}

// configOrDefault reads the configuration at path. The default path may be
// missing: then the default configuration is used.
func configOrDefault(cmd *cobra.Command, path string) (*config.Config, error) {
	_, err := os.Stat(path)
	if cmd.Flags().Changed("config") || !errors.Is(err, os.ErrNotExist) {
		return loadConfig(path)
	}
	cfg, err := config.Parse(path, []byte("{}\n"), os.LookupEnv, knownHere())
	if err != nil {
		return nil, wrongAsk(err)
	}
	return cfg, nil
}

// knownHere is known with the name of this machine.
func knownHere() config.Known {
	k := known()
	if host, err := os.Hostname(); err == nil {
		k.Host = host
	}
	return k
}
