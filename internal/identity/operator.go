package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"muster/internal/proof"
)

const (
	// OperatorTTL is how long an operator's certificate is valid if nothing else was said.
	OperatorTTL = 30 * 24 * time.Hour
	// MaxOperatorTTL is the longest that IssueOperator accepts.
	MaxOperatorTTL = 366 * 24 * time.Hour

	operatorPath = "/operator/"
)

// ErrNoOperators says that the CA has no intermediate for operators. It says what to do.
var ErrNoOperators = errors.New("this CA was made before there were operators' certificates: put " + rootKeyFile +
	" back into its directory and restart the coordinator, which then adds what is missing")

// IssueOperator makes the certificate of an operator: a URI with the name, the key of the request, for clients only. It
// answers as IssueHost does. What the operator may do is not in it: the store decides that on each call.
func (c *CA) IssueOperator(csr *CheckedCSR, name string, now time.Time, ttl time.Duration) (chainDER [][]byte, serial string, notAfter time.Time, err error) {
	fail := func(err error) ([][]byte, string, time.Time, error) {
		return nil, "", time.Time{}, fmt.Errorf("issuing an operator's certificate: %w", err)
	}
	if csr == nil || csr.public == nil {
		return fail(errors.New("the request was not checked"))
	}
	if err := CheckOperatorName(name); err != nil {
		return fail(err)
	}
	if ttl <= 0 || ttl > MaxOperatorTTL {
		return fail(fmt.Errorf("lifetime %v is not in 0 to %v", ttl, MaxOperatorTTL))
	}
	operators := c.at.Load().operators
	if operators.cert == nil {
		return fail(ErrNoOperators)
	}
	if now.After(operators.cert.NotAfter) {
		return fail(fmt.Errorf("the intermediate for operators expired at %s; put %s back and restart the coordinator",
			operators.cert.NotAfter.UTC().Format(time.RFC3339), rootKeyFile))
	}
	uri := &url.URL{Scheme: "muster", Host: c.cluster, Path: operatorPath + name}
	chain, leaf, err := operators.issueClient(csr.public, uri, ttl, now)
	if err != nil {
		return fail(err)
	}
	return chain, Serial(leaf), leaf.NotAfter, nil
}

// CheckOperatorName wants a DNS label, because the name is a part of a URI and stands in events.
func CheckOperatorName(name string) error {
	if err := checkLabel(name); err != nil {
		return fmt.Errorf("operator's name: %w", err)
	}
	return nil
}

// Client is who a client's certificate names: either a host or an operator.
type Client struct {
	Host     proof.HostID
	Operator string
}

// Client reads who is at the other end of a connection from a chain that TLS has verified against ClientPool, the
// client's certificate first. What kind of client it is decides the intermediate alone; the name must then be of that
// kind. So the key of the hosts' intermediate makes no operator, whatever it signs, and that of the operators' no host.
func (c *CA) Client(chain []*x509.Certificate) (Client, error) {
	if len(chain) != 3 {
		return Client{}, fmt.Errorf("a chain of %d certificates, want the client's, an intermediate and the root", len(chain))
	}
	if !c.at.Load().accepts(chain[1]) {
		return Client{}, ErrEnded
	}
	switch chain[1].Subject.CommonName {
	case forHosts.subject(c.cluster):
		id, err := proof.HostFromCertificate(chain[0], c.cluster)
		return Client{Host: id}, err
	case forOperators.subject(c.cluster):
		name, err := c.operatorFrom(chain[0])
		return Client{Operator: name}, err
	}
	return Client{}, fmt.Errorf("certificates by %.100q are for no client", chain[1].Subject.CommonName)
}

func (c *CA) operatorFrom(cert *x509.Certificate) (string, error) {
	uri, err := proof.SoleURI(cert)
	if err != nil {
		return "", fmt.Errorf("certificate names no operator: %w", err)
	}
	prefix := "muster://" + c.cluster + operatorPath
	name, ok := strings.CutPrefix(uri, prefix)
	if !ok || CheckOperatorName(name) != nil {
		return "", fmt.Errorf("certificate names no operator: %.100q is not %s<name>", uri, prefix)
	}
	return name, nil
}
