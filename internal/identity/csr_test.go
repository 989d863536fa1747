package identity_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"muster/internal/identity"
	"muster/internal/proof"
)

// What a request asks for beside its key is in no certificate.
func TestNothingButTheKeyComesFromARequest(t *testing.T) {
	ca, _ := newCA(t, start)
	foreign, err := url.Parse("muster://demo/host/h-zzzzzzzzzzzzz")
	if err != nil {
		t.Fatal(err)
	}
	isCA, err := asn1.Marshal(struct {
		CA bool
	}{true})
	if err != nil {
		t.Fatal(err)
	}
	for name, template := range map[string]x509.CertificateRequest{
		"CA:TRUE":                {ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: isCA}}},
		"another host's URI":     {URIs: []*url.URL{foreign}},
		"DNS name and addresses": {DNSNames: []string{"coordinator"}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)}, EmailAddresses: []string{"root@demo"}},
		"O=admin":                {Subject: pkix.Name{CommonName: "master-1", Organization: []string{"admin", "system:masters"}}},
		"server authentication": {ExtraExtensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: []byte{0x30, 0x0a, 0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 3, 1}}}},
		"an unknown critical extension": {ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte("role=master")}}},
	} {
		t.Run(name, func(t *testing.T) {
			key := newKey(t)
			csr, err := identity.CheckCSR(request(t, &template, key))
			if err != nil {
				t.Fatal(err)
			}
			got := issue(t, ca, csr)
			plain := issue(t, ca, newCSR(t, key))
			if got.IsCA || got.Subject.String() != "" || len(got.DNSNames)+len(got.IPAddresses)+len(got.EmailAddresses) > 0 {
				t.Errorf("CA %v, subject %q, names %v", got.IsCA, got.Subject, got.DNSNames)
			}
			if id, err := proof.HostFromCertificate(got, cluster); err != nil || id != hostA {
				t.Errorf("host %q, %v", id, err)
			}
			if len(got.Extensions) != len(plain.Extensions) {
				t.Fatalf("%d extensions, %d after an empty request", len(got.Extensions), len(plain.Extensions))
			}
			for i, ext := range got.Extensions {
				if want := plain.Extensions[i]; !ext.Id.Equal(want.Id) || ext.Critical != want.Critical || !bytes.Equal(ext.Value, want.Value) {
					t.Errorf("extension %v differs from that after an empty request", ext.Id)
				}
			}
		})
	}
}

func TestCheckCSRAcceptsP256(t *testing.T) {
	ca, _ := newCA(t, start)
	for name, c := range map[string]struct {
		key       crypto.Signer
		algorithm x509.SignatureAlgorithm
	}{
		"P-256":              {newKey(t), 0},
		"P-256 with SHA-384": {newKey(t), x509.ECDSAWithSHA384},
	} {
		t.Run(name, func(t *testing.T) {
			der := request(t, &x509.CertificateRequest{SignatureAlgorithm: c.algorithm}, c.key)
			csr, err := identity.CheckCSR(der)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(csr.DER(), der) {
				t.Error("DER is not what was checked")
			}
			spki, err := x509.MarshalPKIXPublicKey(c.key.Public())
			if err != nil {
				t.Fatal(err)
			}
			if csr.KeyID() != sha256.Sum256(spki) {
				t.Error("KeyID is not of the key")
			}
			issued, err := x509.MarshalPKIXPublicKey(issue(t, ca, csr).PublicKey)
			if err != nil || !bytes.Equal(issued, spki) {
				t.Errorf("the certificate has another key, %v", err)
			}
		})
	}
}

func TestKeyIDIsOfTheKeyAndNotOfTheRequest(t *testing.T) {
	key := newKey(t)
	one, again, other := newCSR(t, key), newCSR(t, key), newCSR(t, newKey(t))
	if bytes.Equal(one.DER(), again.DER()) || one.KeyID() != again.KeyID() {
		t.Error("two requests with one key differ")
	}
	if one.KeyID() == other.KeyID() {
		t.Error("two keys are the same")
	}
}

