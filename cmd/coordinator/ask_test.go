package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/manifest"
)

// asks makes this test's program one that asks, as main does with signals.
const asks = "MUSTER_TEST_ASKS"

func TestMain(m *testing.M) {
	if what := os.Getenv(asks); what != "" {
		askAsMain(what)
		return
	}
	os.Exit(m.Run())
}

func askAsMain(what string) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	cmd := &cobra.Command{}
	cmd.SetContext(ctx)
	var err error
	switch what {
	case "a secret":
		_, _, err = valueFrom{}.read(cmd, "db_key")
	case "the key's passphrase":
		_, err = passphrase{ask: true}.read(cmd, true)
	default:
		err = askForPush(ctx, what)
	}
	fmt.Println("ended with", err)
}

func askForPush(ctx context.Context, what string) error {
	f := &pushFlags{sshConfig: "none", askPassword: what == "password", askSudo: what == "sudo", passwordFD: -1, sudoFD: -1}
	if what != "password" && what != "sudo" {
		f.identities = []string{what}
	}
	l, err := newLogins(ctx, f, manifest.SSH{})
	if err != nil {
		return err
	}
	defer l.Close()
	_, err = l.all([]target{{Host: "a"}})
	return err
}

// Ctrl-C at the question for a password, a passphrase or a secret ends the command, and the terminal echoes again.
func TestCtrlCAtTheQuestionForAPasswordEndsTheCommandAndTheTerminalEchoes(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("SKIPPED: CTRL-C AT A QUESTION IS NOT TRIED: python3, which has the terminal, is missing")
	}
	key := t.TempDir() + "/key"
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "geheim", "-f", key).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: CTRL-C AT A QUESTION IS NOT TRIED: ssh-keygen: %v %s", err, out)
	}
	const script = `
import os, pty, sys, time, termios
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1]])
said = b""
def read():
    global said
    try: said += os.read(fd, 4096)
    except OSError: pass
while b": " not in said: read()
until = time.time() + 5
while termios.tcgetattr(fd)[3] & termios.ECHO and time.time() < until: time.sleep(0.01)
print("asks, echo", "on" if termios.tcgetattr(fd)[3] & termios.ECHO else "off")
os.write(fd, b"\x03")
until = time.time() + 5
done = 0
while not done and time.time() < until:
    done = os.waitpid(pid, os.WNOHANG)[0]
    time.sleep(0.02)
print("after one Ctrl-C:", "ended" if done else "still asks")
if not done:
    os.write(fd, b"\x03")
    time.sleep(0.5)
print("echo", "on" if termios.tcgetattr(fd)[3] & termios.ECHO else "off")
read()
print(said.decode())
`
	for _, what := range []string{"password", "sudo", key, "a secret", "the key's passphrase"} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		cmd := exec.CommandContext(ctx, "python3", "-c", script, os.Args[0])
		cmd.Env = append(os.Environ(), asks+"="+what, "SSH_AUTH_SOCK=", "HOME="+t.TempDir())
		out, err := cmd.CombinedOutput()
		cancel()
		for _, want := range []string{"asks, echo off", "after one Ctrl-C: ended", "\necho on", "interrupted"} {
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("%s, %q is not said: %v\n%s", what, want, err, out)
				break
			}
		}
	}
}
