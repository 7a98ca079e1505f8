package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/minikeeper/minikeeper/exporter"
	"github.com/minikeeper/minikeeper/internal/access"
	"github.com/minikeeper/minikeeper/internal/config"
	"github.com/minikeeper/minikeeper/internal/snmp"
	"github.com/minikeeper/minikeeper/internal/snmp/poll"
)

// scrapesInFlight is how many targets may be asked at once for others; most
// of the time they are waited for.
const scrapesInFlight = 256

// loadModules loads the SNMP modules of cfg; nil if it has none.
func loadModules(cfg *config.Config) (*snmp.Modules, error) {
	if cfg.SNMP == nil {
		return nil, nil
	}
	return snmp.Load(cfg.SNMP.Files, snmpOptions(cfg.SNMP.ExpandEnvironment))
}

func snmpOptions(expand bool) snmp.Options {
	if !expand {
		return snmp.Options{}
	}
	return snmp.Options{Env: os.LookupEnv}
}

// newScraper returns what scrapes SNMP targets; nil if cfg asks for none.
func newScraper(cfg *config.Config) (*snmp.Scraper, error) {
	modules, err := loadModules(cfg)
	if modules == nil || err != nil {
		return nil, err
	}
	return snmp.NewScraper(modules, poll.Limits{}), nil
}

// snmpRoute serves /snmp.
func snmpRoute(s *snmp.Scraper, log *slog.Logger) exporter.Route {
	return exporter.Route{Pattern: "/snmp", Role: access.Scrape, Handler: snmp.Handler(s, log), InFlight: scrapesInFlight, Stream: true}
}

// An snmpAsk is one call of the command.
type snmpAsk struct {
	config  string
	files   []string
	expand  bool
	strict  bool
	timeout time.Duration
	request snmp.Request
}

func newSNMP() *cobra.Command {
	var ask snmpAsk
	cmd := withConfig(&cobra.Command{
		Use:   "snmp TARGET",
		Short: "Scrape a device over SNMP once and print the metrics",
		Long: `Scrape TARGET, [NETWORK://]HOST[:PORT], with modules in the format of
snmp_exporter's snmp.yml, and print what it says as Prometheus text. Without
--modules those of the configuration are used.

Exit status 1 if tables are missing; the others are still printed. 3 if the
target does not answer.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return wrongAsk(fmt.Errorf("minikeeper snmp: wants one target, not %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ask.request.Target = args[0]
			return ask.run(cmd)
		},
	}, &ask.config)
	flags := cmd.Flags()
	flags.StringSliceVar(&ask.files, "modules", nil, "files of modules, or globs")
	flags.StringSliceVar(&ask.request.Modules, "module", nil, "modules to read [if_mib]")
	flags.StringVar(&ask.request.Auth, "auth", "", "how to be let in [public_v2]")
	flags.StringVar(&ask.request.Context, "context", "", "the context of version 3, instead of the auth's")
	flags.StringVar(&ask.request.EngineID, "engine-id", "", "the engine of the context of version 3, in hexadecimal")
	flags.BoolVar(&ask.expand, "expand-environment", false, "fill environment variables into users and passwords")
	flags.BoolVar(&ask.strict, "strict", false, "print nothing unless everything is there")
	flags.DurationVar(&ask.timeout, "timeout", 30*time.Second, "how long it may take")
	return cmd
}

// modules are those of the flag, or those of the configuration.
func (a *snmpAsk) modules() (*snmp.Modules, error) {
	if len(a.files) > 0 {
		return snmp.Load(a.files, snmpOptions(a.expand))
	}
	cfg, err := config.Load(a.config, known())
	if err != nil {
		return nil, err
	}
	if cfg.SNMP == nil {
		return nil, fmt.Errorf("%s names no SNMP modules: give --modules", a.config)
	}
	return snmp.Load(cfg.SNMP.Files, snmpOptions(a.expand || cfg.SNMP.ExpandEnvironment))
}

func (a *snmpAsk) run(cmd *cobra.Command) error {
	modules, err := a.modules()
	if err != nil {
		return wrongAsk(err)
	}
	s := snmp.NewScraper(modules, poll.Limits{})
	defer func() { _ = s.Close() }()
	ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
	defer cancel()
	result, err := s.Scrape(ctx, a.request)
	if wrong, ok := errors.AsType[*snmp.RequestError](err); ok {
		return wrongAsk(wrong)
	}
	if err != nil {
		return cannotTell(err)
	}
	if missing := result.Err(); missing != nil && !result.Answered() {
		return cannotTell(result.Cause())
	}
	var text snmp.Text
	result.Write(&text)
	missing := result.Err()
	if a.strict {
		missing = errors.Join(missing, result.Flaws())
	}
	if missing == nil || !a.strict {
		if _, err := cmd.OutOrStdout().Write(text.Bytes()); err != nil {
			return cannotTell(err)
		}
	}
	if missing != nil {
		return wrongWorld(missing)
	}
	return nil
}
