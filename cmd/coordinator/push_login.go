package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"muster/internal/fault"
	"muster/internal/manifest"
	"muster/internal/push"
	"muster/internal/sshconfig"
)

// logins finds out how to log in to each host: from the flags, cluster.yaml and the SSH configuration, in this order.
type logins struct {
	flags      *pushFlags
	cluster    manifest.SSH
	config     *sshconfig.Config
	keyring    *push.Keyring
	home       string
	password   push.Secret
	sudo       push.Secret
	knownHosts []string
	// auths are shared by hosts that are logged in to with the same.
	auths map[string]*push.Auth
}

// What cluster.yaml has where it says nothing; it can't be told from saying the same.
const (
	unsaidUser = "root"
	unsaidPort = 22
)

func newLogins(ctx context.Context, f *pushFlags, cluster manifest.SSH) (*logins, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	l := &logins{flags: f, cluster: cluster, home: home, knownHosts: f.knownHosts, auths: make(map[string]*push.Auth)}
	if len(l.knownHosts) == 0 {
		l.knownHosts = []string{filepath.Join(home, ".ssh/known_hosts"), systemKnownHosts}
	}
	if l.config, err = loadSSHConfig(f.sshConfig, filepath.Join(home, ".ssh/config")); err != nil {
		return nil, usageError(err)
	}
	if l.password, err = secretFrom(ctx, "--password-fd", f.passwordFD, f.askPassword, "SSH password: "); err != nil {
		return nil, err
	}
	if l.sudo, err = secretFrom(ctx, "--sudo-fd", f.sudoFD, f.askSudo, "sudo password (empty: the SSH password): "); err != nil {
		return nil, err
	}
	if len(l.sudo) == 0 && (f.askSudo || f.sudoFD >= 0) {
		l.sudo = l.password
	}
	l.keyring = push.NewKeyring(func(file string) ([]byte, error) { return askTerminal(ctx, "Passphrase for "+file+": ") })
	return l, nil
}

const systemKnownHosts = "/etc/ssh/ssh_known_hosts"

// loadSSHConfig reads the usual file, or another; nil if there is to be none or the usual one doesn't exist.
func loadSSHConfig(flag, usual string) (*sshconfig.Config, error) {
	if flag == "none" {
		return nil, nil
	}
	c, err := sshconfig.Load(cmp.Or(flag, usual))
	if errors.Is(err, fs.ErrNotExist) {
		if flag == "" {
			return nil, nil
		}
		return nil, fault.New(fault.Invalid, "name an existing file, or none", "there is no SSH configuration %s", flag)
	}
	return c, err
}

// Close ends the connections to SSH agents.
func (l *logins) Close() { _ = l.keyring.Close() }

// all are the targets without their seeds. Whatever has to be asked is asked here, before a host is contacted.
func (l *logins) all(targets []target) ([]push.Target, error) {
	made := make([]push.Target, len(targets))
	for i, t := range targets {
		settings, err := l.config.Host(t.Host, l.flags.user, l.flags.port)
		if err != nil {
			return nil, usageError(err)
		}
		// cluster.yaml knows the address of a host that it names, unless the SSH configuration knows better.
		if settings.HostName == t.Host && t.Address != "" {
			settings.HostName = t.Address
		}
		server, err := l.server(t.Host, settings, l.user(settings), l.port(settings))
		if err != nil {
			return nil, err
		}
		made[i].Server = server
		if made[i].Jumps, err = l.jumps(settings); err != nil {
			return nil, err
		}
	}
	return made, nil
}

func (l *logins) user(s sshconfig.Settings) string {
	said := l.cluster.User
	if said == unsaidUser {
		said = ""
	}
	return cmp.Or(l.flags.user, said, s.User, unsaidUser)
}

func (l *logins) port(s sshconfig.Settings) int {
	said := l.cluster.Port
	if said == unsaidPort {
		said = 0
	}
	return cmp.Or(l.flags.port, said, s.Port, unsaidPort)
}

func (l *logins) server(name string, s sshconfig.Settings, user string, port int) (push.Server, error) {
	auth, err := l.auth(s)
	if err != nil {
		return push.Server{}, err
	}
	server := push.Server{Name: name, Address: s.HostName, Port: port, User: user, Auth: auth, HostKeyAlias: s.HostKeyAlias}
	if len(l.flags.knownHosts) == 0 && s.KnownHosts != nil {
		server.KnownHosts = append(s.KnownHosts, systemKnownHosts)
	}
	if !l.flags.connectSaid {
		server.ConnectTimeout = s.ConnectTimeout
	}
	return server, nil
}

func (l *logins) auth(s sshconfig.Settings) (*push.Auth, error) {
	spec := push.AuthSpec{AgentSocket: os.Getenv("SSH_AUTH_SOCK"), CertificateFiles: s.CertificateFiles, IdentitiesOnly: s.IdentitiesOnly, Password: l.password}
	switch s.IdentityAgent {
	case "":
	case sshconfig.NoAgent:
		spec.AgentSocket = ""
	default:
		spec.AgentSocket = s.IdentityAgent
	}
	switch {
	case len(l.flags.identities) > 0:
		spec.IdentityFiles = l.flags.identities
	case len(s.IdentityFiles) > 0:
		spec.IdentityFiles, spec.Origin = s.IdentityFiles, push.Configured
	default:
		spec.Origin = push.Usual
		for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			spec.IdentityFiles = append(spec.IdentityFiles, filepath.Join(l.home, ".ssh", name))
		}
	}
	key := strings.Join([]string{spec.AgentSocket, strings.Join(spec.IdentityFiles, "\x00"), strings.Join(spec.CertificateFiles, "\x00")}, "\x01")
	if spec.IdentitiesOnly {
		key += "\x01only"
	}
	if auth, ok := l.auths[key]; ok {
		return auth, nil
	}
	auth, err := l.keyring.Auth(spec)
	if err != nil {
		return nil, err
	}
	l.auths[key] = auth
	return auth, nil
}

// maxJumps is more than anybody needs; it ends configurations that go round in a circle.
const maxJumps = 8

// jumps are the SSH servers on the way to a host.
func (l *logins) jumps(s sshconfig.Settings) ([]push.Server, error) {
	way := s.Jumps
	if len(l.flags.jumps) > 0 {
		var err error
		if way, err = sshconfig.ParseJumps(strings.Join(l.flags.jumps, ",")); err != nil {
			return nil, usageError(err)
		}
	}
	var servers []push.Server
	for len(way) > 0 {
		hop := way[0]
		settings, err := l.config.Host(hop.Host, hop.User, hop.Port)
		if err != nil {
			return nil, usageError(err)
		}
		// What is before the first jump host its own settings say; those on the way are reached from the one before.
		if len(servers) == 0 && len(settings.Jumps) > 0 && len(l.flags.jumps) == 0 {
			if way = append(settings.Jumps, way...); len(way) > maxJumps {
				return nil, usageError(fault.New(fault.Invalid, "end the circle: ProxyJump none for the first jump host, or Host * !JUMPHOST",
					"ProxyJump for %s goes over more than %d jump hosts", hop.Host, maxJumps))
			}
			continue
		}
		server, err := l.server(hop.Host, settings, cmp.Or(hop.User, settings.User, l.user(sshconfig.Settings{})), cmp.Or(hop.Port, settings.Port, unsaidPort))
		if err != nil {
			return nil, err
		}
		servers, way = append(servers, server), way[1:]
	}
	return servers, nil
}
