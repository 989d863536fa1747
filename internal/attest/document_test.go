package attest_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/internal/attest"
	"muster/internal/attest/attesttest"
	"muster/internal/manifest"
)

var now = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

var regions = []string{"eu-west-1", "eu-central-1"}

// Making a key takes a while; all tests share these.
var (
	frankfurt = sync.OnceValue(func() *attesttest.Signer { return attesttest.NewSigner(now) })
	ireland   = sync.OnceValue(func() *attesttest.Signer { return attesttest.NewSigner(now) })
	known     = sync.OnceValue(func() attest.Certificates {
		return attesttest.Certificates(map[string]*attesttest.Signer{"eu-central-1": frankfurt(), "eu-west-1": ireland()})
	})
)

func TestADocumentSaysWhoTheInstanceIs(t *testing.T) {
	t.Parallel()
	want := attest.Instance{
		Account: "123456789012", Region: "eu-central-1", Image: "ami-0123456789abcdef0", ID: "i-0123456789abcdef0", Zone: "eu-central-1a",
		Address: netip.MustParseAddr("10.0.0.1"), Pending: time.Date(2026, 3, 1, 2, 59, 0, 0, time.UTC),
	}
	content := attesttest.Content(nil)
	for name, document := range map[string][]byte{
		"as AWS encodes it":         frankfurt().Document(nil),
		"in one line":               bytes.ReplaceAll(frankfurt().Document(nil), []byte("\n"), nil),
		"with lines of Windows":     bytes.ReplaceAll(frankfurt().Document(nil), []byte("\n"), []byte("\r\n")),
		"with a key of tomorrow":    frankfurt().Document(map[string]any{"instanceMood": map[string]any{"accountId": []int{1}}}),
		"without attributes":        attesttest.Encode(attesttest.Message{Content: content, Signers: attesttest.Set(frankfurt().Bare(content))}.BER()),
		"with the content in parts": inParts(content),
		"with its own certificate": attesttest.Encode(attesttest.Message{
			Content: content, Certificates: attesttest.DER(0xa0, der(frankfurt())), Signers: attesttest.Set(frankfurt().Info(content)),
		}.BER()),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := attest.Open(document, regions, known(), now); err != nil || got != want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	t.Run("with an address of IPv6 alone", func(t *testing.T) {
		got, err := attest.Open(frankfurt().Document(map[string]any{"privateIp": "2001:db8::1"}), regions, known(), now)
		if err != nil || got.Address != netip.MustParseAddr("2001:db8::1") {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("without an address", func(t *testing.T) {
		got, err := attest.Open(frankfurt().Document(map[string]any{"privateIp": nil}), regions, known(), now)
		if err != nil || got.Address.IsValid() {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// inParts has the content in two pieces, as a BER encoder with a small buffer leaves it.
func inParts(content []byte) []byte {
	inner := attesttest.Open(0x30, attesttest.OID(attesttest.OIDData), attesttest.Open(0xa0,
		attesttest.Open(0x24, attesttest.DER(0x04, content[:100]), attesttest.DER(0x04, content[100:]))))
	return attesttest.Encode(attesttest.Message{Inner: inner, Signers: attesttest.Set(frankfurt().Info(content))}.BER())
}

func der(s *attesttest.Signer) []byte {
	list, err := attest.ParseCertificates(s.PEM)
	if err != nil {
		panic(err)
	}
	return list[0].Raw
}

// A document that OpenSSL made and not the encoder of these tests; testdata/README.md says how.
func TestADocumentThatOpenSSLSigned(t *testing.T) {
	t.Parallel()
	read := func(name string) []byte {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	list, err := attest.ParseCertificates(read("openssl.pem"))
	if err != nil {
		t.Fatal(err)
	}
	here := attest.Certificates{"eu-central-1": list}
	for _, name := range []string{"openssl-streamed.b64", "openssl-der.b64"} {
		i, err := attest.Open(read(name), []string{"eu-central-1"}, here, list[0].NotBefore.Add(time.Hour))
		if err != nil || i.ID != "i-0123456789abcdef0" {
			t.Errorf("%s: %+v, %v", name, i, err)
		}
		if _, err := attest.Open(read(name), regions, known(), now); err == nil {
			t.Errorf("%s is taken with other certificates", name)
		}
	}
}

func TestWhatIsNotADocumentOfTheRegionsIsRefused(t *testing.T) {
	t.Parallel()
	content := attesttest.Content(nil)
	sum := sha256.Sum256(content)
	other := attesttest.Content(map[string]any{"accountId": "999999999999"})
	attributes := attesttest.Attributes(attesttest.OIDData, sum[:])
	attacker := attesttest.NewSigner(now)
	of := func(m attesttest.Message) []byte {
		if m.Content == nil {
			m.Content = content
		}
		if m.Signers == nil {
			m.Signers = attesttest.Set(frankfurt().Info(m.Content))
		}
		return attesttest.Encode(m.BER())
	}
	flipped := der2(frankfurt().Document(nil))
	flipped[len(flipped)-20] ^= 1
	for name, c := range map[string]struct {
		document []byte
		why      string
	}{
		"nothing":                         {nil, "not in BER"},
		"not base64":                      {[]byte("<html>"), "not base64"},
		"base64 with bits left over":      {[]byte("MB=="), "not base64"},
		"text after it":                   {append(frankfurt().Document(nil), "!"...), "not base64"},
		"an element after it":             {of(attesttest.Message{Trailer: []byte{5, 0}}), "bytes follow its end"},
		"a zero byte after it":            {of(attesttest.Message{Trailer: []byte{0}}), "bytes follow its end"},
		"cut off":                         {attesttest.Encode(der2(frankfurt().Document(nil))[:700]), "not in BER"},
		"17 KiB":                          {bytes.Repeat([]byte("A"), 17<<10), "more than 16384"},
		"deep nesting":                    {attesttest.Encode(bytes.Repeat([]byte{0x30, 0x80}, 4000)), "too many parts"},
		"a thousand parts":                {attesttest.Encode(attesttest.DER(0x30, bytes.Repeat([]byte{5, 0}, 2000))), "too many parts"},
		"a length of 4 GiB":               {attesttest.Encode([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}), "not in BER"},
		"an open length of a primitive":   {attesttest.Encode([]byte{0x04, 0x80, 0, 0}), "not in BER"},
		"a long tag":                      {attesttest.Encode([]byte{0x1f, 0x81, 0, 0}), "not in BER"},
		"the plain content":               {attesttest.Encode(content), ""},
		"enveloped data":                  {attesttest.Encode(attesttest.DER(0x30, attesttest.OID([]int{1, 2, 840, 113549, 1, 7, 3}), attesttest.DER(0xa0, attesttest.DER(0x30)))), "not signed data"},
		"the signature of another key":    {attacker.Document(nil), "of none of the regions"},
		"the signer's name on it":         {of(attesttest.Message{Signers: attesttest.Set(attacker.Info(content)), Certificates: attesttest.DER(0xa0, der(frankfurt()))}), "of none of the regions"},
		"an attacker's certificate":       {of(attesttest.Message{Signers: attesttest.Set(attacker.Info(content)), Certificates: attesttest.DER(0xa0, der(attacker))}), "of none of the regions"},
		"the signature of another region": {ireland().Document(nil), "it is of region eu-central-1 and signed by eu-west-1"},
		"a flipped bit":                   {attesttest.Encode(flipped), "of none of the regions"},
		"another content":                 {of(attesttest.Message{Content: other, Signers: attesttest.Set(frankfurt().Info(content))}), "over another content"},
		"another content, bare signature": {of(attesttest.Message{Content: other, Signers: attesttest.Set(frankfurt().Bare(content))}), "of none of the regions"},
		"no content":                      {of(attesttest.Message{Inner: attesttest.Open(0x30, attesttest.OID(attesttest.OIDData))}), "content is not in it"},
		"content of another kind": {of(attesttest.Message{Inner: attesttest.Open(0x30, attesttest.OID(attesttest.OIDSignedData),
			attesttest.Open(0xa0, attesttest.DER(0x04, content)))}), "not plain data"},
		"an empty content": {of(attesttest.Message{Inner: attesttest.Open(0x30, attesttest.OID(attesttest.OIDData),
			attesttest.Open(0xa0, attesttest.Open(0x24)))}), "content is not in it"},
		"no signer":             {of(attesttest.Message{Signers: attesttest.Set()}), "exactly one signer"},
		"two signers":           {of(attesttest.Message{Signers: attesttest.Set(frankfurt().Info(content), attacker.Info(content))}), "exactly one signer"},
		"two right signers":     {of(attesttest.Message{Signers: attesttest.Set(frankfurt().Info(content), frankfurt().Info(content))}), "exactly one signer"},
		"another version":       {of(attesttest.Message{Version: []byte{2, 1, 3}}), "malformed"},
		"SHA-1":                 {of(attesttest.Message{Digest: attesttest.DER(0x31, attesttest.Algorithm(attesttest.OIDSHA1))}), "not SHA-256"},
		"two digests":           {of(attesttest.Message{Digest: attesttest.DER(0x31, attesttest.Algorithm(attesttest.OIDSHA1), attesttest.Algorithm(attesttest.OIDSHA256))}), "not SHA-256"},
		"SHA-1 of the signer":   {of(attesttest.Message{Signers: attesttest.Set(frankfurt().InfoOver(attributes, attesttest.OIDSHA1, attesttest.OIDRSA))}), "not SHA-256"},
		"DSA":                   {of(attesttest.Message{Signers: attesttest.Set(frankfurt().InfoOver(attributes, attesttest.OIDSHA256, attesttest.OIDDSA))}), "not signed with RSA"},
		"attributes of no type": {of(attesttest.Message{Signers: attesttest.Set(frankfurt().InfoOver(attributes[26:], attesttest.OIDSHA256, attesttest.OIDRSA))}), "malformed"},
		"attributes of another kind": {of(attesttest.Message{Signers: attesttest.Set(frankfurt().InfoOver(
			attesttest.Attributes(attesttest.OIDSignedData, sum[:]), attesttest.OIDSHA256, attesttest.OIDRSA))}), "another kind of content"},
		"the digest twice": {of(attesttest.Message{Signers: attesttest.Set(frankfurt().InfoOver(
			attesttest.Join(attributes, attributes), attesttest.OIDSHA256, attesttest.OIDRSA))}), "malformed"},
		"no attributes in their place": {of(attesttest.Message{Signers: attesttest.Set(frankfurt().InfoOver(nil, attesttest.OIDSHA256, attesttest.OIDRSA))}), "malformed"},
		"unsigned attributes": {of(attesttest.Message{Signers: attesttest.Set(attesttest.DER(0x30,
			frankfurt().Info(content)[4:], attesttest.DER(0xa1)))}), "malformed"},

		"content that is no JSON":     {frankfurt().Sign([]byte("accountId: 1")), "not one JSON object"},
		"a list":                      {frankfurt().Sign([]byte("[]")), "not one JSON object"},
		"two objects":                 {frankfurt().Sign(append(slices.Clone(content), "{}"...)), "not one JSON object"},
		"an object cut off":           {frankfurt().Sign(content[:len(content)-2]), "not one JSON object"},
		"bytes that are not UTF-8":    {frankfurt().Sign(bytes.Replace(content, []byte("t3"), []byte{0xff, 0xfe}, 1)), "not one JSON object"},
		"a key twice":                 {frankfurt().Sign(bytes.Replace(content, []byte("{"), []byte(`{"accountId":"999999999999",`), 1)), "twice"},
		"a key in another case":       {frankfurt().Sign(bytes.Replace(content, []byte("{"), []byte(`{"ACCOUNTID":"999999999999",`), 1)), "twice"},
		"a key only in another case":  {frankfurt().Sign(bytes.Replace(content, []byte("accountId"), []byte("accountID"), 1)), "no accountId"},
		"an unknown key twice":        {frankfurt().Sign(bytes.Replace(content, []byte("{"), []byte(`{"x":1,"x":2,`), 1)), "twice"},
		"no region":                   {frankfurt().Document(map[string]any{"region": nil}), "no region"},
		"an account that is a number": {frankfurt().Document(map[string]any{"accountId": 123456789012}), "its accountId is malformed"},
		"an account of 11 digits":     {frankfurt().Document(map[string]any{"accountId": "12345678901"}), "its accountId is malformed"},
		"an instance with a path":     {frankfurt().Document(map[string]any{"instanceId": "i-../../etc/pass"}), "its instanceId is malformed"},
		"an image with a line break":  {frankfurt().Document(map[string]any{"imageId": "ami-01234567\n"}), "its imageId is malformed"},
		"a zone elsewhere":            {frankfurt().Document(map[string]any{"availabilityZone": "us-east-1a"}), "not one of its region"},
		"a time without a zone":       {frankfurt().Document(map[string]any{"pendingTime": "2026-03-01T02:59:00"}), "its pendingTime is malformed"},
		"an address with a zone":      {frankfurt().Document(map[string]any{"privateIp": "fe80::1%eth0"}), "its privateIp is malformed"},
		"an address that is mapped":   {frankfurt().Document(map[string]any{"privateIp": "::ffff:10.0.0.1"}), "its privateIp is malformed"},
		"an address with a port":      {frankfurt().Document(map[string]any{"privateIp": "10.0.0.1:80"}), "its privateIp is malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := attest.Open(c.document, regions, known(), now)
			var refused attest.Refused
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.why) || got != (attest.Instance{}) {
				t.Errorf("got %+v, %v; want %q", got, err, c.why)
			}
		})
	}
}

func der2(document []byte) []byte {
	raw, err := base64.StdEncoding.DecodeString(string(document))
	if err != nil {
		panic(err)
	}
	return raw
}

func TestACertificateCountsForItsRegionAndItsTime(t *testing.T) {
	t.Parallel()
	document := frankfurt().Document(nil)
	for name, c := range map[string]struct {
		regions []string
		now     time.Time
	}{
		"no region":                   {nil, now},
		"a region without any":        {[]string{"us-east-1"}, now},
		"only another region":         {[]string{"eu-west-1"}, now},
		"before it is good":           {regions, now.AddDate(-2, 0, 0)},
		"after it has been good long": {regions, now.AddDate(101, 0, 0)},
	} {
		if _, err := attest.Open(document, c.regions, known(), c.now); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}

func TestAPolicyAdmits(t *testing.T) {
	t.Parallel()
	i, err := attest.Open(frankfurt().Document(nil), regions, known(), now)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*manifest.AWSPolicy)
		now    time.Time
		why    string
	}{
		"what it is bound to":     {func(*manifest.AWSPolicy) {}, now, ""},
		"any image":               {func(p *manifest.AWSPolicy) { p.Images = nil }, now, ""},
		"another account":         {func(p *manifest.AWSPolicy) { p.Accounts = []string{"999999999999"} }, now, "account 123456789012 is not one of"},
		"no account":              {func(p *manifest.AWSPolicy) { p.Accounts = nil }, now, "account"},
		"another region":          {func(p *manifest.AWSPolicy) { p.Regions = []string{"eu-west-1"} }, now, "region eu-central-1 is not one of"},
		"another image":           {func(p *manifest.AWSPolicy) { p.Images = []string{"ami-00000000000000000"} }, now, "image ami-0123456789abcdef0 is not one of"},
		"the end of the window":   {func(*manifest.AWSPolicy) {}, i.Pending.Add(30 * time.Minute), ""},
		"just after the window":   {func(*manifest.AWSPolicy) {}, i.Pending.Add(30*time.Minute + 1), "more than 30m0s ago"},
		"a clock a minute ahead":  {func(*manifest.AWSPolicy) {}, i.Pending.Add(-time.Minute), ""},
		"a clock further ahead":   {func(*manifest.AWSPolicy) {}, i.Pending.Add(-time.Minute - 1), "which is to come"},
		"a window that is longer": {func(p *manifest.AWSPolicy) { p.Window = manifest.Span(24 * time.Hour) }, i.Pending.Add(23 * time.Hour), ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := manifest.AWSPolicy{
				Role: "agent", Accounts: []string{"000000000001", "123456789012"}, Regions: []string{"eu-central-1"},
				Images: []string{"ami-0123456789abcdef0"}, Window: manifest.Span(30 * time.Minute),
			}
			c.change(&p)
			err := attest.Admit(p, i, c.now)
			if (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
				t.Errorf("got %v, want %q", err, c.why)
			}
		})
	}
}

func TestTheBuiltInCertificates(t *testing.T) {
	t.Parallel()
	builtin := attest.Builtin() // parsing has held each to its own signature and its length
	if len(builtin) != 39 {
		t.Errorf("%d regions", len(builtin))
	}
	owners := map[string]string{}
	for _, region := range builtin.Regions() {
		if !manifest.IsAWSRegion(region) {
			t.Errorf("%q is no region", region)
		}
		for _, c := range builtin[region] {
			if now.Before(c.NotBefore) || now.After(c.NotAfter) || c.Subject.Organization[0] != "Amazon Web Services LLC" {
				t.Errorf("%s: %v from %v to %v", region, c.Subject, c.NotBefore, c.NotAfter)
			}
			if before := owners[string(c.RawSubjectPublicKeyInfo)]; before != "" {
				t.Errorf("%s and %s have one key", before, region)
			}
			owners[string(c.RawSubjectPublicKeyInfo)] = region
		}
	}
	delete(builtin, "eu-central-1")
	if len(attest.Builtin()) != 39 {
		t.Error("a caller has changed those of all")
	}
}

func TestCertificatesThatCannotCount(t *testing.T) {
	t.Parallel()
	good := string(frankfurt().PEM)
	lines := strings.Split(good, "\n")
	lines[4] = strings.Map(func(r rune) rune {
		if r == 'A' {
			return 'B'
		}
		return r
	}, lines[4])
	lines[len(lines)-4] = "AAAA" + lines[len(lines)-4][4:]
	for name, c := range map[string]struct{ text, why string }{
		"nothing":                      {"", "0 certificates"},
		"a page of HTML":               {"<html>", "not a certificate in PEM"},
		"text before it":               {"eu-central-1\n" + good, "not a certificate in PEM"},
		"text after it":                {good + "end", "not a certificate in PEM"},
		"cut off":                      {good[:300], "not a certificate in PEM"},
		"a letter that was lost":       {strings.Join(lines, "\n"), ""},
		"a key":                        {strings.ReplaceAll(good, "CERTIFICATE", "PRIVATE KEY"), "not a certificate in PEM"},
		"RSA of 1024 bits":             {string(attesttest.NewSignerOf(1024, x509.SHA256WithRSA, now).PEM), "RSA-2048"},
		"a digest of another length":   {string(attesttest.NewSignerOf(2048, x509.SHA512WithRSA, now).PEM), "not SHA-256"},
		"more than anybody would need": {strings.Repeat(good, 5), "5 certificates"},
	} {
		t.Run(name, func(t *testing.T) {
			if list, err := attest.ParseCertificates([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.why) || list != nil {
				t.Errorf("got %d, %v; want %q", len(list), err, c.why)
			}
		})
	}
	if list, err := attest.ParseCertificates([]byte("\n" + good + "\n" + string(ireland().PEM))); err != nil || len(list) != 2 {
		t.Errorf("two good ones: %d, %v", len(list), err)
	}
}

// FuzzDocument holds Open to what was signed, whatever is around it. The signed documents are files, so that every process
// of the fuzzer has the same.
func FuzzDocument(f *testing.F) {
	text, err := os.ReadFile("testdata/openssl.pem")
	if err != nil {
		f.Fatal(err)
	}
	list, err := attest.ParseCertificates(text)
	if err != nil {
		f.Fatal(err)
	}
	good, here, at := attest.Instance{}, attest.Certificates{"eu-central-1": list}, list[0].NotBefore.Add(time.Hour)
	for _, name := range []string{"openssl-streamed.b64", "openssl-der.b64"} {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		if good, err = attest.Open(text, regions, here, at); err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		f.Add(der2(text))
	}
	f.Add(bytes.Repeat([]byte{0x30, 0x80}, 100))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, document := range [][]byte{data, attesttest.Encode(data)} {
			got, err := attest.Open(document, regions, here, at)
			var refused attest.Refused
			if err != nil && (!errors.As(err, &refused) || got != (attest.Instance{})) || err == nil && got != good {
				t.Errorf("got %+v, %v", got, err)
			}
		}
	})
}

func TestAHostileDocumentCostsLittle(t *testing.T) {
	for name, data := range map[string][]byte{
		"open lengths":  bytes.Repeat([]byte{0x30, 0x80}, 6000),
		"null values":   attesttest.DER(0x30, bytes.Repeat([]byte{5, 0}, 6000)),
		"one long text": attesttest.DER(0x04, make([]byte, 12000)),
	} {
		document := attesttest.Encode(data)
		document = document[:min(attest.MaxDocument, len(document))]
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 10 {
			_, _ = attest.Open(document, regions, nil, now)
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / 10; each > 1<<19 {
			t.Errorf("%s: %d bytes", name, each)
		}
	}
}
