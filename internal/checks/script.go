package checks

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// script runs a publisher's script and reads its exit status after the Nagios plugin convention.
func (e Environment) script(ctx context.Context, text string) finding {
	out, state, err := e.shell(ctx, text)
	if errors.Is(err, errLate) {
		return finding{late: true, detail: out}
	}
	if err != nil {
		return undecided("check that "+e.WorkDir+" is writable and that /bin/sh is there", "the script could not be run: %v", err)
	}
	summary, detail, _ := strings.Cut(strings.TrimSpace(out), "\n")
	f := finding{summary: summary, detail: detail}
	switch code := state.ExitCode(); {
	case code >= int(OK) && code <= int(Unknown):
		f.status = Status(code)
		if summary == "" {
			f.summary = "the script printed nothing and says " + f.status.String()
		}
	default:
		f.status = Unknown
		f.summary = "the script ended with " + state.String()
		if summary != "" {
			f.summary += ": " + summary
		}
	}
	return f
}

var errLate = errors.New("its time is over")

// shell runs a text and returns what it printed, capped; with errLate, what it printed until then. Nothing that it has started in its process group survives.
func (e Environment) shell(ctx context.Context, text string) (string, *os.ProcessState, error) {
	dir, err := os.MkdirTemp(e.WorkDir, "check-")
	if err != nil {
		return "", nil, err
	}
	defer os.RemoveAll(dir)
	// sh reads the file, so that it works where programs may not be executed. It may hold secrets: not in argv.
	file := filepath.Join(dir, "check.sh")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", nil, err
	}
	var out capture
	cmd := exec.Command("/bin/sh", file)
	cmd.Dir = dir
	cmd.Env = e.environ()
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// A process that has left the group may keep the pipe open.
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// The process stays a zombie, so its number cannot become that of another group before the group is killed.
		for unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		}
	}()
	late := false
	select {
	case <-ended:
	case <-ctx.Done():
		late = true
	}
	unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return "", nil, err
	}
	if late {
		return out.String(), nil, errLate
	}
	return out.String(), cmd.ProcessState, nil
}

// environ is all that a script gets: nothing is inherited, since the bootstrap agent's environment may hold secrets.
func (e Environment) environ() []string {
	env := []string{"PATH=" + e.path(), "LC_ALL=C.UTF-8"}
	for _, pair := range e.Env {
		if strings.HasPrefix(pair, "MUSTER_") {
			env = append(env, pair)
		}
	}
	return env
}
