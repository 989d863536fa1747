package main

import (
	"context"
	"io"
	"maps"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"muster/internal/fault"
	"muster/internal/manifest"
	"muster/internal/push"
	"muster/internal/show"
	operatorv1 "muster/proto/muster/operator/v1"
)

// pushFlags are what push and deploy share.
type pushFlags struct {
	role, user                               string
	port                                     int
	identities, knownHosts, jumps            []string
	sshConfig                                string
	acceptNew                                bool
	askPassword, askSudo                     bool
	passwordFD, sudoFD                       int
	concurrency                              int
	connectTimeout, hostTimeout, idleTimeout time.Duration
	uploadLimit                              string
	noFetch                                  bool
	retryFailed                              bool
	ttl                                      time.Duration
	labels                                   map[string]string
	// retried are the labels of earlier pushes by host, which --label adds to.
	retried map[string]map[string]string

	// connectSaid is whether --connect-timeout was given: then it counts more than the SSH configuration.
	connectSaid bool
}

func (f *pushFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.role, "role", "", "the role of the hosts that are named without one")
	flags.BoolVar(&f.retryFailed, "retry-failed", false, "push to the hosts whose last push failed, each with its role")
	flags.StringVarP(&f.user, "user", "u", "", "login name (default: see below)")
	flags.IntVarP(&f.port, "port", "p", 0, "SSH port (default: see below)")
	flags.StringSliceVarP(&f.identities, "identity", "i", nil, "private key file; may be repeated (default: those of the SSH configuration, else the SSH agent and ~/.ssh/id_*)")
	flags.StringSliceVarP(&f.jumps, "jump", "J", nil, "jump hosts to go through, [USER@]HOST[:PORT],...; none: go straight")
	flags.StringSliceVar(&f.knownHosts, "known-hosts", nil, "known hosts file (default: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts)")
	flags.StringVar(&f.sshConfig, "ssh-config", "", "SSH configuration, or none (default: ~/.ssh/config)")
	flags.BoolVar(&f.acceptNew, "accept-new-host-keys", false, "trust and record the key of a host that is not known yet; a changed key is refused all the same")
	flags.BoolVar(&f.askPassword, "ask-password", false, "ask once for the login password")
	flags.IntVar(&f.passwordFD, "password-fd", -1, "read the login password from this file descriptor, one line")
	flags.BoolVar(&f.askSudo, "ask-sudo", false, "ask once for the password that sudo (or doas) wants; empty: the login password")
	flags.IntVar(&f.sudoFD, "sudo-fd", -1, "read sudo's password from this file descriptor, one line")
	flags.IntVar(&f.concurrency, "concurrency", 100, "hosts at the same time")
	flags.StringVar(&f.uploadLimit, "upload-limit", "", "bytes a second to all hosts together, such as 10M (default: no limit)")
	flags.BoolVar(&f.noFetch, "no-fetch", false, "send the bootstrap agent over SSH to all hosts; otherwise near ones fetch it from the coordinator over HTTP")
	flags.DurationVar(&f.connectTimeout, "connect-timeout", 20*time.Second, "for connecting and logging in to one host")
	flags.DurationVar(&f.idleTimeout, "idle-timeout", 30*time.Second, "how long a host may send nothing at all")
	flags.DurationVar(&f.hostTimeout, "host-timeout", 0, "for everything with one host (default 3m, longer with --upload-limit)")
	flags.StringToStringVar(&f.labels, "label", nil, "label of the hosts, such as zone=a; may be repeated")
	flags.DurationVar(&f.ttl, "ttl", 0, "how long the hosts' join tokens are good (default 30m)")
}

const pushArguments = "[HOST | ROLE=HOST,HOST... | -]..."

// pushHelp is the part of the help that push and deploy share.
const pushHelp = `
A HOST is a name, an address, or a range of them: 10.0.0.[1-50], rack1-[a-c], node[01-12].example.com. With - the hosts are
read from standard input, separated by blanks or line ends; # begins a comment. A host that is named twice is pushed to once.

How to log in: the flags count first, then ssh.user and ssh.port of cluster.yaml where they are not the defaults (root, 22),
then ~/.ssh/config, then the defaults. Of ~/.ssh/config these count: User, Port, HostName, IdentityFile, IdentitiesOnly,
CertificateFile, IdentityAgent, ProxyJump, HostKeyAlias, UserKnownHostsFile, ConnectTimeout; with Host, Match all, Match host
and Include. StrictHostKeyChecking is not read: host keys are always checked. ProxyCommand is refused; use ProxyJump.

Passwords and passphrases are asked for on the terminal, once each, before the first host is contacted.`

