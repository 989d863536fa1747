package rpc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/durationpb"

	"muster/internal/coordinator"
	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/identity"
	"muster/internal/proof"
	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

// roots are those of the CA as it is now, the newest first.
func (s *site) roots() []*x509.Certificate {
	s.Helper()
	var all []*x509.Certificate
	for _, der := range s.ca.Roots() {
		root, err := proof.ParseRootDER(der)
		if err != nil {
			s.Fatal(err)
		}
		all = append(all, root)
	}
	return all
}

// trusting connects as a host that trusts these roots.
func (s *site) trusting(roots []*x509.Certificate, cert *tls.Certificate) (*grpc.ClientConn, error) {
	config, err := proof.ClientTLSByRoots(roots, cert, "127.0.0.1", s.clock)
	if err != nil {
		return nil, err
	}
	return grpc.NewClient("passthrough:///"+s.address, grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithNoProxy(), grpc.WithDisableServiceConfig())
}

// follower does what a bootstrap agent does about its certificate and its roots, without the patience.
type follower struct {
	*site
	id    hosts.ID
	roots []*x509.Certificate
	cert  *tls.Certificate
	conn  *grpc.ClientConn
	calls int
}

func (f *follower) dial() error {
	if f.conn != nil {
		_ = f.conn.Close()
	}
	var err error
	f.conn, err = f.trusting(f.roots, f.cert)
	return err
}

// once syncs, and follows what the answer says.
func (f *follower) once(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req := &syncv1.SyncRequest{Hold: durationpb.New(20 * time.Millisecond)}
	for _, root := range f.roots {
		sum := sha256.Sum256(root.Raw)
		req.Roots = append(req.Roots, sum[:])
	}
	client := syncv1.NewSyncServiceClient(f.conn)
	resp, err := client.Sync(ctx, req)
	if err != nil {
		return err
	}
	f.calls++
	if len(resp.Roots) > 0 {
		f.roots = nil
		for _, der := range resp.Roots {
			root, err := proof.ParseRootDER(der)
			if err != nil {
				return err
			}
			f.roots = append(f.roots, root)
		}
	}
	if resp.RenewWithin.AsDuration() <= 0 {
		return nil
	}
	key, err := proof.NewKey()
	if err != nil {
		return err
	}
	csr, err := proof.CSR(key)
	if err != nil {
		return err
	}
	renewed, err := client.Renew(ctx, &syncv1.RenewRequest{Csr: csr})
	if err != nil {
		return err
	}
	f.calls++
	f.cert = &tls.Certificate{Certificate: renewed.Chain, PrivateKey: key}
	return f.dial()
}

func (s *site) follower(n int, token string, roots []*x509.Certificate) *follower {
	s.Helper()
	conn, err := s.trusting(roots, nil)
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close()
	d := begin(s, conn).challenged()
	d.say(d.proof(n, token, d.exporter()))
	resp, err := d.stream.Recv()
	if err != nil {
		s.Fatal(err)
	}
	c := resp.GetCredential()
	f := &follower{site: s, id: hosts.ID(c.HostId), roots: roots, cert: &tls.Certificate{Certificate: c.Chain, PrivateKey: d.key}}
	if err := f.dial(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = f.conn.Close() })
	return f
}

func (s *site) authority() *operatorv1.GetAuthorityResponse {
	s.Helper()
	a, err := s.operator.GetAuthority(context.Background(), &operatorv1.GetAuthorityRequest{})
	if err != nil {
		s.Fatal(err)
	}
	return a
}

func (s *site) finish(force bool) error {
	_, err := s.operator.FinishAuthority(context.Background(), &operatorv1.FinishAuthorityRequest{Force: force})
	return err
}

func (s *site) rotate(intermediates bool) {
	s.Helper()
	if _, err := s.operator.RotateAuthority(context.Background(), &operatorv1.RotateAuthorityRequest{Intermediates: intermediates}); err != nil {
		s.Fatal(err)
	}
}

