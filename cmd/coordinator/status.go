package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"muster/internal/show"
	operatorv1 "muster/proto/muster/operator/v1"
)

const (
	// hostsPage keeps a page of hosts with long messages below gRPC's limit of one message.
	hostsPage = 250
	// hostEvents is how many events one host's page shows.
	hostEvents = 50
)

// statusFlags are those of status and hosts list.
type statusFlags struct {
	output string
	watch  bool
	all    bool
	limit  int
}

func statusCommand() *cobra.Command {
	var f statusFlags
	c := &cobra.Command{
		Use:   "status [HOST]",
		Short: "Show where every host stands, or all that is known of one",
		Long: `Shows the hosts, those first that need you: failed, failed pushes, lost (they should talk and do not), working,
waiting, done. Each failure stands with its reason and a remedy. Above --limit hosts that have not failed, they are
counted instead of listed.

With a HOST (name, address or identity): its facts, every step and check, its events, and its failure on top.

-o json writes {"cluster":{...},"hosts":[...]}, with a HOST {"cluster":{...},"host":{...},"reports":[...],"events":[...]}.
These names stay: they are those of the protocol (muster.operator.v1), with every field there even when it is empty,
phases as words ("done"), times in RFC 3339 and UTC, durations in seconds ("1.5s"), null for what is not set. A host
whose "push" is not empty stands for a push whose host has not joined.

--watch shows changes as they come, redrawn on a terminal, one line a change elsewhere, until you interrupt it.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := f.format(args)
			if err != nil {
				return err
			}
			client, done, err := connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			switch {
			case len(args) == 1:
				return describeHost(cmd.Context(), client, cmd.OutOrStdout(), args[0], format)
			case f.watch:
				return watchHosts(cmd.Context(), client, cmd.OutOrStdout())
			}
			return listHosts(cmd.Context(), client, cmd.OutOrStdout(), format, show.TableOptions{All: f.all, Limit: f.limit})
		},
	}
	outputFlag(c, &f.output)
	c.Flags().BoolVar(&f.watch, "watch", false, "show changes as they come")
	c.Flags().BoolVar(&f.all, "all", false, "list every host, however many")
	c.Flags().IntVar(&f.limit, "limit", show.DefaultLimit, "list up to so many hosts that have not failed, count them beyond")
	return c
}

func outputFlag(c *cobra.Command, value *string) {
	c.Flags().StringVarP(value, "output", "o", string(show.FormatTable), "table, json or yaml")
}

// answer writes what the coordinator answered: as it is for programs, as a table for people.
func answer(cmd *cobra.Command, format show.Format, resp proto.Message, table func(now time.Time, width int) string) error {
	out := cmd.OutOrStdout()
	if format != show.FormatTable {
		return show.Document(out, format, show.Fields(resp))
	}
	_, err := io.WriteString(out, table(time.Now(), fitTo(out, show.TableOptions{}).Width))
	return err
}

func (f statusFlags) format(args []string) (show.Format, error) {
	format, err := show.ParseFormat(f.output)
	switch {
	case err != nil:
		return "", usageError(err)
	case f.watch && (len(args) > 0 || format != show.FormatTable):
		return "", usageError(errors.New("--watch shows the table of all hosts: leave out HOST and -o"))
	case f.limit < 1:
		return "", usageError(errors.New("--limit is at least 1; --all lists every host"))
	}
	return format, nil
}

// listHosts shows the cluster's hosts, as many as there are.
func listHosts(ctx context.Context, client operatorv1.OperatorServiceClient, out io.Writer, format show.Format, opts show.TableOptions) error {
	cluster, err := client.GetCluster(ctx, &operatorv1.GetClusterRequest{})
	if err != nil {
		return err
	}
	list := show.NewListing(out, format, cluster, clusterTime(cluster), fitTo(out, opts))
	if err := eachHost(ctx, client, list.Add); err != nil {
		return err
	}
	return list.End()
}

func eachHost(ctx context.Context, client operatorv1.OperatorServiceClient, visit func(*operatorv1.Host)) error {
	for token, first := "", true; first || token != ""; first = false {
		page, err := client.ListHosts(ctx, &operatorv1.ListHostsRequest{PageSize: hostsPage, PageToken: token})
		if err != nil {
			return err
		}
		for _, h := range page.Hosts {
			visit(h)
		}
		token = page.NextPageToken
	}
	return nil
}

// clusterTime is the coordinator's clock, which the times in its answers are by, in this person's zone.
func clusterTime(cluster *operatorv1.GetClusterResponse) time.Time {
	if cluster.GetNow().IsValid() {
		return cluster.Now.AsTime().Local()
	}
	return time.Now()
}

// fitTo makes a table fit what it is shown on.
func fitTo(out io.Writer, opts show.TableOptions) show.TableOptions {
	if show.IsTerminal(out) {
		opts.Width, opts.Colour = show.Width(out), show.Colour(true)
	}
	return opts
}

func describeHost(ctx context.Context, client operatorv1.OperatorServiceClient, out io.Writer, name string, format show.Format) error {
	cluster, err := client.GetCluster(ctx, &operatorv1.GetClusterRequest{})
	if err != nil {
		return err
	}
	host, err := client.GetHost(ctx, &operatorv1.GetHostRequest{Host: name})
	if err != nil {
		return err
	}
	events := &operatorv1.ListEventsResponse{}
	if host.GetHost().GetPush() == "" {
		// A host that has not joined has no identity that events could be of.
		if events, err = client.ListEvents(ctx, &operatorv1.ListEventsRequest{Host: host.GetHost().GetId(), Limit: hostEvents}); err != nil {
			return err
		}
	}
	if format != show.FormatTable {
		all := show.Fields(host)
		all["cluster"], all["events"] = show.Fields(cluster), show.Fields(events)["events"]
		return show.Document(out, format, all)
	}
	_, err = io.WriteString(out, show.HostPage(cluster, host, events.Events, clusterTime(cluster), fitTo(out, show.TableOptions{})))
	return err
}
