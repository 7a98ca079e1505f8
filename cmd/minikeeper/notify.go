package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/config"
	"github.com/minikeeper/minikeeper/internal/notify"
)

// newNotifier returns what tells people over the channels of cfg.
func (h *hub) newNotifier(cfg *config.Config) (*notify.Notifier, error) {
	return newNotifier(cfg, h.journal, h.firing, h.log)
}

func newNotifier(cfg *config.Config, outbox notify.Outbox, firing func(context.Context) ([]minikeeper.Alert, error), log *slog.Logger) (*notify.Notifier, error) {
	o := notify.Options{Outbox: outbox, Firing: firing, Log: log}
	var bad []error
	for _, name := range slices.Sorted(maps.Keys(cfg.Notify.Channels)) {
		settings := cfg.Notify.Channels[name]
		channel, err := newChannel(settings)
		if err != nil {
			bad = append(bad, fmt.Errorf("channel %q: %w", name, err))
			continue
		}
		o.Channels = append(o.Channels, notify.Entry{Name: name, Channel: channel, DependsOn: settings.DependsOn})
	}
	if err := errors.Join(bad...); err != nil {
		return nil, err
	}
	for _, r := range cfg.Notify.Routes {
		o.Routes = append(o.Routes, notify.Route{Match: r.Match, Channels: r.Channels})
	}
	return notify.New(o)
}

// newChannel is one way to people.
func newChannel(c config.Channel) (notify.Channel, error) {
	if c.Kind() == config.Slack {
		token, err := c.Token.Read()
		if err != nil {
			return nil, err
		}
		return notify.NewSlack(notify.SlackOptions{Token: token, Channel: c.Channel, APIURL: c.APIURL})
	}
	o := notify.MailOptions{SMTP: c.SMTP, TLS: c.TLS, User: c.User, From: c.From, To: c.To}
	if c.User != "" {
		password, err := c.Password.Read()
		if err != nil {
			return nil, err
		}
		o.Password = password
	}
	return notify.NewMail(o)
}

func newNotify() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "notify",
		Short: "How people are told",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newNotifyTest())
	return cmd
}

func newNotifyTest() *cobra.Command {
	var path string
	return withConfig(&cobra.Command{
		Use:   "test [CHANNEL]",
		Short: "Send a test message through each channel, or through one",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadConfig(path)
			if err != nil {
				return err
			}
			notifier, err := newNotifier(cfg, nil, nil, slog.New(slog.DiscardHandler))
			if err != nil {
				return wrongAsk(err)
			}
			var name string
			if len(args) == 1 {
				name = args[0]
			}
			results, err := notifier.Test(cmd.Context(), name)
			if err != nil {
				return wrongAsk(err)
			}
			return reportTest(cmd, results)
		},
	}, &path)
}

// reportTest ends with exit status 1 if somebody was not reached.
func reportTest(cmd *cobra.Command, results []notify.TestResult) error {
	failed := false
	for _, r := range results {
		verdict := "sent"
		if r.Err != nil {
			verdict, failed = "not sent: "+r.Err.Error(), true
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s to %s: %s\n", r.Channel, r.Recipient, verdict)
	}
	if failed {
		return wrongWorld(nil)
	}
	return nil
}
