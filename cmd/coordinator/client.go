package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"muster/internal/fault"
	operatorv1 "muster/proto/muster/operator/v1"
)

func statePath(cmd *cobra.Command, name string) string {
	state, _ := cmd.Flags().GetString("state")
	return filepath.Join(state, name)
}

const socketName = "operator.sock"

// connect reaches the running coordinator over its Unix socket; the kernel tells it who calls.
func connect(cmd *cobra.Command) (operatorv1.OperatorServiceClient, func(), error) {
	path := statePath(cmd, socketName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fault.New(fault.Unavailable, "start it with: coordinator serve; or name its state directory with --state",
			"no coordinator runs here: there is no %s", path)
	}
	conn, err := grpc.NewClient("passthrough:///"+path,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, path string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "unix", path)
			if err != nil {
				return nil, fmt.Errorf("no coordinator answers on %s; start it with: coordinator serve", path)
			}
			return c, nil
		}))
	if err != nil {
		return nil, nil, err
	}
	return operatorv1.NewOperatorServiceClient(conn), func() { _ = conn.Close() }, nil
}
