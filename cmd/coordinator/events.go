package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/show"
	operatorv1 "muster/proto/muster/operator/v1"
)

// maxEvents is the most that the coordinator answers with.
const maxEvents = 10_000

func eventsCommand() *cobra.Command {
	req := &operatorv1.ListEventsRequest{}
	var output string
	c := &cobra.Command{
		Use:   "events",
		Short: "Show what happened, one line an event, the newest last",
		Long: `Shows the newest events, one line each: time, kind, host, what happened, who did it and from where.

-o json writes one object a line, -o yaml a list, in the notation that coordinator status --help describes.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			format, err := show.ParseFormat(output)
			if err != nil {
				return usageError(err)
			}
			if req.Limit < 1 || req.Limit > maxEvents {
				return usageError(fmt.Errorf("-n %d is not from 1 to %d", req.Limit, maxEvents))
			}
			if cmd.Flags().Changed("host") && req.Host == "" {
				return usageError(errors.New("--host is empty: name a host, or leave it out for all"))
			}
			client, done, err := connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			resp, err := client.ListEvents(cmd.Context(), req)
			if err != nil {
				return err
			}
			for _, e := range resp.Events {
				switch format {
				case show.FormatJSON:
					err = show.Document(cmd.OutOrStdout(), format, show.Fields(e))
				case show.FormatYAML:
					err = show.Document(cmd.OutOrStdout(), format, []any{show.Fields(e)})
				default:
					_, err = fmt.Fprintln(cmd.OutOrStdout(), show.EventLine(e, time.Local))
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	outputFlag(c, &output)
	c.Flags().StringVar(&req.Host, "host", "", "only those of this host: name, address or identity")
	c.Flags().Int32VarP(&req.Limit, "number", "n", 100, "how many")
	return c
}
