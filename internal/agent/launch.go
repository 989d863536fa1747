package agent

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"muster/internal/durable"
	"muster/internal/fault"
	"muster/internal/seed"
)

// unitText is the bootstrap agent's own unit. It is enabled, because a transient one would be forgotten at the reboot
// that an installation has to survive.
//
//go:embed bootstrap-agent.service
var unitText []byte

// Launch puts the running program and the seed into place and starts the agent detached from the caller's session. It
// may be repeated: a host that has joined keeps its identity and goes on.
func Launch(ctx context.Context, l Layout, seedText []byte) (string, error) {
	s, err := seed.Parse(seedText)
	if err != nil {
		return "", fault.New(fault.Invalid, "push again; the seed is made by coordinator push or coordinator user-data", "the seed cannot be used").Because(err)
	}
	if os.Geteuid() != 0 {
		return "", fault.New(fault.Denied, "run it as root (sudo)", "installing needs root")
	}
	if err := forgetAgent(ctx, l); err != nil {
		return "", err
	}
	if err := forgetInstallation(ctx, l, s.Cluster); err != nil {
		return "", err
	}
	if exists(l.current(s.Cluster)) && !exists(l.State()) {
		return "", fault.New(fault.Conflict, "to install it anew, uninstall it first (install.sh ROLE --uninstall, or bootstrap-agent uninstall --cluster "+s.Cluster+")",
			"cluster %s is already installed on this host", s.Cluster)
	}
	if other, err := otherCluster(l, s.Cluster); err != nil {
		return "", err
	} else if other != "" {
		return "", fault.New(fault.Conflict, "wait until it is done, or remove "+l.State()+" on this host to abandon it",
			"this host is in the middle of joining cluster %s", other)
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if err := durable.MkdirAll(l.State(), 0o700); err != nil {
		return "", localFault(err)
	}
	if err := os.Chmod(l.State(), 0o700); err != nil {
		return "", localFault(err)
	}
	if err := l.claimFor(l.State()); err != nil {
		return "", localFault(err)
	}
	if err := forgetCertificate(l); err != nil {
		return "", localFault(err)
	}
	if err := durable.WriteFile(l.seed(), seedText, 0o600); err != nil {
		return "", localFault(err)
	}
	if self != l.binary() {
		if err := durable.CopyFile(self, l.binary(), 0o700); err != nil {
			return "", localFault(err)
		}
	}
	if !exists(l.systemd()) {
		return startDetached(l)
	}
	before, err := os.ReadFile(l.unit())
	stale := err == nil && !bytes.Equal(before, unitText)
	if err := durable.WriteFile(l.unit(), unitText, 0o644); err != nil {
		return "", localFault(err)
	}
	sd := systemd{l}
	// A unit that is new is read when it is started. Reading all units anew is what would take longest here, so that is
	// left to a unit that systemd may know as another.
	if err := enableAgent(l); err != nil {
		return "", localFault(err)
	}
	if stale {
		if err := sd.reload(ctx); err != nil {
			return "", systemdFault(err)
		}
	}
	if err := sd.begin(ctx, "restart", UnitName); err != nil {
		return "", systemdFault(err)
	}
	return "the bootstrap agent is started", nil
}

// enableAgent is systemctl enable --no-reload without a process: the link is what that would make.
func enableAgent(l Layout) error {
	if err := durable.MkdirAll(filepath.Dir(l.wanted()), 0o755); err != nil {
		return err
	}
	return durable.Symlink(filepath.Join("/etc/systemd/system", UnitName), l.wanted())
}

// forgetCertificate makes the agent enrol with the new seed. With the same key it is the same host again; one that an
// operator removed is denied with it, and joins as another with a fresh one.
func forgetCertificate(l Layout) error {
	if !exists(l.key()) {
		return nil
	}
	id, err := loadIdentity(l)
	if err != nil {
		return os.Remove(l.key()) // damaged: a fresh one is made
	}
	id.Chain = nil
	return id.save(l)
}

func otherCluster(l Layout, cluster string) (string, error) {
	text, err := os.ReadFile(l.seed())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", localFault(err)
	}
	old, err := seed.Parse(text)
	if err != nil || old.Cluster == cluster {
		return "", nil // a damaged seed is replaced
	}
	return old.Cluster, nil
}

// startDetached runs the agent in a session of its own on a host without systemd, so that it can say what is wrong
// there: preflight fails and status shows why.
func startDetached(l Layout) (string, error) {
	out, err := os.OpenFile(l.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return "", localFault(err)
	}
	defer out.Close()
	cmd := exec.Command(l.binary(), "run")
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = "/", []string{"PATH=" + defaultPath}, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return "", localFault(err)
	}
	if err := cmd.Process.Release(); err != nil {
		return "", err
	}
	return "the bootstrap agent is started without systemd; preflight will say what this host lacks", nil
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Lock makes this process the only bootstrap agent of the host until it ends.
func Lock(l Layout) (*os.File, error) {
	f, err := os.OpenFile(l.lock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another bootstrap agent runs on this host: %w", err), f.Close())
	}
	return f, nil
}
