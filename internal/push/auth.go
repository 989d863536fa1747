package push

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Auth is what to log in with: the keys of the identity files first, then those of the SSH agent, then the password.
type Auth struct {
	signers  []ssh.Signer
	names    []string
	password Secret
}

// Keys describes the keys, in the order in which they are tried.
func (a *Auth) Keys() []string { return slices.Clone(a.names) }

func (a *Auth) add(s ssh.Signer, name string) {
	for _, have := range a.signers {
		if sameKey(have.PublicKey(), s.PublicKey()) {
			return
		}
	}
	a.signers = append(a.signers, s)
	a.names = append(a.names, name+" ("+ssh.FingerprintSHA256(s.PublicKey())+")")
}

func (a *Auth) empty() bool { return a == nil || len(a.signers) == 0 && len(a.password) == 0 }

func (a *Auth) describe() string {
	var what []string
	if len(a.names) > 0 {
		what = append(what, fmt.Sprintf("%d keys: %s", len(a.names), strings.Join(a.names[:min(len(a.names), 6)], ", ")))
	}
	if len(a.password) > 0 {
		what = append(what, "the password")
	}
	return strings.Join(what, ", and ")
}

// login is one attempt to log in.
type login struct {
	auth *Auth
	// offered is what the server takes, as it said last.
	offered []string
	// spent says that the password was sent; a wrong one is not sent again in another way, for servers count attempts.
	spent bool
}

func (l *login) methods() []ssh.AuthMethod {
	var all []ssh.AuthMethod
	if len(l.auth.signers) > 0 {
		all = append(all, ssh.PublicKeys(l.auth.signers...))
	}
	if len(l.auth.password) > 0 {
		all = append(all, ssh.KeyboardInteractive(l.answer), ssh.PasswordCallback(l.sayPassword))
	}
	return all
}

// watch notes what the server takes; it leaves the choice to the order of methods.
func (l *login) watch(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	l.offered = c.AllowedMethods
	return nil, nil
}

func (l *login) sayPassword() (string, error) {
	if l.spent {
		return "", fmt.Errorf("the password was refused")
	}
	l.spent = true
	return string(l.auth.password), nil
}

// answer serves keyboard-interactive, which most servers use to ask for the password. The password is given once, to one
// question that hides what is typed; a question for a code of some device is not answered.
func (l *login) answer(_, _ string, questions []string, echos []bool) ([]string, error) {
	if len(questions) == 0 {
		return nil, nil
	}
	if len(questions) > 1 || echos[0] || asksForCode(questions[0]) {
		return nil, fmt.Errorf("the host asks %q, which nobody can answer here", shorten(printable(questions[0])))
	}
	password, err := l.sayPassword()
	if err != nil {
		return nil, err
	}
	return []string{password}, nil
}

func asksForCode(question string) bool {
	question = strings.ToLower(question)
	return slices.ContainsFunc([]string{"code", "otp", "token", "one-time", "factor", "challenge"}, func(word string) bool {
		return strings.Contains(question, word)
	})
}

// refused explains a login that failed, when the host key was right.
func (l *login) refused(user string, err error) *Error {
	e := failure(AuthRefused, "the login of %s is refused with %s (%s)", user, l.auth.describe(), shorten(printable(err.Error())))
	takesPassword := slices.Contains(l.offered, "password") || slices.Contains(l.offered, "keyboard-interactive")
	switch {
	case l.spent:
		return e.remedy("Check the user name and the password, that the user may log in with it (PasswordAuthentication, PermitRootLogin), " +
			"or use a key: put it into the user's authorized_keys and name it with --identity.")
	case takesPassword && len(l.auth.password) == 0:
		return e.remedy("%s The host takes a password too: --ask-password.", e.Remedy)
	}
	return e
}
