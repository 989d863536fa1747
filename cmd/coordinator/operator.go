package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"muster/internal/credential"
	"muster/internal/fault"
	"muster/internal/proof"
	"muster/internal/show"
	operatorv1 "muster/proto/muster/operator/v1"
)

func operatorCommand() *cobra.Command {
	return group("operator", "Make, list and revoke operators on other machines", operatorCreateCommand(), operatorListCommand(), operatorRevokeCommand())
}

func operatorCreateCommand() *cobra.Command {
	var level, out string
	var ttl time.Duration
	c := &cobra.Command{
		Use:   "create NAME --level LEVEL --out FILE",
		Short: "Make a credential for an operator on another machine",
		Long: `Makes the credential with which somebody calls this coordinator from another machine, in one file: whoever has it is
that operator. Its key is made here and is sent to nobody.

A viewer sees; an operator brings hosts in and out; an admin decides over secrets, operators and the CA. Whoever can bring
in hosts can bring in one of its own, which gets the secrets of its role.

On the other machine put the file at $XDG_CONFIG_HOME/muster/credential.pem, or name it with --credential.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if out == "" || level == "" {
				return usageError(fmt.Errorf("say what the operator may do, --level viewer|operator|admin, and where to write the credential, --out FILE"))
			}
			client, done, err := connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			// The place is taken first: an operator whose credential cannot be written is of no use and in the way.
			file, err := credential.Reserve(out)
			if err != nil {
				return err
			}
			key, err := proof.NewKey()
			if err != nil {
				file.Release()
				return err
			}
			csr, err := proof.CSR(key)
			if err != nil {
				file.Release()
				return err
			}
			req := &operatorv1.CreateOperatorRequest{Name: args[0], Level: level, Csr: csr}
			if cmd.Flags().Changed("ttl") {
				req.Ttl = durationpb.New(ttl)
			}
			resp, err := client.CreateOperator(cmd.Context(), req)
			if err != nil {
				file.Release()
				return err
			}
			if err := file.Write(&credential.Credential{
				Cluster: resp.Cluster, Operator: resp.Operator.GetName(), Coordinators: resp.Coordinators, Root: resp.Root, Chain: resp.Chain, Key: key,
			}); err != nil {
				return fault.New(fault.Unavailable, "coordinator operator revoke "+show.Safe(args[0], 64)+", then create it again", "the credential could not be written").Because(err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s holds the credential of operator %s, level %s, until %s\n", out, show.Safe(resp.Operator.GetName(), 64),
				show.Safe(resp.Operator.GetLevel(), 16), resp.Operator.GetExpires().AsTime().Local().Format(time.RFC3339))
			return err
		},
	}
	c.Flags().StringVar(&level, "level", "", "viewer, operator or admin")
	c.Flags().StringVar(&out, "out", "", "file to write the credential to; one that exists is not overwritten")
	c.Flags().DurationVar(&ttl, "ttl", 30*24*time.Hour, "how long it is good, at most a year")
	return c
}

func operatorListCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "list",
		Short: "List the operators on other machines",
		Long: `Lists the operators that were made, by name; those that ended stay for 30 days.

-o json writes {"operators":[...]}, in the notation that coordinator status --help describes.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			format, err := show.ParseFormat(output)
			if err != nil {
				return usageError(err)
			}
			client, done, err := connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			resp, err := client.ListOperators(cmd.Context(), &operatorv1.ListOperatorsRequest{})
			if err != nil {
				return err
			}
			return answer(cmd, format, resp, func(now time.Time, width int) string { return show.Operators(resp.Operators, now, width) })
		},
	}
	outputFlag(c, &output)
	return c
}

func operatorRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME",
		Short: "End an operator's credential at once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, done, err := connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			if _, err := client.RevokeOperator(cmd.Context(), &operatorv1.RevokeOperatorRequest{Name: args[0]}); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "operator %s was revoked; its next call is denied\n", show.Safe(args[0], 64))
			return err
		},
	}
}

// cacheDir is where what was fetched for pushes is kept between them.
func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fault.New(fault.Unavailable, "set HOME or XDG_CACHE_HOME", "there is no place for the bootstrap agents on this machine").Because(err)
	}
	return filepath.Join(dir, "muster"), nil
}
