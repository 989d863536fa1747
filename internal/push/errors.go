package push

import (
	"errors"
	"fmt"
	"strings"
)

// Class is the kind of a failure. It is an error so that errors.Is(err, push.SudoPassword) works.
type Class string

// The classes of failures; the table below says what each means and what to do.
const (
	Invalid        Class = "invalid"
	Unreachable    Class = "unreachable"
	JumpHost       Class = "jump-host"
	HostKeyUnknown Class = "host-key-unknown"
	HostKeyChanged Class = "host-key-changed"
	HostKeyRevoked Class = "host-key-revoked"
	Algorithms     Class = "algorithms"
	AuthRefused    Class = "auth"
	SessionRefused Class = "session"
	Architecture   Class = "architecture"
	MissingTool    Class = "missing-tool"
	NoDirectory    Class = "no-directory"
	NoSpace        Class = "no-space"
	UploadFailed   Class = "upload"
	CannotRun      Class = "cannot-run"
	SudoMissing    Class = "sudo-missing"
	SudoPassword   Class = "sudo-password"
	WrongPassword  Class = "sudo-wrong-password"
	SudoDenied     Class = "sudo-denied"
	SudoTTY        Class = "sudo-tty"
	StartFailed    Class = "start"
	BadOutput      Class = "output"
	Timeout        Class = "timeout"
	Interrupted    Class = "interrupted"
)

// ClassInfo explains a class; the documentation is made from it.
type ClassInfo struct {
	Class   Class
	Meaning string
	// Remedy is what to do when nothing more precise is known.
	Remedy string
	// Retry says that the same push may succeed later without anybody changing anything.
	Retry bool
}

var classes = []ClassInfo{
	{Invalid, "the push to this host was asked for in a way that can't work", "Correct the host's line in the cluster config or the flags.", false},
	{Unreachable, "no connection to the host's SSH port", "Check that the host is up, that its address and SSH port are right, and that no firewall is between.", true},
	{JumpHost, "a jump host on the way can't be used", "Check that you can ssh to the jump host by hand with the same settings, then push again.", true},
	{HostKeyUnknown, "nothing is known of the host's key", "Fetch the key with ssh-keyscan, compare its fingerprint on the host's console and add it to the known hosts file; or use --accept-new-host-keys to trust it now and record it.", false},
	{HostKeyChanged, "the host's key is not the known one", "If the host was reinstalled, compare the new fingerprint on its console and replace the line in the known hosts file. If it was not, somebody may be answering in its place.", false},
	{HostKeyRevoked, "the host's key is marked as revoked", "Give the host a new key, and remove the old one everywhere.", false},
	{Algorithms, "the host and Muster have no SSH algorithm in common", "Update the host's SSH server or let it use current algorithms.", false},
	{AuthRefused, "the host refuses the login", "Check the user name, that one of the keys is in the user's authorized_keys, and name it with --identity if the SSH agent holds many.", false},
	{SessionRefused, "the host accepts the login but runs no command", "Check that the user has a login shell, no forced command and no expired password: ssh to the host by hand.", false},
	{Architecture, "there is no bootstrap agent for what the host is", "Use a Linux host of an architecture that Muster supports, or provide the bootstrap agent for it.", false},
	{MissingTool, "a basic program is missing on the host", "Install coreutils or busybox on the host.", false},
	{NoDirectory, "no directory on the host can take a program and run it", "Let the user write to /var/tmp, /tmp or the home directory, and mount one of them without noexec.", false},
	{NoSpace, "the host's disk is full", "Free some space in /var/tmp or /tmp on the host.", false},
	{UploadFailed, "the bootstrap agent didn't arrive complete", "Push again; if it goes on, check the network and the host's disk.", true},
	{CannotRun, "the bootstrap agent doesn't run on the host", "Check that a security policy (SELinux, fapolicyd, AppArmor) lets the user run programs, and that the host's kernel is 3.10 or later.", false},
	{SudoMissing, "the user is not root and there is neither sudo nor doas", "Install sudo or doas, or push as root.", false},
	{SudoPassword, "sudo or doas asks for a password", "Use --ask-sudo, give the user a NOPASSWD rule in /etc/sudoers.d (doas: permit nopass), or push as root.", false},
	{WrongPassword, "sudo or doas refuses the password", "Push again with --ask-sudo and the login user's right password.", false},
	{SudoDenied, "sudo or doas doesn't let the user become root", "Give the user a rule in /etc/sudoers.d that allows all commands (doas: permit), or push as root.", false},
	{SudoTTY, "sudo wants a terminal and none can be had", "Remove requiretty for the user (Defaults:USER !requiretty), or let the SSH server allow terminals and at least two sessions a connection.", false},
	{StartFailed, "the bootstrap agent didn't start", "Read the message; run the push again once the cause is removed.", false},
	{BadOutput, "the host answers with something else than the script's words", "Check that the user's shell start-up files print nothing without a terminal: ssh to the host by hand.", false},
	{Timeout, "the host didn't get through in time", "Check the host's load and network, then push again.", true},
	{Interrupted, "the push was interrupted", "Push to the remaining hosts again.", true},
}

// Classes returns the table of all classes.
func Classes() []ClassInfo { return append([]ClassInfo(nil), classes...) }

// Info returns the table's row of the class.
func (c Class) Info() ClassInfo {
	for _, i := range classes {
		if i.Class == c {
			return i
		}
	}
	return ClassInfo{Class: c, Meaning: string(c)}
}

// Error implements error with what the class means.
func (c Class) Error() string { return c.Info().Meaning }

// Error is why the push to one host failed, for the operator.
type Error struct {
	Class Class
	// Where is the host as the operator knows it.
	Where   string
	Message string
	Remedy  string
	// Err is the cause, if there is one below.
	Err error
}

// Error says what failed and where; the remedy is shown apart from it.
func (e *Error) Error() string {
	if e.Where == "" {
		return e.Message
	}
	return e.Where + ": " + e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is match the class.
func (e *Error) Is(target error) bool {
	c, ok := target.(Class)
	return ok && c == e.Class
}

// failure makes an Error with the class's remedy; the format may wrap a cause with %w.
func failure(c Class, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Class: c, Message: err.Error(), Remedy: c.Info().Remedy, Err: errors.Unwrap(err)}
}

// remedy replaces the class's remedy with a more precise one.
func (e *Error) remedy(format string, args ...any) *Error {
	e.Remedy = fmt.Sprintf(format, args...)
	return e
}

// because adds what the host printed, if it printed something.
func (e *Error) because(output string) *Error {
	if output = strings.TrimSpace(output); output != "" {
		e.Message += ": " + output
	}
	return e
}
