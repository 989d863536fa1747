// Command attack has hosts deployed by a coordinator twice, once in peace and once while many connections attack it, and
// compares the two. It ends with 1 when a host is not done, when the median of the hosts' times under attack is more than
// 1.5 times that in peace, or the coordinator's memory more than twice.
//
// Real are the coordinator (the program, on a disk), the generation, enrolment, sync, fetch, verification, unpacking,
// activation and removal: each host is an engine of the bootstrap agent. Simulated are the hosts' surroundings: all engines
// share a process, a machine name and a memory file system; each has a private root, a seed that names its own address, and a service
// manager that says of every unit that it runs.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options are those of a comparison; they are handed on to the parts, which are processes of their own.
type options struct {
	Coordinator string
	Hosts       int
	Over        time.Duration
	Attackers   int
	For         time.Duration
	Pause       time.Duration
	Nice        int
	// Times says that their bound is asserted too; that of memory, and that all hosts are done, always are.
	Times bool
	Keep  bool
}

// parts are what this program is when it is started as a part of itself.
var parts = map[string]func(context.Context, []string) error{"hosts": hostsPart, "attackers": attackersPart}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if len(os.Args) > 1 {
		if part := parts[os.Args[1]]; part != nil {
			return part(ctx, os.Args[2:])
		}
	}
	var o options
	flag.StringVar(&o.Coordinator, "coordinator", "bin/coordinator", "the coordinator's program")
	flag.IntVar(&o.Hosts, "hosts", 200, "how many hosts deploy")
	flag.DurationVar(&o.Over, "over", 20*time.Second, "the time over which they start")
	flag.IntVar(&o.Attackers, "attackers", 1000, "how many connections attack at any time")
	flag.DurationVar(&o.For, "for", 30*time.Second, "how long they attack; they go on until the last host is done")
	flag.DurationVar(&o.Pause, "pause", time.Second, "the pause until one that was cut off comes again, between half and all of it")
	flag.IntVar(&o.Nice, "nice", 19, "nice(1) of the attackers' process: elsewhere they would not take this machine's processors")
	flag.BoolVar(&o.Times, "times", true, "assert the bound on times too")
	flag.BoolVar(&o.Keep, "keep", false, "keep the directories of the runs")
	flag.Parse()
	if os.Geteuid() != 0 {
		return errors.New("installing into private roots needs root")
	}
	if err := prepareNetwork(o.Hosts); err != nil {
		return err
	}
	var outcomes []outcome
	for _, attacked := range []bool{false, true} {
		fmt.Fprintf(os.Stderr, "== %d hosts, %s\n", o.Hosts, map[bool]string{false: "in peace", true: fmt.Sprintf("under attack by %d connections", o.Attackers)}[attacked])
		r, err := o.once(ctx, attacked)
		if err != nil {
			return err
		}
		outcomes = append(outcomes, r)
	}
	return o.compare(os.Stdout, outcomes[0], outcomes[1])
}

// outcome is one run's.
type outcome struct {
	Hosts    hostsOutcome
	Attack   attackOutcome
	Peak     int64 // bytes
	Refusals int
	// What the processes have computed.
	CoordinatorCPU, HostsCPU, AttackCPU time.Duration
}

// once is a deployment by a fresh coordinator.
func (o options) once(ctx context.Context, attacked bool) (r outcome, err error) {
	s, err := newSite(o)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.remove(o.Keep || err != nil)) }()
	if err := s.serve(ctx); err != nil {
		return r, err
	}
	defer s.stop()
	seed, err := s.seed(ctx, o.Hosts)
	if err != nil {
		return r, err
	}
	attack := func() (attackOutcome, time.Duration, error) { return attackOutcome{}, 0, nil }
	if attacked {
		if attack, err = s.attack(ctx, o); err != nil {
			return r, err
		}
	}
	if r.HostsCPU, err = s.part(ctx, "hosts", &r.Hosts, "-roots", s.roots, "-seed", seed, "-hosts", fmt.Sprint(o.Hosts), "-over", o.Over.String()); err != nil {
		return r, err
	}
	if r.Attack, r.AttackCPU, err = attack(); err != nil {
		return r, err
	}
	if r.CoordinatorCPU, err = s.computed(); err != nil {
		return r, err
	}
	if r.Peak, err = s.peak(); err != nil {
		return r, err
	}
	r.Refusals, err = s.refusals()
	return r, err
}

// attack starts the attackers, waits until they are at it, and gives what ends them after their time.
func (s *site) attack(ctx context.Context, o options) (end func() (attackOutcome, time.Duration, error), err error) {
	began := time.Now()
	cmd := s.command(ctx, "attackers", "-door", s.door, "-artifacts", s.artifacts, "-blob", s.blob, "-connections", fmt.Sprint(o.Attackers), "-pause", o.Pause.String())
	if o.Nice != 0 {
		cmd.Path, cmd.Args = "/usr/bin/nice", append([]string{"nice", "-n", fmt.Sprint(o.Nice)}, cmd.Args...)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	time.Sleep(2 * time.Second)
	return func() (r attackOutcome, cpu time.Duration, err error) {
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(began.Add(o.For))):
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		err = json.NewDecoder(out).Decode(&r)
		err = errors.Join(err, cmd.Wait())
		return r, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), err
	}, nil
}

// part runs a part of this program and reads its outcome.
func (s *site) part(ctx context.Context, name string, outcome any, args ...string) (cpu time.Duration, err error) {
	cmd := s.command(ctx, name, args...)
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), json.Unmarshal(out, outcome)
}

func (s *site) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	cmd := exec.CommandContext(ctx, self, append([]string{name}, args...)...)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

func write(path, text string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), mode)
}
