package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"
	"google.golang.org/protobuf/types/known/durationpb"

	"muster/internal/artifacts"
	"muster/internal/fault"
	"muster/internal/manifest"
	"muster/internal/push"
	"muster/internal/show"
	operatorv1 "muster/proto/muster/operator/v1"
)

// pushFlags are what push and deploy share.
type pushFlags struct {
	role, user                  string
	port                        int
	identities, knownHosts      []string
	acceptNew                   bool
	concurrency                 int
	connectTimeout, hostTimeout time.Duration
	ttl                         time.Duration
	labels                      map[string]string
}

func (f *pushFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.role, "role", "", "the role of the hosts that are named without one")
	flags.StringVarP(&f.user, "user", "u", "", "login name (default: ssh.user in cluster.yaml, else yours)")
	flags.IntVarP(&f.port, "port", "p", 0, "SSH port (default: ssh.port in cluster.yaml, else 22)")
	flags.StringSliceVarP(&f.identities, "identity", "i", nil, "private key file; may be repeated (default: the SSH agent and ~/.ssh/id_*)")
	flags.StringSliceVar(&f.knownHosts, "known-hosts", nil, "known hosts file (default: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts)")
	flags.BoolVar(&f.acceptNew, "accept-new-host-keys", false, "trust and record the key of a host that is not known yet; a changed key is refused all the same")
	flags.IntVar(&f.concurrency, "concurrency", 100, "hosts at the same time")
	flags.DurationVar(&f.connectTimeout, "connect-timeout", 20*time.Second, "for connecting and logging in to one host")
	flags.DurationVar(&f.hostTimeout, "host-timeout", 3*time.Minute, "for everything with one host")
	flags.StringToStringVar(&f.labels, "label", nil, "label of the hosts, such as zone=a; may be repeated")
	flags.DurationVar(&f.ttl, "ttl", 0, "how long the hosts' join tokens are good (default 30m)")
}

const pushArguments = "[HOST | ROLE=HOST,HOST...]..."

func pushCommand() *cobra.Command {
	var f pushFlags
	cmd := &cobra.Command{
		Use:   "push " + pushArguments,
		Short: "Drop the bootstrap agent on hosts, one SSH session each",
		Long: `push logs in to every host once, all in parallel, drops the bootstrap agent with a join token of its own and starts it.
After that the host pulls; the coordinator never connects to it again. Without arguments it pushes to the hosts that
cluster.yaml lists by address.`,
		Example: "  coordinator push --role master 10.0.0.11 10.0.0.12 10.0.0.13\n  coordinator push master=10.0.0.11,10.0.0.12,10.0.0.13 agent=10.0.0.21",
		RunE: func(cmd *cobra.Command, args []string) error {
			_, failed, err := f.run(cmd, args)
			if err == nil && failed > 0 {
				return &exitError{code: exitFailedHosts}
			}
			return err
		},
	}
	f.register(cmd)
	return cmd
}

// run pushes and returns the tokens of the hosts that were reached, and how many were not.
func (f *pushFlags) run(cmd *cobra.Command, args []string) (tokens []string, failed int, err error) {
	ctx := cmd.Context()
	generation, _, err := artifacts.Load(statePath(cmd, "artifacts"))
	if err != nil {
		return nil, 0, fault.New(fault.Unavailable, "start it with: coordinator serve; or name its state directory with --state",
			"no coordinator has served from %s yet", statePath(cmd, "")).Because(err)
	}
	targets, err := parseTargets(args, f.role, generation.Hosts)
	if err != nil {
		return nil, 0, err
	}
	client, done, err := connect(cmd)
	if err != nil {
		return nil, 0, err
	}
	defer done()
	options, closeAll, err := f.options(cmd, generation)
	if err != nil {
		return nil, 0, err
	}
	defer closeAll()
	sshTargets, ids, err := f.seeds(ctx, client, targets, generation)
	if err != nil {
		return nil, 0, err
	}
	out := cmd.ErrOrStderr()
	progress := newPushProgress(out, len(targets), show.IsTerminal(out))
	results, err := push.Push(ctx, options, sshTargets, progress.event)
	progress.end()
	if err != nil {
		return nil, 0, err
	}
	var records []*operatorv1.RecordPushRequest
	for i, r := range results {
		record := &operatorv1.RecordPushRequest{Target: targets[i].Host, Role: string(targets[i].Role), Ok: r.Err == nil, TokenId: ids[i]}
		if r.Err != nil {
			failed++
			record.ErrorClass, record.Message, record.Remedy = string(r.Err.Class), r.Err.Message, r.Err.Remedy
		} else {
			tokens = append(tokens, ids[i])
		}
		records = append(records, record)
	}
	// What was seen is shown before anything else can fail.
	progress.summary(results)
	return tokens, failed, recordPushes(ctx, client, records)
}

// seeds makes each host its own single-use token, so that what one host was given is of no use to another.
func (f *pushFlags) seeds(ctx context.Context, client operatorv1.OperatorServiceClient, targets []target, g *manifest.Generation) ([]push.Target, []string, error) {
	login, err := f.login(g)
	if err != nil {
		return nil, nil, err
	}
	port := f.port
	if port == 0 {
		port = g.SSH.Port
	}
	made := make([]push.Target, len(targets))
	ids := make([]string, len(targets))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(32)
	for i, t := range targets {
		group.Go(func() error {
			request := &operatorv1.CreateTokenRequest{Role: string(t.Role), Uses: 1, Host: t.Host, Labels: f.labels}
			if f.ttl > 0 {
				request.Ttl = durationpb.New(f.ttl)
			}
			resp, err := client.CreateSeed(ctx, &operatorv1.CreateSeedRequest{Token: request})
			if err != nil {
				return err
			}
			made[i] = push.Target{Address: t.Host, Port: port, User: login, Seed: resp.Seed}
			ids[i] = resp.TokenId
			return nil
		})
	}
	return made, ids, group.Wait()
}

