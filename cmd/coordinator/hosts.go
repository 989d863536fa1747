package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"google.golang.org/grpc/status"

	"muster/internal/show"
	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

func hostsCommand() *cobra.Command {
	return group("hosts", "List, approve, retry, release, replace and remove hosts",
		hostsListCommand(), hostsApproveCommand(), hostsRetryCommand(), hostsReleaseCommand(), hostsReadmitCommand(),
		hostsReplaceCommand(), hostsRemoveCommand())
}

// group is a command that only has others below it. By itself cobra would answer a mistyped one with help and exit code 0.
func group(name, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: name, Short: short, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return usageError(fmt.Errorf("%s has no command %q; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath()))
		},
	}
	c.AddCommand(commands...)
	return c
}

func hostsListCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "list",
		Short: "List every host: status --all",
		Args:  cobra.NoArgs,
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
			return listHosts(cmd.Context(), client, cmd.OutOrStdout(), format, show.TableOptions{All: true})
		},
	}
	outputFlag(c, &output)
	return c
}

func hostsApproveCommand() *cobra.Command {
	var role string
	c := &cobra.Command{
		Use:   "approve HOST --role ROLE",
		Short: "Give a waiting host its role",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if role == "" {
				return usageError(errors.New("say which role the host is to have: --role ROLE"))
			}
			client, done, err := connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			resp, err := client.AssignHost(cmd.Context(), &operatorv1.AssignHostRequest{Host: args[0], Role: role})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s has the role %s\n", hostLabel(resp.GetHost()), show.Safe(resp.GetHost().GetRole(), 64))
			return err
		},
	}
	c.Flags().StringVar(&role, "role", "", "the role")
	return c
}

func hostsRetryCommand() *cobra.Command {
	var failed bool
	c := &cobra.Command{
		Use:   "retry HOST... | --failed",
		Short: "Let failed hosts try again, from their preflight checks on",
		RunE: func(cmd *cobra.Command, args []string) error {
			if failed == (len(args) > 0) {
				return usageError(errors.New("name the hosts, or say --failed for all that failed"))
			}
			client, done, err := connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			if failed {
				if args, err = failedHosts(cmd.Context(), client); err != nil {
					return err
				}
				if len(args) == 0 {
					_, err := fmt.Fprintln(cmd.ErrOrStderr(), "no host has failed")
					return err
				}
			}
			return forEach(cmd, args, func(ctx context.Context, name string) (string, error) {
				resp, err := client.RetryHost(ctx, &operatorv1.RetryHostRequest{Host: name})
				if err != nil {
					return "", err
				}
				return fmt.Sprintf("%s tries again (attempt %d)", hostLabel(resp.GetHost()), resp.GetHost().GetAttempt()), nil
			})
		},
	}
	c.Flags().BoolVar(&failed, "failed", false, "all hosts that failed")
	return c
}

func hostsReadmitCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "readmit ACCOUNT/INSTANCE...",
		Short: "Let a cloud instance whose host was removed join once more",
		Long: `An instance of AWS joins with its identity document once: a document can be copied, so one that has been used is refused, also
when the host was removed. This lets the instance join once more, within its policy's window from its launch; an older one joins by a push.`,
		Example: "  coordinator hosts readmit 123456789012/i-0123456789abcdef0",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, done, err := connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			return forEach(cmd, args, func(ctx context.Context, name string) (string, error) {
				account, instance, _ := strings.Cut(name, "/")
				_, err := client.ReadmitInstance(ctx, &operatorv1.ReadmitInstanceRequest{Account: account, Instance: instance})
				return show.Safe(name, 64) + " may join once more", err
			})
		},
	}
}

func hostsReleaseCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "release HOST...",
		Short: "End a host's quarantine: the certificate in use counts again",
		Long: `A host goes into quarantine when a certificate is shown that it has replaced: two machines have its identity, mostly because
a disk was cloned. Both are denied every call. status says from where each of the two was shown.

Find the copy and clear /var/lib/bootstrap-agent on it. Then, if the machine with the certificate in use is the right one,
release the host: that certificate counts again, the other brings the quarantine back. If the copy has the certificate in use,
coordinator hosts remove HOST and push to the right machine again.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, done, err := connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			return forEach(cmd, args, func(ctx context.Context, name string) (string, error) {
				resp, err := client.ReleaseHost(ctx, &operatorv1.ReleaseHostRequest{Host: name})
				if err != nil {
					return "", err
				}
				return hostLabel(resp.GetHost()) + " was released", nil
			})
		},
	}
}

// failedHosts are the identities of hosts that can be tried again. A failed push is none: its host has never called.
func failedHosts(ctx context.Context, client operatorv1.OperatorServiceClient) ([]string, error) {
	var ids []string
	err := eachHost(ctx, client, func(h *operatorv1.Host) {
		if h.Push == "" && h.Phase == syncv1.Phase_PHASE_FAILED {
			ids = append(ids, h.Id)
		}
	})
	return ids, err
}

func hostsRemoveCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "remove HOST...",
		Short: "End hosts' identities and free their places",
		Long: `Ends the identity of each host and frees its place in a counted role: its next call is denied, and it can only come back
by joining anew. What is installed on it stays. Of a host that was pushed to and never joined, its row in status goes and the
token of the push is revoked.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			terminal := isTerminalInput(cmd.InOrStdin())
			if !yes && !terminal {
				return usageError(errors.New("removing hosts needs --yes where nobody can be asked"))
			}
			client, done, err := connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			// All of them are looked up first: a mistyped name removes nothing.
			ids := make([]string, len(args))
			labels := make(map[string]string, len(args))
			for i, name := range args {
				resp, err := client.GetHost(cmd.Context(), &operatorv1.GetHostRequest{Host: name})
				if err != nil {
					return err
				}
				ids[i] = resp.GetHost().GetId()
				labels[ids[i]] = hostLabel(resp.GetHost())
			}
			if !yes {
				agreed, err := confirm(cmd.InOrStdin(), cmd.ErrOrStderr(), removalQuestion(ids, labels))
				if err != nil {
					return err
				}
				if !agreed {
					return &exitError{exitFailed, errors.New("nothing was removed")}
				}
			}
			return forEach(cmd, ids, func(ctx context.Context, id string) (string, error) {
				_, err := client.RemoveHost(ctx, &operatorv1.RemoveHostRequest{Host: id})
				return labels[id] + " was removed", err
			})
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

func removalQuestion(ids []string, labels map[string]string) string {
	var b strings.Builder
	for _, id := range ids {
		b.WriteString("  " + labels[id] + "\n")
	}
	return b.String() + "Remove from the cluster?"
}

// confirm asks; anything but a yes is a no.
func confirm(in io.Reader, out io.Writer, question string) (bool, error) {
	if _, err := fmt.Fprint(out, question+" [y/N] "); err != nil {
		return false, err
	}
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

func isTerminalInput(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// hostLabel names a host for people.
func hostLabel(h *operatorv1.Host) string {
	label := show.Safe(h.GetName(), 64)
	if label == "" {
		label = show.Safe(h.GetId(), 64)
	}
	if h.GetAddress() != "" {
		label += " (" + show.Safe(h.GetAddress(), 64) + ")"
	}
	return label
}

// forEach does the same to each host. One that fails is said at once and does not keep the others from it.
func forEach(cmd *cobra.Command, names []string, do func(ctx context.Context, name string) (string, error)) error {
	var bad int
	var last error
	for _, name := range names {
		said, err := do(cmd.Context(), name)
		if cmd.Context().Err() != nil {
			return cmd.Context().Err()
		}
		if err != nil {
			bad, last = bad+1, err
			if len(names) == 1 {
				return err
			}
			if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", show.Safe(name, 64), show.Safe(status.Convert(err).Message(), 1000)); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), said); err != nil {
			return err
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d hosts: the last said %w", bad, len(names), last)
	}
	return nil
}
