package proof_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"

	"muster/internal/proof"
)

const (
	cluster = "demo"
	hostA   = proof.HostID("h-abcdefghijklm")
	uriA    = "muster://demo/host/h-abcdefghijklm"
)

func TestURIIsTheNameInTheCertificate(t *testing.T) {
	if got := proof.URI(cluster, hostA).String(); got != uriA {
		t.Errorf("got %s, want %s", got, uriA)
	}
	if id, err := proof.ParseURI(uriA, cluster); err != nil || id != hostA {
		t.Errorf("ParseURI: %q, %v", id, err)
	}
}

func TestHostFromCertificate(t *testing.T) {
	cert := certificate(t, func(c *x509.Certificate) { c.URIs = []*url.URL{proof.URI(cluster, hostA)} })
	if id, err := proof.HostFromCertificate(cert, cluster); err != nil || id != hostA {
		t.Errorf("got %q, %v", id, err)
	}
}

func TestHostFromCertificateRefuses(t *testing.T) {
	uri := func(s string) asn1.RawValue {
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(s)}
	}
	dns := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte("demo")}
	registered := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 8, Bytes: []byte{42, 3}} // a kind that Go drops
	for name, names := range map[string][]asn1.RawValue{
		"no name in the extension":       {},
		"two URIs":                       {uri(uriA), uri(uriA)},
		"a second URI of another scheme": {uri(uriA), uri("https://demo/")},
		"a DNS name beside the URI":      {uri(uriA), dns},
		"a name of a kind unknown to Go": {uri(uriA), registered},
		"only a DNS name":                {dns},
		"another cluster":                {uri("muster://other/host/h-abcdefghijklm")},
		"a cluster that begins the same": {uri("muster://demo2/host/h-abcdefghijklm")},
		"another scheme":                 {uri("https://demo/host/h-abcdefghijklm")},
		"an upper-case scheme":           {uri("MUSTER://demo/host/h-abcdefghijklm")},
		"an upper-case cluster":          {uri("muster://DEMO/host/h-abcdefghijklm")},
		"an operator's path":             {uri("muster://demo/operator/h-abcdefghijklm")},
		"a path below the host":          {uri(uriA + "/x")},
		"a slash at the end":             {uri(uriA + "/")},
		"two slashes":                    {uri("muster://demo//host/h-abcdefghijklm")},
		"dots in the path":               {uri("muster://demo/host/../host/h-abcdefghijklm")},
		"an escape":                      {uri("muster://demo/host/h%2dabcdefghijklm")},
		"a port":                         {uri("muster://demo:1/host/h-abcdefghijklm")},
		"a user":                         {uri("muster://root@demo/host/h-abcdefghijklm")},
		"a query":                        {uri(uriA + "?role=master")},
		"an empty query":                 {uri(uriA + "?")},
		"an empty fragment":              {uri(uriA + "#")},
		"no host ID":                     {uri("muster://demo/host/")},
		"a malformed host ID":            {uri("muster://demo/host/master-1")},
	} {
		t.Run(name, func(t *testing.T) {
			value, err := asn1.Marshal(names)
			if err != nil {
				t.Fatal(err)
			}
			cert := certificate(t, func(c *x509.Certificate) {
				c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}}
			})
			if id, err := proof.HostFromCertificate(cert, cluster); err == nil || id != "" {
				t.Errorf("got %q, %v", id, err)
			}
		})
	}
	t.Run("no certificate", func(t *testing.T) {
		if id, err := proof.HostFromCertificate(nil, cluster); err == nil || id != "" {
			t.Errorf("got %q, %v", id, err)
		}
	})
	t.Run("the URI as a common name", func(t *testing.T) {
		cert := certificate(t, func(c *x509.Certificate) { c.Subject.CommonName = uriA })
		if id, err := proof.HostFromCertificate(cert, cluster); err == nil || id != "" {
			t.Errorf("got %q, %v", id, err)
		}
	})
	t.Run("an address beside the URI", func(t *testing.T) {
		cert := certificate(t, func(c *x509.Certificate) {
			c.URIs = []*url.URL{proof.URI(cluster, hostA)}
			c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		})
		if id, err := proof.HostFromCertificate(cert, cluster); err == nil || id != "" {
			t.Errorf("got %q, %v", id, err)
		}
	})
	t.Run("an empty cluster name", func(t *testing.T) {
		cert := certificate(t, func(c *x509.Certificate) { c.URIs = []*url.URL{proof.URI(cluster, hostA)} })
		if id, err := proof.HostFromCertificate(cert, ""); err == nil || id != "" {
			t.Errorf("got %q, %v", id, err)
		}
	})
}

// FuzzHostURI holds ParseURI to one spelling: what it accepts is what URI prints.
func FuzzHostURI(f *testing.F) {
	for _, s := range []string{uriA, "", "muster://demo/host/", uriA + "?", "MUSTER://demo/host/h-abcdefghijklm", "muster://demo/host/h%2dabcdefghijklm"} {
		f.Add(s, cluster)
	}
	f.Add("muster:///host/h-abcdefghijklm", "")
	f.Add("muster://a/host/b/host/h-abcdefghijklm", "a/host/b")
	f.Fuzz(func(t *testing.T, uri, cluster string) {
		id, err := proof.ParseURI(uri, cluster)
		if err != nil {
			if id != "" {
				t.Fatalf("an error and the ID %q", id)
			}
			return
		}
		if cluster == "" || uri != "muster://"+cluster+"/host/"+string(id) {
			t.Fatalf("%q is accepted as host %q of %q", uri, id, cluster)
		}
		if _, err := proof.ParseHostID(string(id)); err != nil {
			t.Fatal(err)
		}
		if strings.Trim(cluster, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && proof.URI(cluster, id).String() != uri {
			t.Fatalf("URI prints %q for %q", proof.URI(cluster, id), uri)
		}
	})
}

// certificate makes a self-signed certificate; its names are the business of the test.
func certificate(t *testing.T, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	key, err := proof.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
