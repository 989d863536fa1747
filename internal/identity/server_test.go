package identity_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/identity"
)

func TestServerNames(t *testing.T) {
	ca, _ := newCA(t, start)
	cert, err := ca.ServerCertificate([]string{"10.0.0.1", "::1", "Coordinator.Example", "c1"}, start)
	if err != nil {
		t.Fatal(err)
	}
	leaf := cert.Leaf
	if !slices.Equal(leaf.DNSNames, []string{"coordinator.example", "c1"}) || len(leaf.IPAddresses) != 2 || leaf.Subject.String() != "" {
		t.Errorf("names %v %v %v", leaf.DNSNames, leaf.IPAddresses, leaf.Subject)
	}
	if !leaf.NotAfter.Equal(start.Add(90 * 24 * time.Hour)) {
		t.Errorf("ends %v", leaf.NotAfter)
	}
	if _, err := verifyChain(ca, cert.Certificate, start, x509.ExtKeyUsageServerAuth); err != nil {
		t.Error(err)
	}
	if err := verifyHost(ca, cert.Certificate, start); err == nil {
		t.Error("it is accepted as a host's")
	}
	for _, names := range [][]string{nil, {""}, {"*.example"}, {"a:8443"}, {"10.0.0.1:8443"}, {"10.0.0.300"}, {"fe80::1%eth0"}, {"a..b"},
		{"a."}, {"a b"}, {"https://a"}, {"a\n"}, {strings.Repeat("a.", 127) + "a"}, {"ok", "-"}} {
		if _, err := ca.ServerCertificate(names, start); err == nil {
			t.Errorf("%q accepted", names)
		}
	}
}

func TestServerCertificatesRenew(t *testing.T) {
	ca, _ := newCA(t, start)
	now := start
	certs, err := ca.ServerCertificates([]string{"coordinator"}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	serve := func(at time.Time) (serial string, end time.Time) {
		t.Helper()
		now = at
		cert, err := certs.GetCertificate(nil)
		if err != nil {
			t.Fatalf("at %v: %v", at, err)
		}
		return identity.Serial(cert.Leaf), cert.Leaf.NotAfter
	}
	day := 24 * time.Hour
	first, _ := serve(start)
	if again, _ := serve(start.Add(59 * day)); again != first {
		t.Error("renewed in the first two thirds of its life")
	}
	second, end := serve(start.Add(61 * day))
	if second == first || !end.Equal(start.Add(151*day)) {
		t.Errorf("in the last third: same certificate %v, ends %v", second == first, end)
	}
	third, _ := serve(start.Add(400 * day))
	if third == second {
		t.Error("not renewed after a long pause")
	}
	if again, _ := serve(start.Add(459 * day)); again != third {
		t.Error("renewed in the first two thirds of its life, long after the CA was made")
	}
	if back, _ := serve(start.Add(30 * day)); back == third {
		t.Error("a certificate of the future is served after the clock was set back")
	}
	last, end := serve(ca.NotAfter().Add(-day))
	if !end.Equal(ca.NotAfter()) {
		t.Errorf("it ends %v, after its issuer", end)
	}
	if again, _ := serve(ca.NotAfter().Add(-time.Hour)); again != last {
		t.Error("renewed though it cannot last longer")
	}
}

func TestServerCertificatesRefuseBadNamesAtTheStart(t *testing.T) {
	ca, _ := newCA(t, start)
	if certs, err := ca.ServerCertificates(nil, time.Now); err == nil || certs != nil {
		t.Errorf("got %v", err)
	}
}
