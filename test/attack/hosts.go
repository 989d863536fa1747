package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"muster/internal/agent"
	"muster/internal/manifest"
	"muster/internal/seed"
)

// hostsOutcome is how the hosts' deployment went.
type hostsOutcome struct {
	// Times are those of the hosts that are done, from the start of the bootstrap agent until it has removed itself.
	Times []time.Duration
	// Failed says why the others are not.
	Failed []string
}

// hostTimeout is longer than any host may take.
const hostTimeout = 3 * time.Minute

func hostsPart(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("hosts", flag.ContinueOnError)
	roots := flags.String("roots", "", "")
	seedFile := flags.String("seed", "", "")
	count := flags.Int("hosts", 0, "")
	over := flags.Duration("over", 0, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	text, err := os.ReadFile(*seedFile)
	if err != nil {
		return err
	}
	common, err := seed.Parse(text)
	if err != nil {
		return err
	}
	var out hostsOutcome
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range *count {
		root := filepath.Join(*roots, fmt.Sprintf("host%03d", i))
		own := *common
		own.Address = manifest.Detection{CIDR: hostAddress(i) + "/32"}
		if err := makeRoot(root, &own); err != nil {
			return err
		}
		all.Go(func() {
			select {
			case <-ctx.Done():
				return
			case <-time.After(*over * time.Duration(i) / time.Duration(*count)):
			}
			took, err := deploy(ctx, root)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				out.Times = append(out.Times, took)
			} else {
				out.Failed = append(out.Failed, fmt.Sprintf("%s: %v", filepath.Base(root), err))
			}
		})
	}
	all.Wait()
	return json.NewEncoder(os.Stdout).Encode(out)
}

// deploy is one host's life.
func deploy(ctx context.Context, root string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, hostTimeout)
	defer cancel()
	log, err := os.Create(root + ".log")
	if err != nil {
		return 0, err
	}
	defer log.Close()
	began := time.Now()
	engine, err := agent.NewEngine(agent.Layout{Root: root}, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		return 0, err
	}
	if err := engine.Run(ctx); err != nil {
		return 0, err
	}
	took := time.Since(began)
	_, conf := os.Stat(filepath.Join(root, "opt/demo/current/etc/app.conf"))
	load, err := filepath.Glob(filepath.Join(root, "opt/demo/packages/*/share/load"))
	if err == nil && len(load) != 1 {
		err = errors.New("the package is not there")
	}
	if _, left := os.Stat(filepath.Join(root, "var/lib/bootstrap-agent")); left == nil {
		err = errors.Join(err, errors.New("the bootstrap agent is still there"))
	}
	return took, errors.Join(conf, err)
}

// systemctl says of every unit that it runs.
const systemctl = `#!/bin/sh
[ "$1" = show ] || exit 0
shift 2
for unit; do
	printf 'Id=%s\nLoadState=loaded\nActiveState=active\nSubState=running\nResult=success\nNRestarts=0\n\n' "$unit"
done
`

func makeRoot(root string, s *seed.Seed) error {
	for _, dir := range []string{"opt", "run/systemd/system", "usr/bin", "etc/systemd/system/multi-user.target.wants", "var/lib"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	text, err := s.Encode()
	if err != nil {
		return err
	}
	state := filepath.Join(root, "var/lib/bootstrap-agent")
	return errors.Join(
		os.Symlink("/proc", filepath.Join(root, "proc")),
		write(filepath.Join(root, "usr/bin/systemctl"), systemctl, 0o755),
		os.Mkdir(state, 0o700),
		write(filepath.Join(state, "seed"), string(text), 0o600),
	)
}
