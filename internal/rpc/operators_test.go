package rpc_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"muster/internal/coordinator"
	"muster/internal/proof"
	operatorv1 "muster/proto/muster/operator/v1"
)

// operate makes an operator and its certificate.
func (s *site) operate(name string, level coordinator.Level, ttl time.Duration) *tls.Certificate {
	s.Helper()
	key := newKey(s)
	resp, err := s.operator.CreateOperator(context.Background(), &operatorv1.CreateOperatorRequest{
		Name: name, Level: string(level), Ttl: durationpb.New(ttl), Csr: newCSR(s, key),
	})
	if err != nil {
		s.Fatal(err)
	}
	return &tls.Certificate{Certificate: resp.Chain, PrivateKey: key}
}

// forged is what a thief of an intermediate's key makes.
func (s *site) forged(by, name string) *tls.Certificate {
	s.Helper()
	read := func(ext string) []byte {
		text, err := os.ReadFile(filepath.Join(s.caDir, by+ext))
		if err != nil {
			s.Fatal(err)
		}
		return text
	}
	issuer, err := proof.ParseCertificate(read(".crt"))
	if err != nil {
		s.Fatal(err)
	}
	key, err := proof.ParseKey(read(".key"))
	if err != nil {
		s.Fatal(err)
	}
	uri, err := url.Parse(name)
	if err != nil {
		s.Fatal(err)
	}
	own := newKey(s)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(7), NotBefore: start, NotAfter: start.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, URIs: []*url.URL{uri},
	}, issuer, own.Public(), key)
	if err != nil {
		s.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, issuer.Raw}, PrivateKey: own}
}

func (s *site) as(cert *tls.Certificate) operatorv1.OperatorServiceClient {
	return operatorv1.NewOperatorServiceClient(s.connect(cert))
}

func TestTheStoreDecidesTheLevelAtEachCall(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	vera := s.as(s.operate("vera", coordinator.Viewer, time.Hour))
	if _, err := vera.ListHosts(t.Context(), &operatorv1.ListHostsRequest{}); err != nil {
		t.Fatal(err)
	}
	_, err := vera.CreateToken(t.Context(), &operatorv1.CreateTokenRequest{Role: "master"})
	wantCode(t, err, codes.PermissionDenied, "this call needs level operator, and the caller is operator vera (viewer)")
	if !strings.Contains(remedy(err), "coordinator operator create") {
		t.Errorf("remedy %q", remedy(err))
	}
	if _, err := s.operator.RevokeOperator(t.Context(), &operatorv1.RevokeOperatorRequest{Name: "vera"}); err != nil {
		t.Fatal(err)
	}
	_, err = vera.ListHosts(t.Context(), &operatorv1.ListHostsRequest{})
	wantCode(t, err, codes.PermissionDenied, "the operator vera was revoked")
	// The name is free again, and the old credential stays what it is.
	again := s.as(s.operate("vera", coordinator.Operator, time.Hour))
	_, err = vera.ListHosts(t.Context(), &operatorv1.ListHostsRequest{})
	wantCode(t, err, codes.PermissionDenied, "was replaced")
	if _, err := again.CreateToken(t.Context(), &operatorv1.CreateTokenRequest{Role: "agent"}); err != nil {
		t.Error(err)
	}
	events, err := s.core.Events(t.Context(), coordinator.EventFilter{Kind: "token-created", Actor: "vera"}, 10)
	if err != nil || len(events) != 1 || events[0].Actor != "operator vera (operator)" || events[0].From != "127.0.0.1" {
		t.Errorf("%+v, %v", events, err)
	}
}

func TestAWatchEndsWithTheOperatorsRight(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(s *site) error{
		"revoked": func(s *site) error {
			_, err := s.operator.RevokeOperator(context.Background(), &operatorv1.RevokeOperatorRequest{Name: "vera"})
			return err
		},
		"expired": func(*site) error { return nil },
	} {
		s := newSite(t)
		ttl := time.Hour
		if name == "expired" {
			ttl = 2 * time.Second
		}
		stream, err := s.as(s.operate("vera", coordinator.Viewer, ttl)).WatchHosts(t.Context(), &operatorv1.WatchHostsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := stream.Recv()
			ended <- err
		}()
		if err := end(s); err != nil {
			t.Fatal(err)
		}
		wantCode(t, soon(t, ended), codes.PermissionDenied, name)
	}
}

func TestOperatorsThatAreNotMade(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.operate("vera", coordinator.Viewer, time.Hour)
	csr := newCSR(t, newKey(t))
	before := s.state()
	for name, c := range map[string]struct {
		req  *operatorv1.CreateOperatorRequest
		code codes.Code
		text string
	}{
		"a name that is in use":     {&operatorv1.CreateOperatorRequest{Name: "vera", Level: "admin", Csr: csr}, codes.FailedPrecondition, "there is an operator vera"},
		"a path for a name":         {&operatorv1.CreateOperatorRequest{Name: "../host/x", Level: "viewer", Csr: csr}, codes.InvalidArgument, "DNS label"},
		"a name with an escape":     {&operatorv1.CreateOperatorRequest{Name: "a\x1b[2J", Level: "viewer", Csr: csr}, codes.InvalidArgument, "DNS label"},
		"no level":                  {&operatorv1.CreateOperatorRequest{Name: "al", Csr: csr}, codes.InvalidArgument, "is not a level"},
		"a host for a level":        {&operatorv1.CreateOperatorRequest{Name: "al", Level: "host", Csr: csr}, codes.InvalidArgument, "is not a level"},
		"no request":                {&operatorv1.CreateOperatorRequest{Name: "al", Level: "viewer"}, codes.InvalidArgument, "request refused"},
		"two years":                 {&operatorv1.CreateOperatorRequest{Name: "al", Level: "viewer", Csr: csr, Ttl: durationpb.New(17520 * time.Hour)}, codes.InvalidArgument, "lifetime"},
		"a lifetime that has ended": {&operatorv1.CreateOperatorRequest{Name: "al", Level: "viewer", Csr: csr, Ttl: durationpb.New(-time.Hour)}, codes.InvalidArgument, "lifetime"},
	} {
		_, err := s.operator.CreateOperator(t.Context(), c.req)
		if wantCode(t, err, c.code, c.text); t.Failed() {
			t.Fatal(name)
		}
	}
	s.wantState(before)
	_, err := s.operator.RevokeOperator(t.Context(), &operatorv1.RevokeOperatorRequest{Name: "al"})
	wantCode(t, err, codes.NotFound, "there is no operator")
	s.wantState(before)
}

func TestTheNumberOfOperatorsIsBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	csr := newCSR(t, newKey(t))
	for n := range 257 {
		_, err := s.operator.CreateOperator(t.Context(), &operatorv1.CreateOperatorRequest{Name: "op-" + string(rune('a'+n/26)) + string(rune('a'+n%26)), Level: "viewer", Csr: csr})
		if n == 256 {
			wantCode(t, err, codes.FailedPrecondition, "there are 256 operators")
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
