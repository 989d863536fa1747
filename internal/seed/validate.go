package seed

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"muster/internal/manifest"
	"muster/internal/sign"
)

// What a seed may have at most; far above what anybody needs, far below what would hurt.
const (
	maxList   = 32
	maxLabels = 64
	maxText   = 255
)

func (s *Seed) validate() error {
	if s.Format != Format {
		return fmt.Errorf("seed: format %d, this program reads %d; use the bootstrap agent that the seed names", s.Format, Format)
	}
	checks := []struct {
		field string
		err   error
	}{
		{"cluster", validCluster(s.Cluster)},
		{"coordinators", each(s.Coordinators, validHostPort)},
		{"ca", validCA(s.CA)},
		{"token", validRight(s.Token, s.AWSPolicy)},
		{"agents", validAgents(s.Agents)},
		{"sources", each(s.Sources, ValidSource)},
		{"address", validDetection(s.Address)},
		{"labels", validLabels(s.Labels)},
		{"signing", validSigning(s.Signing)},
	}
	for _, c := range checks {
		if c.err != nil {
			return fmt.Errorf("seed: %s: %w", c.field, c.err)
		}
	}
	return nil
}

func validCluster(name string) error {
	if !manifest.IsLabel(name) {
		return fmt.Errorf("%.80q is not a DNS label", name)
	}
	return nil
}

func each(list []string, valid func(string) error) error {
	if len(list) == 0 || len(list) > maxList {
		return fmt.Errorf("%d entries, wanted are 1 to %d", len(list), maxList)
	}
	for _, entry := range list {
		if err := valid(entry); err != nil {
			return fmt.Errorf("%.80q: %w", entry, err)
		}
	}
	return nil
}

func validHostPort(s string) error {
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 {
		return errors.New("not host:port")
	}
	host, port := s[:colon], s[colon+1:]
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return errors.New("the port is not a number from 1 to 65535")
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		if a, err := netip.ParseAddr(inner); !closed || err != nil || !a.Is6() || a.Zone() != "" {
			return errors.New("not an IPv6 address in brackets")
		}
		return nil
	}
	return validHost(host)
}

func validHost(host string) error {
	if host == "" || len(host) > 253 {
		return errors.New("not a host name or address")
	}
	for label := range strings.SplitSeq(strings.ToLower(host), ".") {
		if !manifest.IsLabel(label) {
			return errors.New("not a host name or address")
		}
	}
	return nil
}

// ValidSource says what is wrong with the base URL of a source. Only what needs no quoting in a shell script passes.
func ValidSource(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || len(s) > maxText:
		return errors.New("not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("neither http:// nor https://")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(s, "?#"):
		return errors.New("user names, queries and fragments have no place in a source's URL")
	case strings.Trim(u.Path, urlPath) != "":
		return errors.New("its path has characters other than letters, digits, . _ ~ - and /")
	case strings.HasSuffix(s, "/"):
		return errors.New("it ends in a slash")
	}
	host := u.Host
	if u.Port() == "" {
		host += ":80"
	}
	return validHostPort(host)
}

const urlPath = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-/"

// validCA wants exactly one certificate of a CA and nothing around it: a host that trusted a whole bundle because one
// of its certificates is right could be sent anywhere.
func validCA(text string) error {
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil || !strings.HasPrefix(text, "-----BEGIN CERTIFICATE-----\n"):
		return errors.New("not a certificate in PEM")
	case block.Type != "CERTIFICATE" || len(block.Headers) != 0 || len(rest) != 0:
		return errors.New("more than one certificate, or something else beside it")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	if !c.BasicConstraintsValid || !c.IsCA {
		return errors.New("the certificate is not one of a CA")
	}
	return nil
}

const (
	base32Digits = "abcdefghijklmnopqrstuvwxyz234567"
	base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)

// validToken checks the shape mt1.<12 base32>.<43 base64url>, so that a token cut off when it was pasted is noticed
// here and not as a refusal. The message must not repeat it.
func validToken(t Token) error {
	rest, ok := strings.CutPrefix(string(t), "mt1.")
	id, secret, dot := strings.Cut(rest, ".")
	if !ok || !dot || len(id) != 12 || strings.Trim(id, base32Digits) != "" ||
		len(secret) != 43 || strings.Trim(secret, base64Digits) != "" {
		return errors.New("not a join token; it begins with mt1. and has 60 characters")
	}
	return nil
}

// validRight wants one way to join.
func validRight(t Token, policy string) error {
	switch {
	case policy == "":
		return validToken(t)
	case t != "":
		return errors.New("there is an AWS policy beside it; a host joins by one of them")
	case !manifest.IsLabel(policy):
		return fmt.Errorf("the AWS policy %.80q is not a DNS label", policy)
	}
	return nil
}

func validAgents(agents map[manifest.Arch]Agent) error {
	for arch, a := range agents {
		if !arch.Valid() || !a.Digest.Valid() || a.Size <= 0 {
			return fmt.Errorf("for %.20q: not a digest with a size", arch)
		}
	}
	return nil
}

func validDetection(d manifest.Detection) error {
	if d.CIDR != "" && d.Interface != "" {
		return errors.New("both a CIDR and an interface")
	}
	if d.CIDR != "" {
		if p, err := netip.ParsePrefix(d.CIDR); err != nil || p.Masked() != p {
			return fmt.Errorf("%.80q is not a CIDR", d.CIDR)
		}
	}
	// The kernel's own limit and rule for names of interfaces, and nothing that a terminal would act on.
	if len(d.Interface) > 15 || strings.ContainsFunc(d.Interface, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' }) {
		return fmt.Errorf("%.80q is not the name of an interface", d.Interface)
	}
	return nil
}

func validSigning(s *manifest.Signing) error {
	if s == nil {
		return nil
	}
	_, err := sign.Keys(*s)
	return err
}

func validLabels(labels map[string]string) error {
	if len(labels) > maxLabels {
		return fmt.Errorf("%d labels, more than %d", len(labels), maxLabels)
	}
	for key, value := range labels {
		if key == "" || len(key) > 63 || len(value) > maxText || !printable(key) || !printable(value) {
			return fmt.Errorf("%.80q=%.80q: a label has 1 to 63 characters and its value up to %d, all printable ASCII", key, value, maxText)
		}
	}
	return nil
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}
