package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/show"
	operatorv1 "muster/proto/muster/operator/v1"
)

func caCommand() *cobra.Command {
	var genconf string
	c := group("ca", "Show the CA, rotate it, keep its root's key offline",
		caShowCommand(&genconf), caRotateCommand(&genconf), caExportCommand(), caImportCommand())
	c.PersistentFlags().StringVar(&genconf, "genconf", "genconf", "the output directory of genconf, where no coordinator runs")
	return c
}

func caShowCommand(genconf *string) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "show",
		Short: "Show the CA's certificates, where the root's key is, and how far a rotation is",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			format, err := show.ParseFormat(output)
			if err != nil {
				return usageError(err)
			}
			return withOperator(cmd, *genconf, func(client operatorv1.OperatorServiceClient) error {
				resp, err := client.GetAuthority(cmd.Context(), &operatorv1.GetAuthorityRequest{})
				if err != nil {
					return err
				}
				return answer(cmd, format, resp, func(now time.Time, width int) string { return show.Authority(resp, now, width) })
			})
		},
	}
	outputFlag(c, &output)
	return c
}

func caRotateCommand(genconf *string) *cobra.Command {
	var intermediates, finish, force bool
	c := &cobra.Command{
		Use:   "rotate [--intermediates] | rotate --finish [--force]",
		Short: "Replace the CA without cutting a host off: begin, and later finish",
		Long: `Makes a new root and new intermediates, or with --intermediates only these. From then on they issue; the old are accepted
beside them until the rotation is finished. Hosts under way are told of the new root on the connection that they trust, and
renew their certificates early. Seeds and user-data from before work until then.

coordinator ca show tells who has not moved yet. --finish ends the rotation: what was there before is accepted no more and its
keys are deleted. While that would cut off a host under way or a seed it refuses and names them; 24 hours after the beginning,
when every seed and certificate from before has ended, --force finishes nevertheless.

The root's key must be on the coordinator's machine to begin: coordinator ca import FILE.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case finish && intermediates:
				return usageError(errors.New("--finish ends whatever rotation is under way: leave --intermediates out"))
			case force && !finish:
				return usageError(errors.New("--force goes with --finish"))
			}
			return withOperator(cmd, *genconf, func(client operatorv1.OperatorServiceClient) error {
				if finish {
					_, err := client.FinishAuthority(cmd.Context(), &operatorv1.FinishAuthorityRequest{Force: force})
					if err != nil {
						return err
					}
					_, err = fmt.Fprintln(cmd.OutOrStdout(), "the rotation is finished: what was there before is accepted no more")
					return err
				}
				if _, err := client.RotateAuthority(cmd.Context(), &operatorv1.RotateAuthorityRequest{Intermediates: intermediates}); err != nil {
					return err
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "the rotation has begun; coordinator ca show tells how far it is, coordinator ca rotate --finish ends it")
				return err
			})
		},
	}
	c.Flags().BoolVar(&intermediates, "intermediates", false, "keep the root, replace what it has certified")
	c.Flags().BoolVar(&finish, "finish", false, "end the rotation that is under way")
	c.Flags().BoolVar(&force, "force", false, "also when hosts are cut off by it")
	return c
}
