package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/fault"
	"muster/internal/show"
	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

func deployCommand() *cobra.Command {
	var f pushFlags
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "deploy " + pushArguments,
		Short: "Push to hosts and wait until they are done, with live progress",
		Long:  "deploy is push, then waiting for the hosts that were reached. It exits with 3 if any host failed.\n" + pushHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			pushed, err := f.run(cmd, args)
			if err != nil && pushed != nil {
				return pushed.end(err)
			}
			if err != nil {
				return err
			}
			tokens, failed := pushed.reached(), pushed.failed()
			joined := make(map[string]bool, len(tokens))
			for _, id := range tokens {
				joined[id] = true
			}
			return waitFor(cmd, timeout, failed, len(tokens), func(h *operatorv1.Host) bool { return joined[h.JoinedBy] })
		},
	}
	f.register(cmd)
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Minute, "how long to wait for the hosts")
	return cmd
}

func waitCommand() *cobra.Command {
	var timeout time.Duration
	var hosts int
	cmd := &cobra.Command{
		Use:   "wait --hosts N",
		Short: "Wait until N hosts are done, with live progress",
		Long: `wait shows progress until N hosts have joined, however they did, and each of them is done or has failed.
It exits with 3 if any host failed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if hosts < 1 {
				return usageError(errors.New("say how many hosts to wait for: --hosts N"))
			}
			return waitFor(cmd, timeout, 0, hosts, func(h *operatorv1.Host) bool { return h.Push == "" })
		},
	}
	cmd.Flags().IntVar(&hosts, "hosts", 0, "how many hosts to wait for")
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Minute, "how long to wait for the hosts")
	return cmd
}

// waitFor shows the board until want hosts of those that count have ended. failed are hosts known to have failed before.
func waitFor(cmd *cobra.Command, timeout time.Duration, failed, want int, counts func(*operatorv1.Host) bool) error {
	client, done, err := connect(cmd)
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
	defer cancel()
	out := cmd.OutOrStdout()
	board := newBoard(out)
	bad := failed
	err = watchUntil(ctx, client, board, func(hosts []*operatorv1.Host) bool {
		ended := 0
		bad = failed
		for _, h := range hosts {
			switch {
			case !counts(h):
			case h.Quarantine == nil && h.Phase == syncv1.Phase_PHASE_DONE:
				ended++
			case h.Quarantine != nil, h.Phase == syncv1.Phase_PHASE_FAILED:
				ended, bad = ended+1, bad+1
			}
		}
		return ended >= want
	})
	late := ctx.Err() != nil && cmd.Context().Err() == nil
	if err != nil && !late {
		return err
	}
	board.Clear()
	if err := listHosts(cmd.Context(), client, out, show.FormatTable, show.TableOptions{}); err != nil {
		return err
	}
	if late && bad == 0 {
		return fault.New(fault.Unavailable, "the table shows what each host waits for; they go on by themselves",
			"not all hosts were done within %s", timeout)
	}
	if bad > 0 {
		return &exitError{code: exitFailedHosts, err: fault.New(fault.Conflict,
			"coordinator status HOST shows why; coordinator hosts retry --failed tries again", "%d of %d hosts failed", bad, want+failed)}
	}
	return nil
}
