package main

import (
	"io"

	"github.com/spf13/cobra"

	"muster/internal/rpc"
	"muster/internal/show"
)

func authzCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "authz",
		Short: "Show who may call what: the authorisation table",
		Long: `Shows the table that every call is held against, without a running coordinator. What is not in it is denied. A viewer may do
what is for viewers, an operator that and what is for operators, an admin everything that is for one of the three. On the
Unix socket, root and the user that the coordinator runs as are admins; everybody else there is nobody.

-o json and yaml write a list of service, method, for and condition.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			format, err := show.ParseFormat(output)
			if err != nil {
				return usageError(err)
			}
			var rows []show.Permission
			var list []any
			for _, r := range rpc.Rows() {
				rows = append(rows, show.Permission{Service: r.Service, Method: r.Method, For: string(r.For), Condition: r.Condition})
				list = append(list, map[string]any{"service": r.Service, "method": r.Method, "for": string(r.For), "condition": r.Condition})
			}
			if format != show.FormatTable {
				return show.Document(cmd.OutOrStdout(), format, list)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), show.Permissions(rows, fitTo(cmd.OutOrStdout(), show.TableOptions{}).Width))
			return err
		},
	}
	outputFlag(c, &output)
	return c
}