func pushCommand() *cobra.Command {
	var f pushFlags
	var output string
	cmd := &cobra.Command{
		Use:   "push " + pushArguments,
		Short: "Drop the bootstrap agent on hosts, one SSH session each",
		Long: `push logs in to every host once, all in parallel, drops the bootstrap agent with a join token of its own and starts it.
After that the host pulls; the coordinator never connects to it again. Without arguments it pushes to the hosts that
cluster.yaml lists by address.
` + pushHelp + `

It exits with 3 if some hosts failed; push --retry-failed goes on with them. -o json writes
{"pushed":N,"failed":N,"hosts":[{"host":…,"result":"pushed"|"failed","class":…,"message":…,"remedy":…,"retry":…,…}]}.`,
		Example: "  coordinator push --role master 10.0.0.[11-13]\n  coordinator push master=10.0.0.[11-13] agent=10.0.0.21\n  coordinator push --retry-failed --ask-sudo",
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := show.ParseFormat(output)
			if err != nil {
				return usageError(err)
			}
			pushed, err := f.run(cmd, args)
			if pushed != nil && format != show.FormatTable {
				if err := pushed.write(cmd.OutOrStdout(), format); err != nil {
					return err
				}
			}
			if pushed == nil {
				return err
			}
			return pushed.end(err)
		},
	}
	f.register(cmd)
	outputFlag(cmd, &output)
	return cmd
}

// pushed is how a push ended; the three go together by their index.
type pushed struct {
	targets []target
	tokens  []string
	results []push.Result
}

func (p *pushed) failed() (n int) {
	for _, r := range p.results {
		if r.Err != nil {
			n++
		}
	}
	return n
}

// end is what push ends with. The summary has told of hosts that failed; err is that the coordinator could not be told.
func (p *pushed) end(err error) error {
	failed := p.failed()
	switch {
	case failed == 0:
		return err
	case err == nil:
		return &exitError{code: exitFailedHosts}
	}
	return &exitError{exitFailedHosts, fault.New(fault.Unavailable, "push to them by name: --retry-failed and status don't know of them",
		"%d of %d hosts failed, and the coordinator could not be told: %s", failed, len(p.results), status.Convert(err).Message()).Because(err)}
}

// reached are the tokens of the hosts that were pushed to.
func (p *pushed) reached() (tokens []string) {
	for i, r := range p.results {
		if r.Err == nil {
			tokens = append(tokens, p.tokens[i])
		}
	}
	return tokens
}

// run pushes. What it returns is not nil if hosts were contacted, even with an error.
func (f *pushFlags) run(cmd *cobra.Command, args []string) (*pushed, error) {
	ctx := cmd.Context()
	f.connectSaid = cmd.Flags().Changed("connect-timeout")
	limit, err := parseRate(f.uploadLimit)
	if err != nil {
		return nil, usageError(err)
	}
	elsewhere, err := remoteOf(cmd)
	if err != nil {
		return nil, err
	}
	var m pushMaterial
	if elsewhere == nil {
		if m, err = materialHere(cmd); err != nil {
			return nil, err
		}
	}
	client, done, err := connect(cmd)
	if err != nil {
		return nil, err
	}
	defer done()
	if elsewhere != nil {
		if m, err = materialThere(ctx, client); err != nil {
			return nil, err
		}
	}
	targets, err := f.targets(ctx, cmd.InOrStdin(), args, m.generation, client)
	if err != nil {
		return nil, err
	}
	logins, err := newLogins(ctx, f, m.generation.SSH)
	if err != nil {
		return nil, err
	}
	defer logins.Close()
	servers, err := logins.all(targets)
	if ctx.Err() != nil {
		return nil, errInterrupted
	}
	if err != nil {
		return nil, err
	}
	options, closeAll, err := f.options(m, logins, limit)
	if err != nil {
		return nil, err
	}
	defer closeAll()
	p := &pushed{targets: targets}
	if p.tokens, err = f.seeds(ctx, client, targets, servers); err != nil {
		return nil, err
	}
	out := cmd.ErrOrStderr()
	progress := newPushProgress(out, len(targets), show.IsTerminal(out))
	p.results, err = push.Push(ctx, options, servers, progress.event)
	progress.end()
	if err != nil {
		return nil, err
	}
	// What was seen is shown before anything else can fail.
	progress.summary(p.results)
	return p, p.record(ctx, client, f.labelsOf)
}

