package proof

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

const (
	uriScheme = "muster"
	hostPath  = "/host/"
)

// URI is a host's name in its certificate: muster://<cluster>/host/<id>. The cluster is a DNS label, the ID one that
// NewHostID or ParseHostID returned.
func URI(cluster string, id HostID) *url.URL {
	return &url.URL{Scheme: uriScheme, Host: cluster, Path: hostPath + string(id)}
}

// ParseURI returns the host that uri names in this cluster. It compares bytes, so no escape, letter case, port, user,
// query or fragment can make a second spelling of a name.
func ParseURI(uri, cluster string) (HostID, error) {
	prefix := uriScheme + "://" + cluster + hostPath
	rest, ok := strings.CutPrefix(uri, prefix)
	if !ok || cluster == "" {
		return "", fmt.Errorf("%.100q does not name a host of cluster %q: want %s<host ID>", uri, cluster, prefix)
	}
	return ParseHostID(rest)
}

// RFC 5280, 4.2.1.6.
var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

const generalNameURI = 6

// HostFromCertificate returns the host that a certificate was issued to. The caller has verified the certificate
// already; this reads its name. The certificate must carry one subject alternative name and nothing beside it: the URI
// of a host of this cluster.
func HostFromCertificate(cert *x509.Certificate, cluster string) (HostID, error) {
	uri, err := SoleURI(cert)
	if err != nil {
		return "", fmt.Errorf("certificate names no host: %w", err)
	}
	id, err := ParseURI(uri, cluster)
	if err != nil {
		return "", fmt.Errorf("certificate names no host: %w", err)
	}
	return id, nil
}

// SoleURI is the URI that is the one subject alternative name of a certificate, byte for byte; any other name is an error.
func SoleURI(cert *x509.Certificate) (string, error) {
	if cert == nil {
		return "", errors.New("no certificate")
	}
	// cert.URIs holds parsed URLs, which have lost letter case and empty parts, and drops kinds of names that Go does
	// not know: the extension itself is what the CA signed.
	var names []asn1.RawValue
	found := 0
	for _, ext := range cert.Extensions {
		if !ext.Id.Equal(subjectAltName) {
			continue
		}
		found++
		if rest, err := asn1.Unmarshal(ext.Value, &names); err != nil || len(rest) > 0 {
			return "", errors.New("its subject alternative names are malformed")
		}
	}
	if found != 1 || len(names) != 1 {
		return "", fmt.Errorf("want one subject alternative name, got %d", len(names))
	}
	if n := names[0]; n.Class != asn1.ClassContextSpecific || n.Tag != generalNameURI || n.IsCompound {
		return "", errors.New("its subject alternative name is not a URI")
	}
	return string(names[0].Bytes), nil
}
