package main

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"muster/internal/show"
	operatorv1 "muster/proto/muster/operator/v1"
)

func pageCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "page",
		Short: "Print a link that logs you into the page of the coordinator, once",
		Long: `Prints a link to the coordinator's page, which shows hosts and events in a browser and changes nothing. The link logs in
whoever opens it first, once, within a minute. A session ends after half an hour without use, after 8 hours, with the
operator's credential and with the coordinator.

The page is on the coordinator's machine alone, at the address of serve --listen-page. For a browser elsewhere forward the
same port: ssh -L 8081:127.0.0.1:8081 COORDINATOR`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, done, err := connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			resp, err := client.CreatePageLogin(cmd.Context(), &operatorv1.CreatePageLoginRequest{})
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), show.Safe(resp.Link, 1024)); err != nil {
				return err
			}
			at := "127.0.0.1:8081"
			if u, err := url.Parse(resp.Link); err == nil {
				at = u.Host
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "good once, until %s; in a browser on another machine, after: ssh -L %s:%s COORDINATOR\n",
				resp.Expires.AsTime().Local().Format("15:04:05"), show.Safe(portOf(at), 8), show.Safe(at, 128))
			return err
		},
	}
}

// portOf is what stands behind the last colon.
func portOf(address string) string {
	u := url.URL{Host: address}
	return u.Port()
}
