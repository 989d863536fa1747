// Package attesttest makes instance identity documents as AWS encodes them, signed with keys of its own, and a metadata
// service that hands them out. It is for tests.
package attesttest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"time"

	"muster/internal/attest"
)

// Signer is what AWS has for each region: a key with a certificate that it signs itself.
type Signer struct {
	Key *rsa.PrivateKey
	// PEM is the certificate.
	PEM []byte
}

// NewSigner makes a signer whose certificate is good for years around now.
func NewSigner(now time.Time) *Signer { return NewSignerOf(2048, x509.SHA256WithRSA, now) }

// NewSignerOf makes one with another length of the key or another signature on its certificate.
func NewSignerOf(bits int, algorithm x509.SignatureAlgorithm, now time.Time) *Signer {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{Organization: []string{"Test Web Services"}}, SignatureAlgorithm: algorithm,
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(100, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return &Signer{Key: key, PEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// Certificates are the signers' as those that count.
func Certificates(of map[string]*Signer) attest.Certificates {
	known := attest.Certificates{}
	for region, s := range of {
		list, err := attest.ParseCertificates(s.PEM)
		if err != nil {
			panic(err)
		}
		known[region] = list
	}
	return known
}

// Content is the content of the document of one instance, with every key that AWS writes. Set changes or, with nil,
// removes one.
func Content(set map[string]any) []byte {
	fields := map[string]any{
		"accountId": "123456789012", "architecture": "x86_64", "availabilityZone": "eu-central-1a", "billingProducts": nil,
		"devpayProductCodes": nil, "marketplaceProductCodes": nil, "imageId": "ami-0123456789abcdef0", "instanceId": "i-0123456789abcdef0",
		"instanceType": "t3.micro", "kernelId": nil, "pendingTime": "2026-03-01T02:59:00Z", "privateIp": "10.0.0.1", "ramdiskId": nil,
		"region": "eu-central-1", "version": "2017-09-30",
	}
	for key, value := range set {
		if fields[key] = value; value == nil {
			delete(fields, key)
		}
	}
	text, err := json.MarshalIndent(fields, "", "  ")
	if err != nil {
		panic(err)
	}
	return text
}

// Message is a document in the making. Its parts are BER; what is nil is as AWS has it.
type Message struct {
	Content []byte
	// Version, Digest, Inner, Certificates and Signers are the parts of the signed data.
	Version, Digest, Inner, Certificates, Signers []byte
	// Trailer follows the whole.
	Trailer []byte
}

// Object identifiers.
var (
	OIDData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	OIDSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	OIDType       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	OIDDigest     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	OIDTime       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	OIDRSA        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	OIDSHA256     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	OIDSHA1       = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	OIDDSA        = asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 3}
)

// Document is the right document of an instance: base64 in lines, as the metadata service gives it.
func (s *Signer) Document(set map[string]any) []byte { return s.Sign(Content(set)) }

// Sign makes a document with this content.
func (s *Signer) Sign(content []byte) []byte {
	return Encode(Message{Content: content, Signers: Set(s.Info(content))}.BER())
}

// Info is a SignerInfo over the content.
func (s *Signer) Info(content []byte) []byte {
	sum := sha256.Sum256(content)
	return s.InfoOver(Attributes(OIDData, sum[:]), OIDSHA256, OIDRSA)
}

// Attributes are what a signature of AWS is over: the type of the content, the time, and the digest of the content.
func Attributes(kind asn1.ObjectIdentifier, digest []byte) []byte {
	return Join(
		DER(0x30, OID(OIDType), DER(0x31, OID(kind))),
		DER(0x30, OID(OIDTime), DER(0x31, DER(0x17, []byte("260301025900Z")))),
		DER(0x30, OID(OIDDigest), DER(0x31, DER(0x04, digest))),
	)
}

// InfoOver is a SignerInfo with these attributes, which the signature is over. Its algorithms are named as they are given,
// the signature is always SHA-256 with RSA.
func (s *Signer) InfoOver(attributes []byte, digest, algorithm asn1.ObjectIdentifier) []byte {
	sum := sha256.Sum256(DER(0x31, attributes))
	return s.info(DER(0xa0, attributes), sum[:], digest, algorithm)
}

// Bare is a SignerInfo without attributes: the signature is over the content itself.
func (s *Signer) Bare(content []byte) []byte {
	sum := sha256.Sum256(content)
	return s.info(nil, sum[:], OIDSHA256, OIDRSA)
}

func (s *Signer) info(attributes, sum []byte, digest, algorithm asn1.ObjectIdentifier) []byte {
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.Key, crypto.SHA256, sum)
	if err != nil {
		panic(err)
	}
	block, _ := pem.Decode(s.PEM)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		panic(err)
	}
	return DER(0x30,
		DER(0x02, []byte{1}),
		DER(0x30, certificate.RawIssuer, DER(0x02, certificate.SerialNumber.Bytes())),
		Algorithm(digest), attributes, Algorithm(algorithm), DER(0x04, signature),
	)
}

// BER encodes the message with open lengths around what AWS does not know the length of beforehand.
func (m Message) BER() []byte {
	or := func(own, usual []byte) []byte {
		if own != nil {
			return own
		}
		return usual
	}
	inner := or(m.Inner, Open(0x30, OID(OIDData), Open(0xa0, Open(0x24, DER(0x04, m.Content)))))
	return Join(
		Open(0x30, OID(OIDSignedData), Open(0xa0, Open(0x30,
			or(m.Version, DER(0x02, []byte{1})), or(m.Digest, DER(0x31, Algorithm(OIDSHA256))), inner, m.Certificates, m.Signers,
		))),
		m.Trailer,
	)
}

// Encode writes base64 in lines of 76 characters.
func Encode(ber []byte) []byte {
	text := base64.StdEncoding.EncodeToString(ber)
	var out []byte
	for len(text) > 76 {
		out, text = append(append(out, text[:76]...), '\n'), text[76:]
	}
	return append(out, text...)
}

// Algorithm is an AlgorithmIdentifier without parameters.
func Algorithm(oid asn1.ObjectIdentifier) []byte { return DER(0x30, OID(oid), []byte{5, 0}) }

// OID encodes an object identifier.
func OID(oid asn1.ObjectIdentifier) []byte {
	der, err := asn1.Marshal(oid)
	if err != nil {
		panic(err)
	}
	return der
}

// Set is a SET of elements.
func Set(parts ...[]byte) []byte { return DER(0x31, parts...) }

// DER is an element with its length.
func DER(tag byte, parts ...[]byte) []byte {
	body := Join(parts...)
	switch n := len(body); {
	case n < 0x80:
		return Join([]byte{tag, byte(n)}, body)
	case n < 0x100:
		return Join([]byte{tag, 0x81, byte(n)}, body)
	default:
		return Join([]byte{tag, 0x82, byte(n >> 8), byte(n)}, body)
	}
}

// Open is an element with an open length.
func Open(tag byte, parts ...[]byte) []byte {
	return Join([]byte{tag, 0x80}, Join(parts...), []byte{0, 0})
}

// Join puts the parts together.
func Join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}
