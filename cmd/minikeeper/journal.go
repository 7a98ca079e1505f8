package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/minikeeper/minikeeper/internal/journal"
)

func newJournal() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "journal",
		Short: "The durable record of the runner",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newJournalVerify())
	return cmd
}

func newJournalVerify() *cobra.Command {
	var path, head string
	cmd := withConfig(&cobra.Command{
		Use:   "verify",
		Short: "Check that nobody changed what the audit chain says",
		Long: `Check the audit chain: each row carries the hash of the one before, so a row
that was changed or taken out shows. A tail that was cut off shows only against
a head that was noted earlier: give it with --head.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			cfg, err := loadConfig(path)
			if err != nil {
				return err
			}
			j, err := journal.OpenReadOnly(cmd.Context(), cfg.Journal.SQLite)
			if err != nil {
				return cannotTell(err)
			}
			defer func() { err = errors.Join(err, j.Close()) }()
			rows, now, err := j.Verify(cmd.Context(), head)
			if err != nil {
				return wrongWorld(err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d rows, unbroken, head %s\n", rows, now)
			return nil
		},
	}, &path)
	cmd.Flags().StringVar(&head, "head", "", "a head that was noted earlier, and must be in the chain")
	return cmd
}
