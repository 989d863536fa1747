package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"muster/internal/seed"
	"muster/internal/seed/script"
	operatorv1 "muster/proto/muster/operator/v1"
)

func userDataCommand() *cobra.Command {
	var role, format, attest string
	var ttl time.Duration
	var uses int32
	var cidrs []string
	var labels map[string]string
	var from tokenFrom
	cmd := &cobra.Command{
		Use:   "user-data --role ROLE",
		Short: "Print user-data with which cloud hosts join as a role",
		Long: `user-data makes a join token that is bound to the role and prints cloud-init user-data which carries it. The output holds
the token: it is a secret for as long as the token is good. A host needs nothing beyond a minimal cloud image with one of
curl, wget and python3. With --token-file, it carries a token that was made before. The standard error says until when the
token is good: give --ttl as long as the coordinator may come up later than the hosts.

The formats are cloud-config and script for cloud-init, mime for cloud-init with other parts to be added, and ignition for
Fedora CoreOS and Flatcar. More than 16,384 bytes, which EC2 would refuse, are refused here.

With --attest aws the hosts are instances of AWS and join with their instance identity document, as attestation.aws.policies
in cluster.yaml allows. The output names the policy and holds no secret; it is good until the CA changes.`,
		Example: `  coordinator user-data --role agent --uses 20 --ttl 2h > user-data
  coordinator user-data --role agent --attest aws > user-data
  coordinator user-data --attest aws:spot-workers > user-data
  coordinator token create --role agent --uses 20 | coordinator user-data --token-file - --format ignition > config.ign`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			request := &operatorv1.CreateSeedRequest{}
			if from.given() {
				token, err := from.read(cmd)
				if err != nil {
					return err
				}
				request.ExistingToken = token
			} else if attest != "" {
				by, err := byAttestation(cmd, attest, role)
				if err != nil {
					return usageError(err)
				}
				request.Aws = by
			} else if role == "" {
				return usageError(errors.New("say which role the hosts are to have: --role ROLE"))
			} else {
				request.Token = &operatorv1.CreateTokenRequest{Role: role, Uses: uses, Cidrs: cidrs, Labels: labels}
				if ttl > 0 {
					request.Token.Ttl = durationpb.New(ttl)
				}
			}
			if !slices.Contains(script.Formats, script.Format(format)) {
				return usageError(fmt.Errorf("--format %q is not one of %v", format, script.Formats))
			}
			client, done, err := connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			resp, err := client.CreateSeed(cmd.Context(), request)
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
			if _, err = cmd.OutOrStdout().Write(text); err != nil || resp.TokenId == "" {
				return err
			}
			return tellToken(cmd, client, resp.TokenId)
		},
	}
	cmd.Flags().StringVar(&role, "role", "", "the role of the hosts")
	cmd.Flags().StringVar(&attest, "attest", "", "join without a token, by what the cloud says: aws, or aws:POLICY")
	cmd.Flags().StringVar(&format, "format", string(script.CloudConfig), "cloud-config, script, mime or ignition")
	from.flags(cmd)
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "how long the join token is good (default 30m, at most 24h)")
	cmd.Flags().Int32Var(&uses, "uses", 1, "how many hosts may join with it")
	cmd.Flags().StringToStringVar(&labels, "label", nil, "label of the hosts, such as zone=a; may be repeated")
	cmd.Flags().StringSliceVar(&cidrs, "cidr", nil, "networks that hosts may join from")
	return cmd
}

// byAttestation reads --attest. What the policy says already is not said again.
func byAttestation(cmd *cobra.Command, attest, role string) (*operatorv1.ByAws, error) {
	cloud, policy, named := strings.Cut(attest, ":")
	switch {
	case cloud != "aws" || named && policy == "":
		return nil, fmt.Errorf("--attest %q: write aws, or aws:POLICY", attest)
	case policy == "" && role == "":
		return nil, errors.New("say which role the hosts are to have, --role ROLE, or by which policy they join, --attest aws:POLICY")
	}
	for _, flag := range []string{"uses", "ttl", "cidr", "label"} {
		if cmd.Flags().Changed(flag) {
			return nil, fmt.Errorf("--%s is for tokens; with --attest, cluster.yaml says who may join: attestation.aws.policies", flag)
		}
	}
	return &operatorv1.ByAws{Policy: policy, Role: role}, nil
}
