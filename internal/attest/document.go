package attest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"muster/internal/manifest"
)

// MaxDocument is the longest document in bytes, in base64, that is looked at. One of AWS has about 2,000.
const MaxDocument = 16 << 10

// Instance is what AWS says of an instance. Only Open makes one.
type Instance struct {
	// Account, Region, Image and ID are such as 123456789012, eu-central-1, ami-0123456789abcdef0, i-0123456789abcdef0.
	Account, Region, Image, ID string
	// Zone is the availability zone, such as eu-central-1a.
	Zone string
	// Address is the private address, of IPv6 only if the instance has no other; the zero Addr if AWS says none.
	Address netip.Addr
	// Pending is when the instance was launched.
	Pending time.Time
}

// Refused is why a document is not taken, for the audit and never for whoever presented it.
type Refused string

func (r Refused) Error() string { return "the instance identity document is refused: " + string(r) }

func refuse(format string, args ...any) error { return Refused(fmt.Sprintf(format, args...)) }

// Open verifies a document as the metadata service gives it, at instance-identity/rsa2048: PKCS#7 in base64. It must be
// signed by the key of one of the regions, and be of that very region. Its error is a Refused.
func Open(document []byte, regions []string, known Certificates, now time.Time) (Instance, error) {
	if len(document) > MaxDocument {
		return Instance{}, refuse("it has %d bytes, more than %d", len(document), MaxDocument)
	}
	der := make([]byte, base64.StdEncoding.DecodedLen(len(document)))
	n, err := base64.StdEncoding.Strict().Decode(der, document) // passes over line breaks
	if err != nil {
		return Instance{}, refuse("it is not base64")
	}
	s, err := parseSigned(der[:n])
	if err != nil {
		return Instance{}, Refused(err.Error())
	}
	// Nothing of the content is read before it is known whose word it is, so the region is found by the key.
	at := slices.IndexFunc(regions, func(region string) bool { return known.signed(region, s, now) })
	if at < 0 {
		return Instance{}, refuse("its signature is of none of the regions %s", strings.Join(regions, ", "))
	}
	i, err := decode(s.content)
	if err != nil {
		return Instance{}, Refused(err.Error())
	}
	if i.Region != regions[at] {
		return Instance{}, refuse("it is of region %s and signed by %s", i.Region, regions[at])
	}
	return i, nil
}

// decode reads the content of a document: strictly where it is ours to read, and no key twice or in another case, so
// that nobody else can read it otherwise. Keys that are not known are let be: AWS adds some now and then.
func decode(content []byte) (Instance, error) {
	var i Instance
	fields, err := object(content)
	if err != nil {
		return i, err
	}
	var address, pending string
	for _, f := range []struct {
		key   string
		to    *string
		valid func(string) bool
	}{
		{"accountId", &i.Account, manifest.IsAWSAccount},
		{"region", &i.Region, manifest.IsAWSRegion},
		{"availabilityZone", &i.Zone, isZone},
		{"imageId", &i.Image, manifest.IsAWSImage},
		{"instanceId", &i.ID, manifest.IsAWSInstance},
		{"pendingTime", &pending, nil},
		{"privateIp", &address, nil},
	} {
		raw, ok := fields[f.key]
		switch {
		case f.to == &address && (!ok || string(raw) == "null"):
			continue
		case !ok:
			return i, fmt.Errorf("it has no %s", f.key)
		case raw[0] != '"' || json.Unmarshal(raw, f.to) != nil || f.valid != nil && !f.valid(*f.to):
			return i, fmt.Errorf("its %s is malformed: %.64q", f.key, raw)
		}
	}
	if i.Pending, err = time.Parse(time.RFC3339, pending); err != nil {
		return i, fmt.Errorf("its pendingTime is malformed: %.64q", pending)
	}
	if address != "" {
		if i.Address, err = netip.ParseAddr(address); err != nil || i.Address.Zone() != "" || i.Address.Is4In6() {
			return i, fmt.Errorf("its privateIp is malformed: %.64q", address)
		}
	}
	if !strings.HasPrefix(i.Zone, i.Region) {
		return i, fmt.Errorf("its zone %s is not one of its region %s", i.Zone, i.Region)
	}
	return i, nil
}

// isZone takes eu-central-1a, and us-west-2-lax-1a for a local zone.
func isZone(s string) bool { return manifest.IsLabel(s) }

var errObject = errors.New("its content is not one JSON object")

// object reads the keys and values of one JSON object.
func object(content []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(content) {
		return nil, errObject // encoding/json would mend it
	}
	d := json.NewDecoder(bytes.NewReader(content))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errObject
	}
	fields := make(map[string]json.RawMessage)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, errObject
		}
		key, _ := t.(string)
		for known := range fields {
			if strings.EqualFold(known, key) {
				return nil, fmt.Errorf("it has the key %.64q twice", key)
			}
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errObject
		}
		fields[key] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errObject
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errObject
	}
	return fields, nil
}
