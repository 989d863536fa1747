package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"muster/internal/show"
	operatorv1 "muster/proto/muster/operator/v1"
)

func tokenCommand() *cobra.Command {
	return group("token", "Make, list and revoke join tokens", tokenCreateCommand(), tokenListCommand(), tokenRevokeCommand())
}

func tokenCreateCommand() *cobra.Command {
	req := &operatorv1.CreateTokenRequest{}
	var ttl time.Duration
	c := &cobra.Command{
		Use:   "create",
		Short: "Make a join token",
		Long: `Makes a token that hosts join with. Its text goes to the standard output alone and is kept nowhere: pipe it to
where it is needed. What it is good for goes to the standard error.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, done, err := connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			req.Ttl = durationpb.New(ttl)
			resp, err := client.CreateToken(cmd.Context(), req)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintln(cmd.ErrOrStderr(), tokenSentence(resp.GetRecord())); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), resp.Token)
			return err
		},
	}
	c.Flags().StringVar(&req.Role, "role", "", "the role that it gives (default: left to cluster.yaml)")
	c.Flags().DurationVar(&ttl, "ttl", 30*time.Minute, "how long it can be used")
	c.Flags().Int32Var(&req.Uses, "uses", 1, "how many hosts can join with it")
	c.Flags().StringToStringVar(&req.Labels, "label", nil, "label of the hosts that join with it, such as zone=a (may be repeated)")
	c.Flags().StringSliceVar(&req.Cidrs, "cidr", nil, "network that it can be used from, such as 10.0.0.0/16 (may be repeated)")
	c.Flags().StringVar(&req.Host, "host", "", "name or address of the one host that it is for")
	return c
}

func tokenSentence(t *operatorv1.Token) string {
	words := []string{"token " + show.Safe(t.GetId(), 64), fmt.Sprintf("%d of %d uses left", t.GetMaxUses()-t.GetUses(), t.GetMaxUses())}
	if t.GetExpires().IsValid() {
		words = append(words, "until "+t.GetExpires().AsTime().Local().Format(time.RFC3339))
	}
	for _, part := range [][2]string{{"role", t.GetRole()}, {"host", t.GetHost()}, {"from", strings.Join(t.GetCidrs(), " ")}} {
		if part[1] != "" {
			words = append(words, part[0]+" "+show.Safe(part[1], 200))
		}
	}
	return strings.Join(words, ", ")
}

func tokenListCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "list",
		Short: "List join tokens, newest first",
		Long: `Lists the join tokens. Their text is not kept and not shown.

-o json writes {"tokens":[...]}, in the notation that coordinator status --help describes.`,
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
			resp, err := client.ListTokens(cmd.Context(), &operatorv1.ListTokensRequest{})
			if err != nil {
				return err
			}
			return answer(cmd, format, resp, func(now time.Time, width int) string { return show.Tokens(resp.Tokens, now, width) })
		},
	}
	outputFlag(c, &output)
	return c
}

func tokenRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "End a join token; hosts that joined with it stay",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, done, err := connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			if _, err := client.RevokeToken(cmd.Context(), &operatorv1.RevokeTokenRequest{Id: args[0]}); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "token %s was revoked\n", show.Safe(args[0], 64))
			return err
		},
	}
}