func (f *pushFlags) login(g *manifest.Generation) (string, error) {
	if f.user != "" {
		return f.user, nil
	}
	if g.SSH.User != "" {
		return g.SSH.User, nil
	}
	me, err := user.Current()
	if err != nil {
		return "", err
	}
	return me.Username, nil
}

func recordPushes(ctx context.Context, client operatorv1.OperatorServiceClient, records []*operatorv1.RecordPushRequest) error {
	// An interrupted push is recorded too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(32)
	for _, r := range records {
		group.Go(func() error {
			_, err := client.RecordPush(ctx, r)
			return err
		})
	}
	return group.Wait()
}

func (f *pushFlags) options(cmd *cobra.Command, g *manifest.Generation) (push.Options, func(), error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return push.Options{}, nil, err
	}
	options := push.Options{
		Agents: make(map[manifest.Arch]push.Binary), KnownHosts: f.knownHosts, AcceptNewHostKeys: f.acceptNew,
		Concurrency: f.concurrency, ConnectTimeout: f.connectTimeout, HostTimeout: f.hostTimeout,
	}
	if len(options.KnownHosts) == 0 {
		options.KnownHosts = []string{filepath.Join(home, ".ssh/known_hosts"), "/etc/ssh/ssh_known_hosts"}
	}
	identities := f.identities
	if len(identities) == 0 {
		for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			if path := filepath.Join(home, ".ssh", name); readable(path) {
				identities = append(identities, path)
			}
		}
	}
	if options.Auth, err = push.LoadAuth(identities, os.Getenv("SSH_AUTH_SOCK"), askPassphrase); err != nil {
		return push.Options{}, nil, err
	}
	closers := []io.Closer{options.Auth}
	closeAll := func() {
		for _, c := range closers {
			_ = c.Close()
		}
	}
	for arch, blob := range g.Agents {
		binary, err := push.OpenBinary(filepath.Join(statePath(cmd, "artifacts"), manifest.BlobPath(blob.Digest)))
		if err != nil {
			closeAll()
			return push.Options{}, nil, err
		}
		closers = append(closers, binary)
		options.Agents[arch] = binary
	}
	return options, closeAll, nil
}

func readable(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	return f.Close() == nil
}

func askPassphrase(file string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, errors.New("no terminal to ask for the passphrase on; add the key to an SSH agent (ssh-add)")
	}
	defer tty.Close()
	fmt.Fprintf(tty, "Passphrase for %s: ", file)
	defer fmt.Fprintln(tty)
	return term.ReadPassword(int(tty.Fd()))
}

// pushProgress shows one redrawn line on a terminal and a line an outcome elsewhere.
type pushProgress struct {
	out      io.Writer
	total    int
	terminal bool
	ended    int
	failed   int
	steps    map[string]push.Step
	drawn    time.Time
}

func newPushProgress(out io.Writer, total int, terminal bool) *pushProgress {
	return &pushProgress{out: out, total: total, terminal: terminal, steps: make(map[string]push.Step)}
}

func (p *pushProgress) event(e push.Event) {
	p.steps[e.Target.Address] = e.Step
	if e.NewHostKey != "" {
		p.line("%s: host key %s recorded", e.Target.Address, e.NewHostKey)
	}
	switch e.Step {
	case push.Pushed:
		p.ended++
		p.line("%s: pushed in %s", e.Target.Address, e.Took.Round(time.Millisecond))
	case push.Failed:
		p.ended, p.failed = p.ended+1, p.failed+1
		p.line("%s: failed (%s): %s", e.Target.Address, e.Err.Class, show.Safe(e.Err.Message, 300))
	default:
		p.draw()
	}
}

func (p *pushProgress) line(format string, args ...any) {
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	fmt.Fprintf(p.out, format+"\n", args...)
	p.drawn = time.Time{}
	p.draw()
}

// draw redraws the line, at most ten times a second.
func (p *pushProgress) draw() {
	if !p.terminal || time.Since(p.drawn) < 100*time.Millisecond {
		return
	}
	p.drawn = time.Now()
	counts := make(map[push.Step]int)
	for _, s := range p.steps {
		counts[s]++
	}
	parts := []string{strconv.Itoa(p.ended) + "/" + strconv.Itoa(p.total) + " hosts"}
	for _, s := range []push.Step{push.Connecting, push.Authenticating, push.Uploading, push.Starting} {
		if counts[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	fmt.Fprint(p.out, "\r\x1b[K"+strings.Join(parts, ", "))
}

func (p *pushProgress) end() {
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

func (p *pushProgress) summary(results []push.Result) {
	var slowest push.Result
	for _, r := range results {
		if r.Err != nil {
			fmt.Fprintf(p.out, "%s: %s\n  remedy: %s\n", net.JoinHostPort(r.Target.Address, strconv.Itoa(cmp.Or(r.Target.Port, 22))),
				show.Safe(r.Err.Message, 500), show.Safe(r.Err.Remedy, 500))
		}
		if r.Took > slowest.Took {
			slowest = r
		}
	}
	fmt.Fprintf(p.out, "pushed to %d of %d hosts; slowest %s in %s\n", p.total-p.failed, p.total, slowest.Target.Address,
		slowest.Took.Round(time.Millisecond))
}
