package push

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// hostKeys is what is known of the hosts' keys.
type hostKeys struct {
	check ssh.HostKeyCallback
	// origin maps the file names that package knownhosts saw to the operator's.
	origin map[string]string
	// authorities are the lines that hold a certificate authority's key and not a host's.
	authorities map[line]bool
	// recordTo is the file that new keys are appended to; empty if they are not accepted.
	recordTo string

	mu sync.Mutex
	// recorded are the keys accepted by this push, by normalised address.
	recorded map[string]ssh.PublicKey
}

type line struct {
	file   string
	number int
}

// loadHostKeys reads the known hosts files. Package knownhosts refuses a whole file for one key type that it doesn't
// know; so it is given copies in which these lines are empty.
func loadHostKeys(files []string, acceptNew bool) (*hostKeys, error) {
	k := &hostKeys{
		origin:      map[string]string{},
		authorities: map[line]bool{},
		recorded:    map[string]ssh.PublicKey{},
	}
	if acceptNew {
		if len(files) == 0 {
			return nil, errors.New("new host keys can't be accepted without a known hosts file to record them in")
		}
		k.recordTo = files[0]
	}
	dir, err := os.MkdirTemp("", "muster-known-hosts-")
	if err != nil {
		return nil, fmt.Errorf("known hosts: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // public keys only
	var copies []string
	for i, file := range files {
		content, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("known hosts: %w", err)
		}
		name := filepath.Join(dir, strconv.Itoa(i))
		if err := os.WriteFile(name, k.understood(name, content), 0o600); err != nil {
			return nil, fmt.Errorf("known hosts: %w", err)
		}
		k.origin[name] = file
		copies = append(copies, name)
	}
	if k.check, err = knownhosts.New(copies...); err != nil {
		message := err.Error()
		for name, file := range k.origin {
			message = strings.ReplaceAll(message, name+":", file+":")
		}
		return nil, errors.New(message)
	}
	return k, nil
}

// understood empties the lines whose key can't be read, and notes the certificate authorities. Line numbers stay. A
// revocation is never dropped: one that can't be read is an error.
func (k *hostKeys) understood(name string, content []byte) []byte {
	lines := bytes.Split(content, []byte("\n"))
	for i := range lines {
		lines[i] = bytes.TrimSpace(lines[i])
		if len(lines[i]) == 0 || bytes.HasPrefix(lines[i], []byte("@revoked")) {
			continue
		}
		marker, _, _, _, _, err := ssh.ParseKnownHosts(lines[i])
		switch {
		case err != nil:
			lines[i] = nil
		case marker == "cert-authority":
			k.authorities[line{name, i + 1}] = true
		}
	}
	return bytes.Join(lines, []byte("\n"))
}

// hostKeyCheck is the check of one host.
type hostKeyCheck struct {
	keys *hostKeys
	// address is host:port, the name under which the host is looked up.
	address string
	// algorithms restricts what the host may offer to what can be verified, so that a host known by one key isn't taken
	// for another because it prefers a different one of its keys.
	algorithms []string
	known      []knownhosts.KnownKey

	// The outcome: err if the key was refused, accepted if it is trusted from now on.
	checked  bool
	err      *Error
	accepted string
}

// checkOf prepares the check of a server, which may be known by another name than its address.
func (k *hostKeys) checkOf(s Server) *hostKeyCheck {
	address, otherName := s.address(), s.Name
	if s.HostKeyAlias != "" {
		address, otherName = net.JoinHostPort(s.HostKeyAlias, "22"), ""
	}
	c := &hostKeyCheck{keys: k, address: strings.ToLower(address)}
	authority := false
	c.known, authority = k.lookUp(c.address)
	if len(c.known) == 0 && !authority && otherName != "" {
		_, port, _ := net.SplitHostPort(address)
		other := strings.ToLower(net.JoinHostPort(otherName, port))
		if known, byAuthority := k.lookUp(other); len(known) > 0 || byAuthority {
			c.address, c.known, authority = other, known, byAuthority
		}
	}
	if authority {
		c.algorithms = append(c.algorithms,
			ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
			ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01)
	}
	for _, known := range c.known {
		names := []string{known.Key.Type()}
		if names[0] == ssh.KeyAlgoRSA {
			names = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
		}
		for _, name := range names {
			if !slices.Contains(c.algorithms, name) {
				c.algorithms = append(c.algorithms, name)
			}
		}
	}
	if len(c.known) == 0 && (!authority || k.recordTo != "") {
		// The host is new, and plain keys are all that can be recorded. Behind an authority's they come last.
		c.algorithms = append(c.algorithms, ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384,
			ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
	}
	return c
}

// lookUp returns the known keys of an address, and whether a certificate authority speaks for it. Package knownhosts
// tells them when it is asked about a key that nobody has.
func (k *hostKeys) lookUp(address string) (known []knownhosts.KnownKey, authority bool) {
	nobodys, err := ssh.NewPublicKey(make(ed25519.PublicKey, ed25519.PublicKeySize))
	if err != nil {
		return nil, false
	}
	var keyErr *knownhosts.KeyError
	if !errors.As(k.check(address, noAddress{}, nobodys), &keyErr) {
		return nil, false
	}
	for _, w := range keyErr.Want {
		if k.authorities[line{w.Filename, w.Line}] {
			authority = true
			continue
		}
		w.Filename = k.origin[w.Filename]
		known = append(known, w)
	}
	return known, authority
}

// noAddress stands for the remote address: hosts are known by what the operator calls them.
type noAddress struct{}

func (noAddress) Network() string { return "tcp" }
func (noAddress) String() string  { return "0.0.0.0:0" }

// verify is called with the key that the host has proven to own, before anything else is sent to it.
func (c *hostKeyCheck) verify(_ string, _ net.Addr, key ssh.PublicKey) error {
	c.checked = true
	if c.err = c.decide(key); c.err != nil {
		return c.err
	}
	return nil
}

func (c *hostKeyCheck) decide(key ssh.PublicKey) *Error {
	err := c.keys.check(c.address, noAddress{}, key)
	var revoked *knownhosts.RevokedError
	var keyErr *knownhosts.KeyError
	_, certificate := key.(*ssh.Certificate)
	offered := key.Type() + " " + ssh.FingerprintSHA256(key)
	switch {
	case errors.As(err, &revoked):
		return failure(HostKeyRevoked, "its key %s is revoked by %s line %d", offered,
			c.keys.origin[revoked.Revoked.Filename], revoked.Revoked.Line)
	case certificate && err != nil:
		return failure(HostKeyChanged, "its host certificate is not valid: %w", err).
			remedy("Check the certificate's names and dates with ssh-keygen -L on the host, and the @cert-authority line.")
	case certificate:
		return nil
	case slices.ContainsFunc(c.known, func(k knownhosts.KnownKey) bool { return sameKey(k.Key, key) }):
		return nil
	case len(c.known) > 0:
		return c.changed("the host offers " + offered)
	case err == nil || errors.As(err, &keyErr):
		return c.unknown(key, offered)
	}
	return failure(HostKeyUnknown, "its key %s can't be checked: %w", offered, err)
}

func (c *hostKeyCheck) changed(found string) *Error {
	var lines []string
	for _, k := range c.known {
		lines = append(lines, fmt.Sprintf("%s line %d has %s %s", k.Filename, k.Line, k.Key.Type(), ssh.FingerprintSHA256(k.Key)))
	}
	e := failure(HostKeyChanged, "the host key is not the known one: %s, but %s", found, strings.Join(lines, " and "))
	return e.remedy("%s ssh-keygen -R '%s' -f '%s' removes the line.", HostKeyChanged.Info().Remedy,
		knownhosts.Normalize(c.address), c.known[0].Filename)
}

// notOffered explains a negotiation that failed because the host has no key of a known type.
func (c *hostKeyCheck) notOffered(has []string) *Error {
	if len(c.known) == 0 {
		return failure(HostKeyUnknown, "nothing is known of its key, and the host only offers %s", printable(strings.Join(has, ", ")))
	}
	return c.changed("the host only offers " + printable(strings.Join(has, ", ")))
}

func (c *hostKeyCheck) unknown(key ssh.PublicKey, offered string) *Error {
	name := knownhosts.Normalize(c.address)
	k := c.keys
	if k.recordTo == "" {
		host, port, _ := net.SplitHostPort(c.address)
		return failure(HostKeyUnknown, "nothing is known of its key %s", offered).
			remedy("Compare this fingerprint with that of /etc/ssh/ssh_host_*_key.pub on the host's console (ssh-keygen -lf), "+
				"then: ssh-keyscan -p %s %s >> the known hosts file; or use --accept-new-host-keys to trust it now and record it.", port, host)
	}
	// Held while writing: two pushes to one address must not both find it new.
	k.mu.Lock()
	defer k.mu.Unlock()
	if before, ok := k.recorded[name]; ok {
		if sameKey(before, key) {
			return nil
		}
		return failure(HostKeyChanged, "the host offers %s, but a moment ago its key was %s, which was accepted as new",
			offered, ssh.FingerprintSHA256(before))
	}
	if err := appendLine(k.recordTo, knownhosts.Line([]string{c.address}, key)); err != nil {
		return failure(HostKeyUnknown, "its new key %s can't be recorded: %w", offered, err).
			remedy("Make the file writable, or name another one first.")
	}
	k.recorded[name] = key
	c.accepted = offered
	return nil
}

// appendLine adds a line with one write, so that other programs that append at the same time don't mix in.
func appendLine(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			text = "\n" + text
		}
	}
	_, err = f.WriteString(text + "\n")
	return errors.Join(err, f.Close())
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }
