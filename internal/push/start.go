package push

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// refusals are sudo's words, of its various versions and of sudo-rs, in the C locale.
var refusals = []struct {
	class Class
	words string
}{
	{SudoTTY, "you must have a tty"},
	{SudoPassword, "a password is required"},
	{SudoPassword, "a terminal is required"},
	{SudoPassword, "no tty present and no askpass program"},
	{SudoPassword, "interactive authentication is required"},
	{SudoDenied, "is not in the sudoers file"},
	{SudoDenied, "is not allowed to execute"},
	{SudoDenied, "is not allowed to run sudo"},
	{SudoDenied, "may not run sudo"},
	{SudoDenied, "I'm sorry"},
}

// notStarted handles that the agent, or sudo before it, ended with an error. Where sudo only wants a terminal it gets
// one, on a second channel, while the script keeps the directory.
func (c *conversation) notStarted(ctx context.Context, words []string) *Error {
	if len(words) != 2 {
		return failure(BadOutput, "the host doesn't say how the start failed")
	}
	status, dir := shorten(printable(words[0])), words[1]
	failed := explainStart(status, c.out)
	if failed.Class == SudoTTY && ownDirectory(dir, c.token) {
		failed = c.withTerminal(dir)
	}
	c.finish(ctx)
	return failed
}

// finish lets the script remove its directory before the connection is closed, but doesn't wait long: the end of the
// connection makes it do the same.
func (c *conversation) finish(ctx context.Context) {
	_ = c.channel.CloseWrite() // fails only if the script is gone
	stop := context.AfterFunc(ctx, func() { _ = c.channel.Close() })
	timer := time.AfterFunc(5*time.Second, func() { _ = c.client.Close() })
	defer timer.Stop()
	defer stop()
	for {
		if _, err := c.replies.next(); err != nil {
			return
		}
	}
}

// withTerminal starts the agent through sudo on a terminal. Nothing secret passes through it: the seed is a file there.
func (c *conversation) withTerminal(dir string) *Error {
	session, err := c.client.NewSession()
	if err != nil {
		return failure(SudoTTY, "sudo wants a terminal, and the host allows no second session: %s", shorten(printable(err.Error())))
	}
	defer func() { _ = session.Close() }()
	if err := session.RequestPty("dumb", 24, 200, ssh.TerminalModes{ssh.ECHO: 0}); err != nil {
		return failure(SudoTTY, "sudo wants a terminal, and the host gives none")
	}
	stdout, err := session.StdoutPipe()
	if err != nil {
		return failure(SudoTTY, "sudo wants a terminal, and its output can't be read: %w", err)
	}
	// A terminal whose input ends hangs up, so the input stays open without being used.
	if _, err := session.StdinPipe(); err != nil {
		return failure(SudoTTY, "sudo wants a terminal, and its input can't be held open: %w", err)
	}
	session.Stderr = io.Discard // a terminal has one stream
	if err := session.Start(ttyCommand(dir)); err != nil {
		return failure(SudoTTY, "sudo wants a terminal, and the host runs no command there")
	}
	c.out.forget()
	if err := c.out.drain(stdout); errors.Is(err, errTooMuchOutput) {
		return failure(BadOutput, "%w", err).because(c.out.tail())
	}
	err = session.Wait()
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		return explainStart(strconv.Itoa(exit.ExitStatus()), c.out)
	}
	return failure(UploadFailed, "the connection ended early; it was %s", c.host.current())
}

// explainStart finds out why the agent didn't start from what it printed: "error: …" and "remedy: …" are its own
// words; without them sudo may have refused.
func explainStart(status string, out *transcript) *Error {
	var problems, remedies []string
	lines := out.lines()
	for _, line := range lines {
		if text, ok := strings.CutPrefix(line, "error: "); ok {
			problems = append(problems, text)
		}
		if text, ok := strings.CutPrefix(line, "remedy: "); ok {
			remedies = append(remedies, text)
		}
	}
	if len(problems) > 0 {
		e := failure(StartFailed, "%s", shorten(strings.Join(problems, "; ")))
		if len(remedies) > 0 {
			e.Remedy = shorten(strings.Join(remedies, " "))
		}
		return e
	}
	for _, line := range lines {
		for _, r := range refusals {
			if strings.Contains(line, r.words) {
				return failure(r.class, "%s", shorten(line))
			}
		}
	}
	return failure(StartFailed, "the bootstrap agent ended with status %s", status).because(out.tail())
}