// targets are the hosts that the command line means.
func (f *pushFlags) targets(ctx context.Context, stdin io.Reader, args []string, g *manifest.Generation, client operatorv1.OperatorServiceClient) ([]target, error) {
	if f.retryFailed {
		targets, labels, err := failedTargets(ctx, client, args, g.Hosts)
		f.retried = labels
		return targets, err
	}
	args, err := readArguments(args, stdin)
	if err != nil {
		return nil, err
	}
	return parseTargets(args, f.role, g.Hosts)
}

// labelsOf are the labels that a host's token gives.
func (f *pushFlags) labelsOf(host string) map[string]string {
	labels := make(map[string]string)
	maps.Copy(labels, f.retried[host])
	maps.Copy(labels, f.labels)
	return labels
}

// seeds makes each host its own single-use token, so that what one host was given is of no use to another.
func (f *pushFlags) seeds(ctx context.Context, client operatorv1.OperatorServiceClient, targets []target, servers []push.Target) ([]string, error) {
	ids := make([]string, len(targets))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(32)
	for i, t := range targets {
		group.Go(func() error {
			request := &operatorv1.CreateTokenRequest{Role: string(t.Role), Uses: 1, Host: t.Host, Labels: f.labelsOf(t.Host)}
			if f.ttl > 0 {
				request.Ttl = durationpb.New(f.ttl)
			}
			resp, err := client.CreateSeed(ctx, &operatorv1.CreateSeedRequest{Token: request})
			if err != nil {
				return err
			}
			servers[i].Seed = resp.Seed
			ids[i] = resp.TokenId
			return nil
		})
	}
	return ids, group.Wait()
}

// record tells the coordinator how it ended, so that status and push --retry-failed know.
func (p *pushed) record(ctx context.Context, client operatorv1.OperatorServiceClient, labels func(host string) map[string]string) error {
	// An interrupted push is recorded too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(32)
	for i, r := range p.results {
		record := &operatorv1.RecordPushRequest{
			Target: p.targets[i].Host, Role: string(p.targets[i].Role), Ok: r.Err == nil, TokenId: p.tokens[i], HostKey: r.NewHostKey,
			Labels: labels(p.targets[i].Host),
		}
		if r.Err != nil {
			record.ErrorClass, record.Message, record.Remedy = string(r.Err.Class), r.Err.Message, r.Err.Remedy
		}
		group.Go(func() error {
			_, err := client.RecordPush(ctx, record)
			return err
		})
	}
	return group.Wait()
}

func (f *pushFlags) options(m pushMaterial, l *logins, limit int64) (push.Options, func(), error) {
	options := push.Options{
		Agents: make(map[manifest.Arch]push.Binary), KnownHosts: l.knownHosts, AcceptNewHostKeys: f.acceptNew,
		SudoPassword: l.sudo, Concurrency: f.concurrency, UploadLimit: limit,
		ConnectTimeout: f.connectTimeout, HostTimeout: f.hostTimeout, IdleTimeout: f.idleTimeout,
	}
	if !f.noFetch {
		options.Sources = m.sources
	}
	var closers []io.Closer
	closeAll := func() {
		for _, c := range closers {
			_ = c.Close() // they were only read
		}
	}
	for arch, blob := range m.generation.Agents {
		binary, err := push.OpenBinary(m.agentPath(blob))
		if err != nil {
			closeAll()
			return push.Options{}, nil, err
		}
		closers = append(closers, binary)
		options.Agents[arch] = binary
	}
	return options, closeAll, nil
}
