package push

import (
	"bytes"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// PassphrasePrompt asks for the passphrase of an identity file.
type PassphrasePrompt func(file string) ([]byte, error)

// passphraseTries is how often a passphrase may be mistyped.
const passphraseTries = 3

// Keyring makes Auths. It reads every identity file, asks for every passphrase and connects to every SSH agent once,
// whatever number of hosts use them. It may be used by several goroutines.
type Keyring struct {
	// ask may be nil: then there is nobody to ask.
	ask    PassphrasePrompt
	mu     sync.Mutex
	files  map[string]identity
	agents map[string]sshAgent
}

// NewKeyring returns an empty one.
func NewKeyring(ask PassphrasePrompt) *Keyring {
	return &Keyring{ask: ask, files: map[string]identity{}, agents: map[string]sshAgent{}}
}

type identity struct {
	signer ssh.Signer
	err    *Error
}

type sshAgent struct {
	conn net.Conn
	held []ssh.Signer
	err  *Error
}

// Origin says who named the identity files, and with that what is expected of them.
type Origin int

const (
	// Named by the operator for this push: they must exist and be usable.
	Named Origin = iota
	// Configured somewhere: passed over if they don't exist.
	Configured
	// Usual places: passed over if they don't exist, and not asked for if another key is at hand.
	Usual
)

// AuthSpec is what to log in with.
type AuthSpec struct {
	// IdentityFiles are private keys. A public key stands for the private one that the SSH agent holds.
	IdentityFiles []string
	Origin        Origin
	// CertificateFiles are OpenSSH certificates for keys of the identity files or the SSH agent. Those beside an identity
	// file, with "-cert.pub" after its name, are found without being named.
	CertificateFiles []string
	// AgentSocket is empty if no SSH agent is to be used.
	AgentSocket string
	// IdentitiesOnly leaves out the SSH agent's keys that no identity file stands for.
	IdentitiesOnly bool
	Password       Secret
}

// Auth gathers what the spec names. An encrypted key that the SSH agent holds too is used from there, without asking. If
// there is something else to log in with, an SSH agent that doesn't answer is passed over. The errors are of type *Error.
func (k *Keyring) Auth(spec AuthSpec) (*Auth, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := &Auth{password: spec.Password}
	var ssha sshAgent
	if spec.AgentSocket != "" {
		ssha = k.agent(spec.AgentSocket)
	}
	var signers []ssh.Signer
	var names []string
	for _, file := range spec.IdentityFiles {
		elseAtHand := len(ssha.held) > 0 || len(signers) > 0 || len(spec.Password) > 0
		signer, err := k.identity(file, ssha.held, spec.Origin != Usual || !elseAtHand)
		if err != nil {
			if spec.Origin != Named && errors.Is(err, fs.ErrNotExist) || errors.Is(err, errLocked) {
				continue
			}
			return nil, err
		}
		signers, names = append(signers, signer), append(names, file)
		if certified := loadCertificate(file+"-cert.pub", []ssh.Signer{signer}); certified != nil {
			a.add(certified, file+"-cert.pub")
		}
	}
	for _, file := range spec.CertificateFiles {
		if certified := loadCertificate(file, append(signers[:len(signers):len(signers)], ssha.held...)); certified != nil {
			a.add(certified, file)
		}
	}
	for i, signer := range signers {
		a.add(signer, names[i])
	}
	if !spec.IdentitiesOnly {
		for _, signer := range ssha.held {
			a.add(signer, "SSH agent")
		}
	}
	if !a.empty() {
		return a, nil
	}
	err := ssha.err
	if err == nil {
		err = failure(AuthRefused, "there is no key to log in with: no identity file is named and the SSH agent holds none")
	}
	return nil, err.remedy("Name a private key with --identity, load one with ssh-add, or use --ask-password.")
}

// Close ends the connections to SSH agents. No push may be using them.
func (k *Keyring) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []error
	for _, a := range k.agents {
		if a.conn != nil {
			all = append(all, a.conn.Close())
		}
	}
	clear(k.agents)
	return errors.Join(all...)
}

func (k *Keyring) agent(socket string) sshAgent {
	a, known := k.agents[socket]
	if !known {
		a = connectAgent(socket)
		k.agents[socket] = a
	}
	return a
}

func connectAgent(socket string) (a sshAgent) {
	const patience = 5 * time.Second
	conn, err := net.DialTimeout("unix", socket, patience)
	if err != nil {
		a.err = failure(AuthRefused, "the SSH agent doesn't answer: %w", err)
		return a
	}
	// Listing is immediate; signing may wait for a person to touch a token, and has the host's deadline.
	_ = conn.SetDeadline(time.Now().Add(patience))
	held, err := agent.NewClient(conn).Signers()
	if err != nil {
		_ = conn.Close() // the first error counts
		a.err = failure(AuthRefused, "the SSH agent at %s doesn't list its keys: %w", socket, err)
		return a
	}
	_ = conn.SetDeadline(time.Time{})
	return sshAgent{conn: conn, held: held}
}

