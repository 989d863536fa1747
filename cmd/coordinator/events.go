package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"muster/internal/show"
	operatorv1 "muster/proto/muster/operator/v1"
)

// maxEvents is the most that the coordinator answers with.
const maxEvents = 10_000

func eventsCommand() *cobra.Command {
	req := &operatorv1.ListEventsRequest{}
	var output, since string
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
			if req.Since, err = sinceTime(since, time.Now()); err != nil {
				return usageError(err)
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
	c.Flags().StringVar(&req.Kind, "kind", "", "only those of this kind, such as enrolment-denied")
	c.Flags().StringVar(&req.Actor, "who", "", "only those caused by whom has this in its name, such as alice or uid")
	c.Flags().StringVar(&since, "since", "", "only those from then on: 2h, or a time such as 2026-01-31T15:04:05Z")
	c.Flags().Int32VarP(&req.Limit, "number", "n", 100, "how many")
	return c
}

// sinceTime reads how long ago, or when.
func sinceTime(text string, now time.Time) (*timestamppb.Timestamp, error) {
	if text == "" {
		return nil, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return timestamppb.New(now.Add(-ago)), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, fmt.Errorf("--since %.40q is neither how long ago, such as 2h, nor a time such as 2026-01-31T15:04:05Z", text)
	}
	return timestamppb.New(at), nil
}
