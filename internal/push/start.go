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

// refusals are sudo's words, of its various versions and of sudo-rs, and those of doas, in the C locale. The first that
// fits counts.
var refusals = []struct {
	class Class
	words string
}{
	{SudoTTY, "you must have a tty"},
	{WrongPassword, "incorrect password attempt"},
	{WrongPassword, "ncorrect authentication attempt"},
	{WrongPassword, "Sorry, try again"},
	{WrongPassword, "Authentication failed"},
	{SudoPassword, "a password is required"},
	{SudoPassword, "Authentication required"},
	{SudoPassword, "Authorization required"},
	{SudoPassword, "a terminal is required"},
	{SudoPassword, "no tty present and no askpass program"},
	{SudoPassword, "interactive authentication is required"},
	{SudoDenied, "is not in the sudoers file"},
	{SudoDenied, "is not allowed to execute"},
	{SudoDenied, "is not allowed to run sudo"},
	{SudoDenied, "may not run sudo"},
	{SudoDenied, "I'm sorry"},
	{SudoDenied, "Operation not permitted"},
	{SudoTTY, "a tty is required"},
}

// notStarted handles that the agent, or what was to make it root, ended with an error. A sudo that asks for a password is
// told it, if it is known: on the same channel, through the script. One that wants a terminal gets it on a second channel
// while the script keeps the directory; doas reads passwords nowhere else.
func (c *conversation) notStarted(ctx context.Context, words []string) *Error {
	failed := c.tryHarder(words)
	c.finish(ctx)
	return failed
}

func (c *conversation) tryHarder(words []string) *Error {
	if len(words) != 3 {
		return failure(BadOutput, "the host doesn't say how the start failed")
	}
	status, dir, tool := shorten(printable(words[0])), words[1], words[2]
	failed := explainStart(status, c.out)
	if tool != "sudo" && tool != "doas" || !ownDirectory(dir, c.token) {
		return failed
	}
	known := len(c.out.secret) > 0
	if failed.Class == SudoPassword && known && tool == "sudo" {
		if failed = c.withPassword(); failed == nil {
			return nil
		}
	}
	if failed.Class == SudoTTY {
		failed = c.withTerminal(tool+" -n", dir, false)
	}
	if failed != nil && failed.Class == SudoPassword && known {
		how := tool
		if tool == "sudo" {
			how = "sudo -S -p " + c.prompt()
		}
		failed = c.withTerminal(how, dir, true)
	}
	return failed
}

// withPassword is only called when sudo has said that it wants a password.
func (c *conversation) withPassword() *Error {
	c.out.forget()
	if _, err := c.channel.Write([]byte("password\n" + string(c.out.secret) + "\n")); err != nil {
		return failure(UploadFailed, "the connection ended early; it was %s", c.host.current())
	}
	words, err := c.expect("done", "refused")
	switch {
	case err != nil:
		return err
	case words[0] == "done":
		return nil
	case len(words) < 2:
		return failure(BadOutput, "the host doesn't say how the start failed")
	}
	return explainStart(shorten(printable(words[1])), c.out)
}

// prompt is what sudo asks for the password with on a terminal, so that it is known when it does.
func (c *conversation) prompt() string { return "muster-prompt-" + c.token + ":" }

// promptEnds are what prompts end with: our own, and those of doas and PAM modules.
func (c *conversation) promptEnds() []string {
	return []string{c.prompt(), "assword:", "assphrase:", "asscode:"}
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

// withTerminal starts the agent as root on a terminal. The seed is a file there and doesn't pass through it. The password
// does, once, when it is asked for, with the terminal's echo off.
func (c *conversation) withTerminal(how, dir string, password bool) *Error {
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
	// A terminal whose input ends hangs up, so the input stays open.
	stdin, err := session.StdinPipe()
	if err != nil {
		return failure(SudoTTY, "sudo wants a terminal, and its input can't be held open: %w", err)
	}
	session.Stderr = io.Discard // a terminal has one stream
	agent := dir + "/bootstrap-agent"
	if c.deliver.there {
		agent = installed
	}
	if err := session.Start(ttyCommand(how, agent, dir)); err != nil {
		return failure(SudoTTY, "sudo wants a terminal, and the host runs no command there")
	}
	c.out.forget()
	var asked func()
	if password {
		asks := 0
		asked = func() {
			if asks++; asks == 1 {
				_, _ = stdin.Write([]byte(string(c.out.secret) + "\n")) // the end of the session says if it got there
				return
			}
			_ = session.Close() // it was wrong; another answer there is not
		}
	}
	if err := c.out.watch(stdout, c.promptEnds(), asked); errors.Is(err, errTooMuchOutput) {
		return failure(BadOutput, "%w", err).because(c.out.tail())
	}
	err = session.Wait()
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		return explainStart(strconv.Itoa(exit.ExitStatus()), c.out)
	case password && c.out.contains(c.promptEnds()...):
		return failure(WrongPassword, "the password is refused").because(c.out.tail())
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
