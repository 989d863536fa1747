//go:build e2e

// Package e2e tries Muster on real hosts: systemd, sshd, sudo and cloud-init in the lab (docs/lab.md), the programs as
// they are shipped, and the etcd bundle. A test reads like what an operator does and sees.
//
// There is one lab on a machine, so the tests run one after the other and nothing else may use it meanwhile.
package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// child marks the process that runs the tests. Its parent removes the lab whatever becomes of it: a panic, a timeout or
// a signal skip everything that the tests would clean up themselves.
const child = "MUSTER_E2E_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(child) != "" {
		os.Exit(m.Run())
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "END TO END TESTS ON HOSTS ARE SKIPPED: they make hosts in network namespaces, which needs root (sudo scripts/test)")
	}
	for _, path := range []string{program("coordinator"), program("bootstrap-agent-linux-amd64"), program("bootstrap-agent-linux-arm64"), etcdctl(), datacenterProgram("bus")} {
		if _, err := os.Stat(path); err != nil {
			fmt.Fprintf(os.Stderr, "error: %v\nremedy: build what the tests run, with scripts/build && examples/etcd/build && examples/datacenter/build; scripts/test does it all\n", err)
			os.Exit(1)
		}
	}
	os.Exit(supervise())
}

func supervise() int {
	// What tests leave in their directories when they crash are coordinators' keys.
	work, err := os.MkdirTemp("", "muster-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	defer os.RemoveAll(work)
	tests := exec.Command(os.Args[0], os.Args[1:]...)
	tests.Env = append(os.Environ(), child+"=1", "TMPDIR="+work)
	tests.Stdin, tests.Stdout, tests.Stderr = os.Stdin, os.Stdout, os.Stderr
	// A group of its own, so that the coordinators that a crashed test leaves behind can be ended with it.
	tests.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	if err := tests.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	go func() {
		for s := range signals {
			_ = tests.Process.Signal(s)
		}
	}()
	err = tests.Wait()
	_ = syscall.Kill(-tests.Process.Pid, syscall.SIGKILL)
	code := 0
	if err != nil {
		code = 1
		if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() > 0 {
			code = exit.ExitCode()
		}
	}
	if os.Geteuid() == 0 {
		if out, err := exec.Command(labProgram(), "down").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "error: the lab is not removed: %v: %s\n", err, out)
			code = 1
		}
	}
	return code
}

func repository() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "../..")
}

func program(name string) string { return filepath.Join(repository(), "bin", name) }

func labProgram() string { return filepath.Join(repository(), "scripts/lab") }

func example() string { return filepath.Join(repository(), "examples/etcd") }

// etcdctl is the one that hosts get, for use from outside of them.
func etcdctl() string {
	return filepath.Join(example(), "packages/etcd", runtime.GOARCH, "bin/etcdctl")
}
