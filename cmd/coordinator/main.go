// Command coordinator is the operator's program: it makes artifacts, serves them, assigns roles, drops bootstrap agents on
// hosts and shows all of it in one place.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"muster/internal/agent"
	"muster/internal/fault"
	"muster/internal/show"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal ends what goes on in order; a second one ends the program at once.
	context.AfterFunc(ctx, stop)
	err := rootCommand().ExecuteContext(ctx)
	stop()
	if err != nil && strings.HasPrefix(err.Error(), "unknown command") {
		err = unknownCommand(err) // cobra has no type for it
	}
	os.Exit(exitCode(os.Stderr, err))
}

// unknownCommand makes one line of what cobra says of a command that it does not know.
func unknownCommand(err error) error {
	message, near, guessed := strings.Cut(err.Error(), "\n\nDid you mean this?\n")
	if guessed {
		message += "; did you mean " + strings.Join(strings.Fields(near), " or ") + "?"
	}
	return usageError(fmt.Errorf("%s; see coordinator --help", message))
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "coordinator",
		Short: "Bring bare hosts to a working, role-assigned installation",
		Long: `coordinator turns one cluster.yaml and a publisher's bundle into artifacts, serves them, and brings hosts to a working
installation: each host pulls what its role needs and reports back.

Exit codes: 0 done, 1 failed, 2 wrong usage or invalid config, 3 finished with failed hosts.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().String("state", "state", "the coordinator's state directory")
	remoteFlags(root)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError(fmt.Errorf("%w; see %s --help", err, cmd.CommandPath()))
	})
	root.AddCommand(bundleCommand(), keyCommand(), signCommand(), verifyCommand(), generationsCommand(), genconfCommand(), serveCommand(), pushCommand(), deployCommand(), waitCommand(), userDataCommand(),
		statusCommand(), hostsCommand(), tokenCommand(), secretCommand(), eventsCommand(), caCommand(), operatorCommand(), pageCommand(), authzCommand(), initCommand(), schemaCommand(), configCommand(), &cobra.Command{
			Use: "version", Short: "Print the version", Args: cobra.NoArgs,
			Run: func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), agent.Version) },
		})
	misuseIsUsage(root)
	return root
}

// misuseIsUsage makes wrong arguments exit like wrong flags.
func misuseIsUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError(fmt.Errorf("%w; see %s --help", err, cmd.CommandPath()))
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		misuseIsUsage(sub)
	}
}

// exitCode prints an error with its remedy and says what to exit with.
func exitCode(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	var exit *exitError
	code := 1
	if errors.As(err, &exit) {
		code = exit.code
		if exit.err == nil {
			return code
		}
		err = exit.err
	}
	message, remedy := err.Error(), fault.Remedy(err)
	if st, ok := status.FromError(err); ok {
		message = st.Message()
		for _, detail := range st.Details() {
			if help, ok := detail.(*errdetails.Help); ok && len(help.Links) > 0 {
				remedy = help.Links[0].Description
			}
		}
		if st.Code() == codes.Canceled {
			message = "interrupted"
		}
	}
	fmt.Fprintln(w, "error: "+show.Safe(message, 4096))
	if remedy != "" {
		fmt.Fprintln(w, "remedy: "+show.Safe(remedy, 4096))
	}
	return code
}

// usageError is a command line that cannot be meant.
func usageError(err error) error { return &exitError{exitInvalid, err} }
