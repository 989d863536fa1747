package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// systemd is how the agent reaches the service manager: by systemctl(1), which every host with systemd has.
type systemd struct{ layout Layout }

const (
	// commandTimeout bounds one call of systemctl.
	commandTimeout = 60 * time.Second
	// stopTimeout bounds the one that waits for units. Each of them may take TimeoutStopSec, 90 s by default, and what is
	// ordered after another stops before it.
	stopTimeout = 5 * time.Minute
)

func (s systemd) run(ctx context.Context, args ...string) (string, error) {
	return s.runFor(ctx, commandTimeout, args...)
}

func (s systemd) runFor(ctx context.Context, timeout time.Duration, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it has not ended after %v", timeout))
	defer cancel()
	cmd := exec.CommandContext(ctx, s.layout.command("systemctl"), args...)
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, tail(stderr.String(), 512))
	}
	return stdout.String(), nil
}

func (s systemd) reload(ctx context.Context) error {
	_, err := s.run(ctx, "daemon-reload")
	return err
}

// begin starts units without waiting for them.
func (s systemd) begin(ctx context.Context, verb string, units ...string) error {
	_, err := s.run(ctx, append([]string{verb, "--no-block"}, units...)...)
	return err
}

func (s systemd) stop(ctx context.Context, units ...string) error {
	_, err := s.runFor(ctx, stopTimeout, append([]string{"stop"}, units...)...)
	return err
}

func (s systemd) enable(ctx context.Context, unit string) error {
	_, err := s.run(ctx, "enable", unit)
	return err
}

func (s systemd) disable(ctx context.Context, unit string) error {
	_, err := s.run(ctx, "disable", unit)
	return err
}

// resetFailed forgets earlier failures, so that a start limit that was hit does not refuse the next start.
func (s systemd) resetFailed(ctx context.Context, units ...string) {
	_, _ = s.run(ctx, append([]string{"reset-failed"}, units...)...) // says "not loaded" of a unit that never failed
}

// unitState is what systemctl show says of a unit.
type unitState struct {
	Name, Load, Active, Sub, Result, Restarts string
	Reload                                    bool
}

// show answers for all units in one call.
func (s systemd) show(ctx context.Context, units ...string) ([]unitState, error) {
	out, err := s.run(ctx, append([]string{"show", "--property=Id,LoadState,ActiveState,SubState,Result,NRestarts"}, units...)...)
	if err != nil {
		return nil, err
	}
	var states []unitState
	for block := range strings.SplitSeq(strings.TrimSpace(out), "\n\n") {
		var u unitState
		for line := range strings.SplitSeq(block, "\n") {
			key, value, _ := strings.Cut(line, "=")
			switch key {
			case "Id":
				u.Name = value
			case "LoadState":
				u.Load = value
			case "ActiveState":
				u.Active = value
			case "SubState":
				u.Sub = value
			case "Result":
				u.Result = value
			case "NRestarts":
				u.Restarts = value
			}
		}
		states = append(states, u)
	}
	if len(states) != len(units) {
		return nil, errors.New("systemctl show answered for other units than asked")
	}
	return states, nil
}

// log is the tail of a unit's journal.
func (s systemd) log(ctx context.Context, unit string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, s.layout.command("journalctl"), "--no-pager", "--quiet", "--output=cat", "--lines=20", "--unit="+unit).CombinedOutput()
	if err != nil {
		return "journalctl: " + err.Error()
	}
	return tail(string(out), 4096)
}

func tail(text string, n int) string {
	text = strings.TrimSpace(text)
	if len(text) > n {
		text = "…" + text[len(text)-n:]
	}
	return strings.ToValidUTF8(text, "�")
}