func TestCheckCSRRefuses(t *testing.T) {
	good := request(t, &x509.CertificateRequest{}, newKey(t))
	forged := bytes.Clone(good)
	forged[len(forged)-1] ^= 1
	curve := func(c elliptic.Curve) []byte {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return request(t, &x509.CertificateRequest{}, key)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		der    []byte
		reason string
	}{
		"nothing":                       {nil, "not a PKCS#10"},
		"not DER":                       {[]byte("-----BEGIN CERTIFICATE REQUEST-----"), "not a PKCS#10"},
		"half a request":                {good[:len(good)/2], "not a PKCS#10"},
		"bytes after the request":       {append(bytes.Clone(good), 0), "not a PKCS#10"},
		"a certificate":                 {certificateDER(t), "not a PKCS#10"},
		"a forged signature":            {forged, "not by its key"},
		"another key's signature":       {grafted(t), "not by its key"},
		"RSA-512":                       {rsa512, "RSA key of 512 bits"},
		"RSA-2048":                      {request(t, &x509.CertificateRequest{}, rsa2048), "RSA key of 2048 bits"},
		"Ed25519":                       {request(t, &x509.CertificateRequest{}, ed), "another kind of key"},
		"P-224":                         {curve(elliptic.P224()), "P-224"},
		"P-384":                         {curve(elliptic.P384()), "P-384"},
		"P-521":                         {curve(elliptic.P521()), "P-521"},
		"SHA-1":                         {sha1, "SHA1"},
		"a request of 8 KiB and a byte": {make([]byte, identity.MaxCSRSize+1), "at most 8192"},
		"a valid request of 10 KiB":     {request(t, &x509.CertificateRequest{DNSNames: []string{strings.Repeat("a", 10<<10)}}, newKey(t)), "at most 8192"},
		"a request of 5 MiB":            {make([]byte, 5<<20), "at most 8192"},
	} {
		t.Run(name, func(t *testing.T) {
			csr, err := identity.CheckCSR(c.der)
			if !errors.Is(err, identity.ErrCSR) || csr != nil {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(err.Error(), c.reason) {
				t.Errorf("got %q, want it to say %q", err, c.reason)
			}
		})
	}
}

// withKey is a request, signed by somebody, with the given SubjectPublicKeyInfo in it.
func withKey(t *testing.T, algorithm pkix.AlgorithmIdentifier, key []byte) []byte {
	t.Helper()
	type spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	type info struct {
		Version    int
		Subject    asn1.RawValue
		Key        spki
		Attributes []asn1.RawValue `asn1:"tag:0,set"`
	}
	type signed struct {
		Info      info
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	ecdsaSHA256 := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}
	der, err := asn1.Marshal(signed{
		info{0, asn1.RawValue{FullBytes: []byte{0x30, 0}}, spki{algorithm, asn1.BitString{Bytes: key, BitLength: 8 * len(key)}}, nil},
		ecdsaSHA256, asn1.BitString{Bytes: []byte{0x30, 6, 2, 1, 1, 2, 1, 1}, BitLength: 64},
	})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestAbsurdKeysAreRefusedAtOnce(t *testing.T) {
	p256 := pkix.AlgorithmIdentifier{
		Algorithm:  asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1},
		Parameters: asn1.RawValue{FullBytes: []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}},
	}
	rsaKey := func(bits, exponent int) []byte {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		der, err := asn1.Marshal(struct {
			N *big.Int
			E int
		}{n.SetBit(n, 0, 1), exponent})
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	rsaAlgorithm := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, Parameters: asn1.NullRawValue}
	onCurve, err := newKey(t).PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	off := bytes.Clone(onCurve)
	off[len(off)-1] ^= 1
	for name, der := range map[string][]byte{
		"the identity point":                  withKey(t, p256, []byte{0}),
		"a point of zeros":                    withKey(t, p256, append([]byte{4}, make([]byte, 64)...)),
		"a point beside the curve":            withKey(t, p256, off),
		"a compressed point":                  withKey(t, p256, append([]byte{2}, onCurve[1:33]...)),
		"half a point":                        withKey(t, p256, onCurve[:33]),
		"no point":                            withKey(t, p256, nil),
		"RSA of 16,384 bits":                  withKey(t, rsaAlgorithm, rsaKey(16384, 65537)),
		"RSA of 60,000 bits":                  withKey(t, rsaAlgorithm, rsaKey(60_000, 65537)),
		"RSA with the exponent 1":             withKey(t, rsaAlgorithm, rsaKey(2048, 1)),
		"RSA with an exponent of 2^31 - 1":    withKey(t, rsaAlgorithm, rsaKey(8192, 1<<31-1)),
		"a good point, signed by nobody":      withKey(t, p256, onCurve),
		"a good point of an unknown curve":    withKey(t, pkix.AlgorithmIdentifier{Algorithm: p256.Algorithm, Parameters: asn1.RawValue{FullBytes: []byte{6, 3, 0x2b, 0x81, 4}}}, onCurve),
		"a good point without a curve's name": withKey(t, pkix.AlgorithmIdentifier{Algorithm: p256.Algorithm}, onCurve),
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			csr, err := identity.CheckCSR(der)
			if !errors.Is(err, identity.ErrCSR) || csr != nil {
				t.Errorf("got %v", err)
			}
			if took := time.Since(began); took > 500*time.Millisecond {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// FuzzCSR holds CheckCSR to what it promises of anything that it accepts.
func FuzzCSR(f *testing.F) {
	for _, der := range [][]byte{nil, rsa512, sha1, request(f, &x509.CertificateRequest{}, newKey(f)),
		request(f, &x509.CertificateRequest{Subject: pkix.Name{Organization: []string{"admin"}}, DNSNames: []string{"a"}}, newKey(f))} {
		f.Add(der)
	}
	ca, _ := newCA(f, start)
	f.Fuzz(func(t *testing.T, der []byte) {
		csr, err := identity.CheckCSR(der)
		if err != nil {
			if !errors.Is(err, identity.ErrCSR) || csr != nil || len(err.Error()) > 200 {
				t.Fatalf("got %v", err)
			}
			return
		}
		if cert := issue(t, ca, csr); cert.IsCA || cert.Subject.String() != "" || len(cert.URIs) != 1 {
			t.Fatalf("the request reached the certificate: %v", cert.Subject)
		}
	})
}

func issue(t testing.TB, ca *identity.CA, csr *identity.CheckedCSR) *x509.Certificate {
	t.Helper()
	chain, _, _, err := ca.IssueHost(csr, hostA, start, identity.HostTTL)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, chain[0])
}

func request(t testing.TB, template *x509.CertificateRequest, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func certificateDER(t *testing.T) []byte {
	t.Helper()
	ca, _ := newCA(t, start)
	return issue(t, ca, newCSR(t, newKey(t))).Raw
}

// grafted is a request with the key of one and the valid signature of another.
func grafted(t *testing.T) []byte {
	t.Helper()
	type signed struct {
		Info      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	var victim, attacker signed
	for _, s := range []*signed{&victim, &attacker} {
		if _, err := asn1.Unmarshal(request(t, &x509.CertificateRequest{}, newKey(t)), s); err != nil {
			t.Fatal(err)
		}
	}
	victim.Signature = attacker.Signature
	der, err := asn1.Marshal(victim)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// Made with openssl req -newkey rsa:512 and -sha1, because Go makes neither.
var (
	rsa512 = unhex("" +
		"3081b930650201003000305c300d06092a864886f70d0101010500034b003048024100a9ec5c7139eddb7983aadbb356b08a" +
		"6b8c2969d26636750d3c534ca73c8c1c36d4ee9363b6dcfab437053eff8b1c0c61661105fd499c98e116c50d3cd992749502" +
		"03010001a000300d06092a864886f70d01010b050003410078b293f57e5eff34e616ae1adf1b9131ec7daeaf626e8f1e56d3" +
		"ede3c1b656fbf20db7df8ddf74f1f94f2935d4abe5802a6bc8129380ea6bcc51322e0e133089")
	sha1 = unhex("" +
		"3081ba306202010030003059301306072a8648ce3d020106082a8648ce3d03010703420004f78f652eeb086e1d677cb15989" +
		"499401e1f5234e7a0ae215a16a9ed8c6dcb99538f379482ad39cf303ed252f9173ee737e988163734858a2dce8dcb50c600e" +
		"02a000300906072a8648ce3d04010349003046022100d646ea44ff9c236997e69ca9a5437c86746c3c9ab8b7b263f1fac7a8" +
		"a17d4aad022100ac91f96021cf15e42d69b7af6721fc81a5ab89100fb911ca120ce479b52812f8")
)