func TestNoCallOfFiftyHostsFailsWhileTheCAIsRotated(t *testing.T) {
	t.Parallel()
	for name, intermediates := range map[string]bool{"root and intermediates": false, "intermediates": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			old := s.roots()
			const n = 50
			token := s.token("agent", n)
			all := make([]*follower, n)
			for i := range all {
				all[i] = s.follower(i, token, old)
			}
			early := s.token("agent", 1) // in a seed or user-data that nobody has used yet
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var wg sync.WaitGroup
			var failed atomic.Int64
			for _, f := range all[1:] { // the first is silent for now
				wg.Go(func() {
					for ctx.Err() == nil {
						if err := f.once(ctx); err != nil && ctx.Err() == nil {
							failed.Add(1)
							t.Errorf("%s: %v", f.id, err)
							return
						}
					}
				})
			}
			s.rotate(intermediates)
			s.wantEvent("ca-rotated", "intermediates")
			await(t, func() bool { return s.authority().Rotation.GetMoved() == n-1 })
			err := s.finish(false)
			wantCode(t, err, codes.FailedPrecondition, "1 hosts under way that have not taken the new CA (node-aaa)")
			if !intermediates {
				wantCode(t, err, codes.FailedPrecondition, "1 join tokens from before")
			}
			wantCode(t, s.finish(true), codes.FailedPrecondition, "by force from 2026-03-02T03:00:00Z on")
			if remedy(err) == "" || s.authority().Rotation == nil {
				t.Errorf("remedy %q", remedy(err))
			}

			// The seed from before still works.
			late := s.follower(n, early, old)
			for _, f := range []*follower{all[0], late} {
				for range 3 {
					if err := f.once(ctx); err != nil {
						t.Errorf("%s: %v", f.id, err)
					}
				}
			}
			await(t, func() bool { r := s.authority().Rotation; return r.Behind == 0 && r.Tokens == 0 })
			if err := s.finish(false); err != nil {
				t.Fatal(err)
			}
			s.wantEvent("ca-rotation-finished", "finished")
			for _, f := range []*follower{all[0], late} {
				for range 3 {
					if err := f.once(ctx); err != nil {
						t.Errorf("after it, %s: %v", f.id, err)
					}
				}
			}
			// Long enough for each to call again.
			time.Sleep(300 * time.Millisecond)
			stop()
			wg.Wait()
			calls := 0
			for _, f := range all {
				calls += f.calls
				if !slices.EqualFunc(f.roots, s.roots(), (*x509.Certificate).Equal) {
					t.Errorf("%s trusts %d roots", f.id, len(f.roots))
				}
			}
			t.Logf("%d calls, %d failed", calls, failed.Load())
			// Who comes by the old root finds nobody.
			if !intermediates {
				conn, err := s.trusting(old, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_, err = syncv1.NewSyncServiceClient(conn).Sync(t.Context(), &syncv1.SyncRequest{})
				wantCode(t, err, codes.Unavailable, "certificate")
			}
		})
	}
}

func await(t testing.TB, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it takes too long")
		}
	}
}

func TestAHostThatMissedARotationIsDeniedAfterItIsForced(t *testing.T) {
	t.Parallel()
	for name, intermediates := range map[string]bool{"root and intermediates": false, "intermediates": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			f := s.follower(1, s.token("agent", 1), s.roots())
			living := syncv1.NewSyncServiceClient(f.conn)
			if _, err := living.Sync(t.Context(), &syncv1.SyncRequest{}); err != nil {
				t.Fatal(err)
			}
			s.rotate(intermediates)
			if _, err := living.Sync(t.Context(), &syncv1.SyncRequest{}); err != nil {
				t.Errorf("a living connection, during it: %v", err)
			}
			s.advance(24 * time.Hour)
			if err := s.finish(true); err != nil {
				t.Fatal(err)
			}
			s.wantEvent("ca-rotation-finished", "by force; cut off: 1 hosts under way that have not taken the new CA (node-aab)")
			s.advance(-23 * time.Hour) // its certificate has not expired
			before := s.state()
			_, err := living.Sync(t.Context(), &syncv1.SyncRequest{Reports: []*syncv1.Report{{Sequence: 1, Attempt: 1}}})
			wantCode(t, err, codes.PermissionDenied, "a CA that has been rotated since")
			if err := f.dial(); err != nil {
				t.Fatal(err)
			}
			if err := f.once(t.Context()); err == nil {
				t.Error("a new connection is served")
			}
			s.wantState(before)
			s.wantEvent("certificate-refused", "")
		})
	}
}

