package push

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Auth is the keys to log in with: those of the identity files first, then those of the SSH agent.
type Auth struct {
	signers []ssh.Signer
	names   []string
	agent   net.Conn
}

// PassphrasePrompt asks for the passphrase of an identity file. It is called once for each key that needs it.
type PassphrasePrompt func(file string) ([]byte, error)

// LoadAuth reads the identity files and lists the keys of the SSH agent behind agentSocket; either may be absent.
// An encrypted key that the SSH agent holds too is used from there, without asking. If there are identity files, an
// SSH agent that doesn't answer is passed over. The errors are of type *Error.
func LoadAuth(identityFiles []string, agentSocket string, ask PassphrasePrompt) (*Auth, error) {
	a := &Auth{}
	var held []ssh.Signer
	var agentErr *Error
	if agentSocket != "" {
		held, agentErr = a.connectAgent(agentSocket)
	}
	for _, file := range identityFiles {
		signer, err := loadIdentity(file, held, ask)
		if err != nil {
			_ = a.Close() // the first error counts
			return nil, err
		}
		if certified := loadCertificate(file, signer); certified != nil {
			a.add(certified, file+"-cert.pub")
		}
		a.add(signer, file)
	}
	for _, signer := range held {
		a.add(signer, "SSH agent")
	}
	if len(a.signers) > 0 {
		return a, nil
	}
	if agentErr == nil {
		agentErr = failure(AuthRefused, "there is no key to log in with: no identity file is named and the SSH agent holds none")
	}
	_ = a.Close() // the first error counts
	return nil, agentErr.remedy("Name a private key with --identity, or load one with ssh-add.")
}

// Keys describes the keys, in the order in which they are tried.
func (a *Auth) Keys() []string { return slices.Clone(a.names) }

// Close ends the connection to the SSH agent. No push may be using it.
func (a *Auth) Close() error {
	if a.agent == nil {
		return nil
	}
	conn := a.agent
	a.agent = nil
	return conn.Close()
}

func (a *Auth) add(s ssh.Signer, name string) {
	for _, have := range a.signers {
		if sameKey(have.PublicKey(), s.PublicKey()) {
			return
		}
	}
	a.signers = append(a.signers, s)
	a.names = append(a.names, name+" ("+ssh.FingerprintSHA256(s.PublicKey())+")")
}

func (a *Auth) connectAgent(socket string) ([]ssh.Signer, *Error) {
	const patience = 5 * time.Second
	conn, err := net.DialTimeout("unix", socket, patience)
	if err != nil {
		return nil, failure(AuthRefused, "the SSH agent doesn't answer: %w", err)
	}
	// Listing is immediate; signing may wait for a person to touch a token, and has the host's deadline.
	_ = conn.SetDeadline(time.Now().Add(patience))
	held, err := agent.NewClient(conn).Signers()
	if err != nil {
		_ = conn.Close() // the first error counts
		return nil, failure(AuthRefused, "the SSH agent at %s doesn't list its keys: %w", socket, err)
	}
	_ = conn.SetDeadline(time.Time{})
	a.agent = conn
	return held, nil
}

func loadIdentity(file string, held []ssh.Signer, ask PassphrasePrompt) (ssh.Signer, error) {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failure(Invalid, "there is no identity file %s", file).
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
		if looksPublic(content) {
			return nil, failure(Invalid, "%s is a public key", file).
				remedy("Name the private key with --identity: %s.", strings.TrimSuffix(file, ".pub"))
		}
		return nil, failure(Invalid, "%s is no private key that can be used: %w", file, err).
			remedy("Use an ed25519, ECDSA or RSA key in a format of OpenSSH or PEM.")
	}
	if signer := heldKey(locked.PublicKey, file, held); signer != nil {
		return signer, nil
	}
	if ask == nil {
		return nil, failure(Invalid, "%s is encrypted, and there is nobody to ask for its passphrase", file).
			remedy("Load the key with ssh-add and let SSH_AUTH_SOCK reach the coordinator, or run it on a terminal.")
	}
	passphrase, err := ask(file)
	if err != nil {
		return nil, failure(Invalid, "no passphrase for %s: %w", file, err).
			remedy("Load the key with ssh-add, or enter its passphrase.")
	}
	defer clear(passphrase)
	signer, err = ssh.ParsePrivateKeyWithPassphrase(content, passphrase)
	if err != nil {
		return nil, failure(Invalid, "%s can't be decrypted with this passphrase: %w", file, err).
			remedy("Enter the right passphrase, or load the key with ssh-add.")
	}
	return signer, nil
}

// heldKey finds an encrypted key in the SSH agent by its public half, which the key's file or the one beside it shows.
func heldKey(public ssh.PublicKey, file string, held []ssh.Signer) ssh.Signer {
	if public == nil {
		content, err := os.ReadFile(file + ".pub")
		if err != nil {
			return nil
		}
		if public, _, _, _, err = ssh.ParseAuthorizedKey(content); err != nil {
			return nil
		}
	}
	for _, s := range held {
		if sameKey(s.PublicKey(), public) {
			return s
		}
	}
	return nil
}

// loadCertificate returns the key with the certificate that OpenSSH keeps beside it, or nil. A certificate that doesn't
// fit is passed over as ssh does: the key alone may still be accepted.
func loadCertificate(file string, signer ssh.Signer) ssh.Signer {
	content, err := os.ReadFile(file + "-cert.pub")
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
	certified, err := ssh.NewCertSigner(certificate, signer)
	if err != nil {
		return nil
	}
	return certified
}

func looksPublic(content []byte) bool {
	_, _, _, _, err := ssh.ParseAuthorizedKey(bytes.TrimSpace(content))
	return err == nil
}

// methods are what the login tries.
func (a *Auth) methods() []ssh.AuthMethod {
	return []ssh.AuthMethod{ssh.PublicKeys(a.signers...)}
}

func (a *Auth) describe() string {
	return fmt.Sprintf("%d keys: %s", len(a.names), strings.Join(a.names[:min(len(a.names), 6)], ", "))
}