// errLocked is a key that is encrypted and not worth a question.
var errLocked = errors.New("the key is encrypted")

// identity loads a file once. Whether a passphrase may be asked for is the only thing that differs between hosts.
func (k *Keyring) identity(file string, held []ssh.Signer, mayAsk bool) (ssh.Signer, error) {
	if known, ok := k.files[file]; ok {
		if known.err != nil {
			return nil, known.err
		}
		return known.signer, nil
	}
	signer, err := k.load(file, held, mayAsk)
	var e *Error
	switch {
	case err == nil:
		k.files[file] = identity{signer: signer}
	case errors.As(err, &e):
		k.files[file] = identity{err: e}
	}
	return signer, err
}

func (k *Keyring) load(file string, held []ssh.Signer, mayAsk bool) (ssh.Signer, error) {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failure(Invalid, "there is no identity file %s: %w", file, fs.ErrNotExist).
			remedy("Name an existing private key with --identity.")
	}
	if err != nil {
		return nil, failure(Invalid, "the identity file can't be read: %w", err).
			remedy("Let the user who runs the coordinator read the file.")
	}
	signer, err := ssh.ParsePrivateKey(content)
	var locked *ssh.PassphraseMissingError
	switch {
	case err == nil:
		return signer, nil
	case !errors.As(err, &locked):
		public, _, _, _, err2 := ssh.ParseAuthorizedKey(bytes.TrimSpace(content))
		if err2 != nil {
			return nil, failure(Invalid, "%s is no private key that can be used: %w", file, err).
				remedy("Use an ed25519, ECDSA or RSA key in a format of OpenSSH or PEM.")
		}
		if signer := find(held, public); signer != nil {
			return signer, nil
		}
		return nil, failure(Invalid, "%s is a public key, and the SSH agent doesn't hold the private one", file).
			remedy("Load the private key with ssh-add, or name it with --identity: %s.", strings.TrimSuffix(file, ".pub"))
	}
	if signer := find(held, publicHalf(locked.PublicKey, file)); signer != nil {
		return signer, nil
	}
	if !mayAsk {
		return nil, errLocked
	}
	return k.unlock(file, content)
}

func (k *Keyring) unlock(file string, content []byte) (ssh.Signer, error) {
	if k.ask == nil {
		return nil, failure(Invalid, "%s is encrypted, and there is nobody to ask for its passphrase", file).
			remedy("Load the key with ssh-add and let SSH_AUTH_SOCK reach the coordinator, or run it on a terminal.")
	}
	for try := 1; ; try++ {
		passphrase, err := k.ask(file)
		if err != nil {
			return nil, failure(Invalid, "no passphrase for %s: %w", file, err).
				remedy("Load the key with ssh-add, or enter its passphrase.")
		}
		signer, err := ssh.ParsePrivateKeyWithPassphrase(content, passphrase)
		clear(passphrase)
		if err == nil {
			return signer, nil
		}
		if try == passphraseTries {
			return nil, failure(Invalid, "%s can't be decrypted with this passphrase: %w", file, err).
				remedy("Enter the right passphrase, or load the key with ssh-add.")
		}
	}
}

// publicHalf is what the key's file or the one beside it shows of an encrypted key; nil if neither does.
func publicHalf(public ssh.PublicKey, file string) ssh.PublicKey {
	if public != nil {
		return public
	}
	content, err := os.ReadFile(file + ".pub")
	if err != nil {
		return nil
	}
	public, _, _, _, err = ssh.ParseAuthorizedKey(content)
	if err != nil {
		return nil
	}
	return public
}

func find(signers []ssh.Signer, public ssh.PublicKey) ssh.Signer {
	if public == nil {
		return nil
	}
	for _, s := range signers {
		if sameKey(s.PublicKey(), public) {
			return s
		}
	}
	return nil
}

// loadCertificate returns that of the keys which the certificate is for, with the certificate, or nil. A certificate that
// doesn't fit is passed over as ssh does: the key alone may still be accepted.
func loadCertificate(file string, signers []ssh.Signer) ssh.Signer {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(content)
	if err != nil {
		return nil
	}
	certificate, ok := public.(*ssh.Certificate)
	if !ok {
		return nil
	}
	signer := find(signers, certificate.Key)
	if signer == nil {
		return nil
	}
	certified, err := ssh.NewCertSigner(certificate, signer)
	if err != nil {
		return nil
	}
	return certified
}
