package attest

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
)

// Object identifiers as their DER content. RFC 2315 (PKCS#7), RFC 5652, 11 (attributes), RFC 8017 (RSA), RFC 5754 (SHA-256).
var (
	oidData          = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01}
	oidSignedData    = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02}
	oidContentType   = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03}
	oidMessageDigest = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04}
	oidRSA           = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01}
	oidSHA256RSA     = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b}
	oidSHA256        = []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01}
)

// signed is a PKCS#7 message with the one signature on it. Certificates that came along, and the name of the signer, are
// passed over: neither has a say in whose signature counts.
type signed struct {
	content   []byte
	digest    [sha256.Size]byte // of what the signature is over
	signature []byte
}

// parseSigned takes a SignedData of version 1 with its content in it, one signer, and SHA-256 with RSA; nothing else.
func parseSigned(data []byte) (*signed, error) {
	top, err := parseBER(data)
	if err != nil {
		return nil, err
	}
	// ContentInfo ::= SEQUENCE { contentType, [0] content }
	if !top.is(tagSequence) || len(top.inner) != 2 || !top.inner[0].oid(oidSignedData) || !top.inner[1].explicit(tagSequence) {
		return nil, errors.New("it is not signed data (PKCS#7)")
	}
	// SignedData ::= SEQUENCE { version, digestAlgorithms, contentInfo, [0] certificates, [1] crls, signerInfos }
	parts := top.inner[1].inner[0].inner
	if len(parts) < 4 || !parts[0].one() || !parts[1].is(tagSet) || !parts[2].is(tagSequence) {
		return nil, errors.New("its signed data is malformed")
	}
	if algorithms := parts[1].inner; len(algorithms) != 1 || !algorithms[0].algorithm(oidSHA256) {
		return nil, errors.New("its digest is not SHA-256")
	}
	content, err := parts[2].content()
	if err != nil {
		return nil, err
	}
	signers := parts[3:]
	for _, tag := range []byte{tagContext0, tagContext1} {
		if signers[0].is(tag) && len(signers) > 1 {
			signers = signers[1:]
		}
	}
	if len(signers) != 1 || !signers[0].is(tagSet) {
		return nil, errors.New("its signed data is malformed")
	}
	if n := len(signers[0].inner); n != 1 {
		return nil, errors.New("it does not have exactly one signer")
	}
	return parseSigner(signers[0].inner[0], content)
}

// content is what was signed; a signature over something that is not here is none.
func (e element) content() ([]byte, error) {
	if len(e.inner) == 0 || !e.inner[0].oid(oidData) {
		return nil, errors.New("its content is not plain data")
	}
	if len(e.inner) != 2 || !e.inner[1].is(tagContext0) || len(e.inner[1].inner) != 1 {
		return nil, errors.New("its content is not in it")
	}
	content, ok := e.inner[1].inner[0].octets()
	if !ok || len(content) == 0 {
		return nil, errors.New("its content is not in it")
	}
	return content, nil
}

// SignerInfo ::= SEQUENCE { version, issuerAndSerialNumber, digestAlgorithm, [0] authenticatedAttributes,
// digestEncryptionAlgorithm, encryptedDigest, [1] unauthenticatedAttributes }
func parseSigner(e element, content []byte) (*signed, error) {
	parts := e.inner
	if !e.is(tagSequence) || len(parts) < 5 || !parts[0].one() || !parts[1].is(tagSequence) {
		return nil, errors.New("its signer is malformed")
	}
	if !parts[2].algorithm(oidSHA256) {
		return nil, errors.New("its signer's digest is not SHA-256")
	}
	s := &signed{content: content, digest: sha256.Sum256(content)}
	rest := parts[3:]
	if rest[0].is(tagContext0) {
		if err := rest[0].checkAttributes(s.digest); err != nil {
			return nil, err
		}
		// The signature is over the attributes as a SET (RFC 2315, 9.3), not as the field that they stand in.
		h := sha256.New()
		h.Write([]byte{tagSet})
		h.Write(rest[0].raw[1:])
		h.Sum(s.digest[:0])
		rest = rest[1:]
	}
	if len(rest) != 2 || !rest[1].is(tagOctets) {
		return nil, errors.New("its signer is malformed")
	}
	if !rest[0].algorithm(oidRSA) && !rest[0].algorithm(oidSHA256RSA) {
		return nil, errors.New("it is not signed with RSA")
	}
	s.signature = rest[1].body
	return s, nil
}

// checkAttributes wants the digest of the content among the attributes, and its type: once each.
func (e element) checkAttributes(digest [sha256.Size]byte) error {
	var digests, types int
	for _, attribute := range e.inner {
		// Attribute ::= SEQUENCE { type, SET OF value }
		if !attribute.is(tagSequence) || len(attribute.inner) != 2 || !attribute.inner[1].is(tagSet) {
			return errors.New("its attributes are malformed")
		}
		values := attribute.inner[1].inner
		switch {
		case attribute.inner[0].oid(oidMessageDigest):
			if digests++; len(values) != 1 || !values[0].is(tagOctets) || subtle.ConstantTimeCompare(values[0].body, digest[:]) != 1 {
				return errors.New("its signature is over another content")
			}
		case attribute.inner[0].oid(oidContentType):
			if types++; len(values) != 1 || !values[0].oid(oidData) {
				return errors.New("its signature is over another kind of content")
			}
		}
	}
	// An open length is not DER, which is what has to be signed.
	if digests != 1 || types != 1 || e.open {
		return errors.New("its attributes are malformed")
	}
	return nil
}

func (s *signed) by(key *rsa.PublicKey) bool {
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, s.digest[:], s.signature) == nil
}

func (e element) oid(want []byte) bool { return e.is(tagOID) && bytes.Equal(e.body, want) }

// one says whether the element is the number 1.
func (e element) one() bool { return e.is(tagInteger) && len(e.body) == 1 && e.body[0] == 1 }

// explicit says whether the element is the field [0] with one element of this tag in it.
func (e element) explicit(tag byte) bool {
	return e.is(tagContext0) && len(e.inner) == 1 && e.inner[0].is(tag)
}

// algorithm wants the algorithm with no parameters but NULL.
func (e element) algorithm(want []byte) bool {
	if !e.is(tagSequence) || len(e.inner) == 0 || len(e.inner) > 2 || !e.inner[0].oid(want) {
		return false
	}
	return len(e.inner) == 1 || e.inner[1].is(tagNull) && len(e.inner[1].body) == 0
}
