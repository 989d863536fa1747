package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"muster/internal/show"
	operatorv1 "muster/proto/muster/operator/v1"
)

func hostsReplaceCommand() *cobra.Command {
	var by string
	var yes bool
	c := &cobra.Command{
		Use:   "replace HOST",
		Short: "Give the place of a member to a host that waits",
		Long: `Gives the place of a member of a role with a fixed number of members to a spare: the one named with --by, or else the one that
has waited longest and may have the place. It is one step: there is never a member too many or too few. The others wait until
the new member is done; those whose bootstrap agent has stayed (resident: true in cluster.yaml) then take up its address by
themselves, a few at a time. The old member uninstalls as soon as it is heard of; its data stays on it.`,
		Example: "  coordinator hosts replace host2\n  coordinator hosts replace host2 --by host7 --yes",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes && !isTerminalInput(cmd.InOrStdin()) {
				return usageError(errors.New("replacing a host needs --yes where nobody can be asked"))
			}
			client, done, err := connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			was, err := client.GetHost(cmd.Context(), &operatorv1.GetHostRequest{Host: args[0]})
			if err != nil {
				return err
			}
			member := hostLabel(was.GetHost())
			if !yes {
				agreed, err := confirm(cmd.InOrStdin(), cmd.ErrOrStderr(), "  "+member+"\nLet another host take its place?")
				if err != nil {
					return err
				}
				if !agreed {
					return &exitError{exitFailed, errors.New("nothing was replaced")}
				}
			}
			resp, err := client.ReplaceHost(cmd.Context(), &operatorv1.ReplaceHostRequest{Host: was.GetHost().GetId(), By: by})
			if err != nil {
				return err
			}
			what := "it uninstalls as soon as it is heard of"
			if resp.GetLeft() {
				what = "its bootstrap agent has left, so it tells nobody to stop: if it still runs, uninstall it there (bootstrap-agent uninstall, or install.sh --uninstall)"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s takes the place %s/%d of %s\n%s: %s\n", hostLabel(resp.GetHost()),
				show.Safe(resp.GetHost().GetRole(), 64), resp.GetHost().GetIndex(), member, member, what)
			return err
		},
	}
	c.Flags().StringVar(&by, "by", "", "the host that takes the place; without it, the spare that has waited longest")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}