func TestOperatorsFromBeforeEndWithARotation(t *testing.T) {
	t.Parallel()
	for name, intermediates := range map[string]bool{"root": false, "intermediates": true} {
		s := newSite(t)
		old := s.operate("vera", coordinator.Viewer, time.Hour)
		leaf, err := x509.ParseCertificate(old.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		stream, err := s.as(old).WatchHosts(t.Context(), &operatorv1.WatchHostsRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := stream.Recv()
			ended <- err
		}()
		s.rotate(intermediates)
		s.advance(time.Second)
		fresh := s.operate("otto", coordinator.Viewer, time.Hour)
		if err := s.finish(false); err != nil {
			t.Fatal(err)
		}
		// What was begun before, a session on the page among it.
		wantCode(t, soon(t, ended), codes.PermissionDenied, "revoked")
		if _, err := s.core.OperatorBySerial(t.Context(), "vera", identity.Serial(leaf)); !errors.Is(err, fault.Denied) {
			t.Errorf("%s: %v", name, err)
		}
		s.wantEvent("operator-revoked", "operator vera")
		s.operate("vera", coordinator.Viewer, time.Hour)
		if _, err := s.as(fresh).ListHosts(t.Context(), &operatorv1.ListHostsRequest{}); err != nil {
			t.Errorf("%s: one from after the beginning: %v", name, err)
		}
	}
}

func TestOnlyAnAdminRotatesTheCA(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.join("agent", 1)
	before := s.state()
	client := operatorv1.NewOperatorServiceClient(h.conn)
	_, err := client.RotateAuthority(t.Context(), &operatorv1.RotateAuthorityRequest{})
	wantCode(t, err, codes.PermissionDenied, "")
	_, err = client.FinishAuthority(t.Context(), &operatorv1.FinishAuthorityRequest{})
	wantCode(t, err, codes.PermissionDenied, "")
	_, err = client.ReleaseHost(t.Context(), &operatorv1.ReleaseHostRequest{Host: string(h.id)})
	wantCode(t, err, codes.PermissionDenied, "")
	s.wantState(before)
	if s.authority().Rotation != nil {
		t.Error("a host rotates the CA")
	}
}

// A cloned disk: two machines with one key and one certificate, over TLS and gRPC.
func TestAClonedHostIsQuarantinedWithItsOriginal(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	original := s.join("agent", 1)
	clone := s.host(original.id, original.cert.Certificate, keyOf(original))
	for name, h := range map[string]*host{"the original": original, "the clone": clone} {
		if _, err := h.sync(&syncv1.SyncRequest{}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	key := newKey(t)
	resp, err := original.Renew(t.Context(), &syncv1.RenewRequest{Csr: newCSR(t, key)})
	if err != nil {
		t.Fatal(err)
	}
	renewed := s.host(original.id, resp.Chain, key)
	waiting := renewed.waits(renewed.says(syncv1.Phase_PHASE_PREFLIGHT).Id)

	// On the connection that it has, the clone is denied, and no more: it could be the original's last call.
	_, err = clone.sync(&syncv1.SyncRequest{})
	wantCode(t, err, codes.PermissionDenied, "is no longer current")
	if _, err := renewed.sync(&syncv1.SyncRequest{}); err != nil {
		t.Fatal(err)
	}
	// A new one tells.
	again := s.host(original.id, clone.cert.Certificate, keyOf(clone))
	_, err = again.sync(&syncv1.SyncRequest{Reports: []*syncv1.Report{{Sequence: 1, Attempt: 1}}})
	wantCode(t, err, codes.PermissionDenied, "is in quarantine")
	wantLeave(t, err, false)
	if !strings.Contains(remedy(err), "coordinator hosts release "+string(original.id)) {
		t.Errorf("remedy %q", remedy(err))
	}
	wantCode(t, soon(t, waiting).err, codes.PermissionDenied, "is in quarantine")
	before := s.state()
	for name, h := range map[string]*host{"the clone": again, "the original": renewed} {
		resp, err := h.sync(&syncv1.SyncRequest{Reports: []*syncv1.Report{{Sequence: 1, Attempt: 1}}})
		wantCode(t, err, codes.PermissionDenied, "is in quarantine")
		if resp != nil {
			t.Errorf("%s got %v", name, resp)
		}
		_, err = h.Renew(t.Context(), &syncv1.RenewRequest{Csr: newCSR(t, newKey(t))})
		wantCode(t, err, codes.PermissionDenied, "is in quarantine")
	}
	s.wantState(before)
	s.wantEvent("quarantined", "127.0.0.1")

	shown, err := s.operator.ReleaseHost(t.Context(), &operatorv1.ReleaseHostRequest{Host: string(original.id)})
	if err != nil || shown.Host.Quarantine != nil {
		t.Fatal(shown, err)
	}
	if _, err := renewed.sync(&syncv1.SyncRequest{}); err != nil {
		t.Errorf("after the release: %v", err)
	}
}

func keyOf(h *host) *ecdsa.PrivateKey { return h.cert.PrivateKey.(*ecdsa.PrivateKey) }
