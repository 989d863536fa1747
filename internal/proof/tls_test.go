package proof_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"muster/internal/proof"
)

func TestClientTLSTrustsTheOneCertificate(t *testing.T) {
	root, other := rootPEM(t), rootPEM(t)
	config, err := proof.ClientTLS(root, nil, "10.0.0.1", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if config.MinVersion != tls.VersionTLS13 || config.InsecureSkipVerify || config.ServerName != "10.0.0.1" {
		t.Errorf("min version %x, skips verification %v, expects %q", config.MinVersion, config.InsecureSkipVerify, config.ServerName)
	}
	pool := func(text []byte) *x509.CertPool {
		p := x509.NewCertPool()
		p.AppendCertsFromPEM(text)
		return p
	}
	if !config.RootCAs.Equal(pool(root)) || config.RootCAs.Equal(pool(other)) {
		t.Error("it trusts something else than the one certificate")
	}
}

func TestTheHostsClockCountsWithinTheLifeOfTheCA(t *testing.T) {
	text := rootPEM(t)
	root, err := proof.ParseRoot(text)
	if err != nil {
		t.Fatal(err)
	}
	for clock, want := range map[time.Time]time.Time{
		{}:                               root.NotBefore,
		root.NotBefore.Add(-time.Second): root.NotBefore,
		root.NotBefore.AddDate(3, 0, 0):  root.NotBefore.AddDate(3, 0, 0),
		root.NotAfter:                    root.NotAfter,
		root.NotAfter.Add(time.Second):   root.NotAfter,
	} {
		config, err := proof.ClientTLS(text, nil, "c", func() time.Time { return clock })
		if err != nil {
			t.Fatal(err)
		}
		if got := config.Time(); !got.Equal(want) {
			t.Errorf("at %v it is %v, want %v", clock, got, want)
		}
	}
}

func TestClientTLSAcceptsWhiteSpaceAroundTheCertificate(t *testing.T) {
	if _, err := proof.ClientTLS(append([]byte("\r\n "), append(rootPEM(t), "\n\n"...)...), nil, "c", time.Now); err != nil {
		t.Error(err)
	}
}

func TestClientTLSRefuses(t *testing.T) {
	root := rootPEM(t)
	leaf := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate(t, func(*x509.Certificate) {}).Raw})
	block, _ := pem.Decode(root)
	forged := bytes.Clone(block.Bytes)
	forged[len(forged)-1] ^= 1
	for name, text := range map[string][]byte{
		"no certificate":                        nil,
		"white space":                           []byte("\n\n"),
		"something that is not PEM":             []byte("trust me"),
		"DER":                                   block.Bytes,
		"half a certificate":                    root[:len(root)/2],
		"two certificates":                      append(bytes.Clone(root), rootPEM(t)...),
		"the same certificate twice":            append(bytes.Clone(root), root...),
		"the certificate among other text":      append([]byte("# CA\n"), root...),
		"text after the certificate":            append(bytes.Clone(root), "x"...),
		"a damaged certificate before a good":   append([]byte("-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n"), root...),
		"a certificate that is not of a CA":     leaf,
		"a key instead":                         bytes.ReplaceAll(root, []byte("CERTIFICATE"), []byte("PRIVATE KEY")),
		"a certificate with a forged signature": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: forged}),
		"bytes after the certificate inside":    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: append(bytes.Clone(block.Bytes), 0)}),
	} {
		t.Run(name, func(t *testing.T) {
			if config, err := proof.ClientTLS(text, nil, "coordinator", time.Now); err == nil || config != nil {
				t.Errorf("accepted, error %v", err)
			}
		})
	}
	t.Run("no name to expect", func(t *testing.T) {
		if config, err := proof.ClientTLS(root, nil, "", time.Now); err == nil || config != nil {
			t.Errorf("accepted, error %v", err)
		}
	})
}

func rootPEM(t *testing.T) []byte {
	t.Helper()
	cert := certificate(t, func(c *x509.Certificate) {
		c.Subject.CommonName = "root"
		c.NotBefore = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		c.NotAfter = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
		c.IsCA, c.BasicConstraintsValid = true, true
		c.KeyUsage = x509.KeyUsageCertSign
	})
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}
