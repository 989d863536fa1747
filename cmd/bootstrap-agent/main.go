// Command bootstrap-agent is the program on a host: it joins, installs, reports and removes itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"muster/internal/agent"
	"muster/internal/fault"
	"muster/internal/seed"
)

const usage = `usage: bootstrap-agent COMMAND

  launch SEED     put the agent and the seed into place and start it detached
  run             join and install (started by its unit)
  install ...     install one role from plain files or a web server, without a coordinator
  uninstall --cluster NAME [--purge]
                  remove the installation; with --purge also its data
  version         print the version
`

// Exit codes: 0 done, 1 failed, 2 wrong usage.
func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:]); {
	case err == nil:
	case errors.Is(err, errUsage):
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	default:
		fmt.Fprintf(os.Stderr, "error: %s\n", oneLine(err.Error()))
		if remedy := fault.Remedy(err); remedy != "" {
			fmt.Fprintf(os.Stderr, "remedy: %s\n", oneLine(remedy))
		}
		os.Exit(1)
	}
}

var errUsage = errors.New("usage")

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	switch command, rest := args[0], args[1:]; command {
	case "version":
		fmt.Println(agent.Version)
		return nil
	case "launch":
		return launch(ctx, rest)
	case "run":
		return runEngine(ctx, rest)
	case "install":
		return install(ctx, rest)
	case "uninstall":
		flags := newFlags("uninstall")
		cluster := flags.String("cluster", "", "the cluster's name")
		purge := flags.Bool("purge", false, "remove its data too")
		if flags.Parse(rest) != nil || flags.NArg() > 0 || *cluster == "" {
			return errUsage
		}
		return agent.Uninstall(ctx, agent.Layout{}, *cluster, *purge)
	}
	return errUsage
}

func newFlags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

func launch(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, seed.MaxSize+1))
	if err != nil {
		return err
	}
	said, err := agent.Launch(ctx, agent.Layout{}, text)
	if err == nil {
		fmt.Println(said)
	}
	return err
}

func runEngine(ctx context.Context, args []string) error {
	if len(args) > 0 {
		return errUsage
	}
	layout := agent.Layout{}
	lock, err := agent.Lock(layout)
	if err != nil {
		return err
	}
	defer lock.Close()
	engine, err := agent.NewEngine(layout, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	if err := engine.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
