package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"muster/internal/seed"
	"muster/internal/seed/script"
	operatorv1 "muster/proto/muster/operator/v1"
)

func userDataCommand() *cobra.Command {
	var role, format string
	var ttl time.Duration
	var uses int32
	var cidrs []string
	var labels map[string]string
	cmd := &cobra.Command{
		Use:   "user-data --role ROLE",
		Short: "Print user-data with which cloud-init hosts join as a role",
		Long: `user-data makes a join token that is bound to the role and prints cloud-init user-data which carries it. The output holds
the token: it is a secret for as long as the token is good. A host needs nothing beyond a minimal cloud image with one of
curl, wget and python3.`,
		Example: "  coordinator user-data --role agent --uses 20 --ttl 2h > user-data",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if role == "" {
				return usageError(errors.New("say which role the hosts are to have: --role ROLE"))
			}
			if !slices.Contains(script.Formats, script.Format(format)) {
				return usageError(fmt.Errorf("--format %q is not one of %v", format, script.Formats))
			}
			client, done, err := connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			request := &operatorv1.CreateTokenRequest{Role: role, Uses: uses, Cidrs: cidrs, Labels: labels}
			if ttl > 0 {
				request.Ttl = durationpb.New(ttl)
			}
			resp, err := client.CreateSeed(cmd.Context(), &operatorv1.CreateSeedRequest{Token: request})
			if err != nil {
				return err
			}
			made, err := seed.Parse(resp.Seed)
			if err != nil {
				return err
			}
			text, err := script.UserData(made, script.Format(format))
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	cmd.Flags().StringVar(&role, "role", "", "the role of the hosts")
	cmd.Flags().StringVar(&format, "format", string(script.CloudConfig), "cloud-config or script")
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "how long the join token is good (default 30m, at most 24h)")
	cmd.Flags().Int32Var(&uses, "uses", 1, "how many hosts may join with it")
	cmd.Flags().StringToStringVar(&labels, "label", nil, "label of the hosts, such as zone=a; may be repeated")
	cmd.Flags().StringSliceVar(&cidrs, "cidr", nil, "networks that hosts may join from")
	return cmd
}
