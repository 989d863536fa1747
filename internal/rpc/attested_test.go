package rpc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"muster/internal/attest"
	"muster/internal/attest/attesttest"
	"muster/internal/coordinator"
	"muster/internal/manifest"
	"muster/internal/proof"
	"muster/internal/seed"
	enrolmentv1 "muster/proto/muster/enrolment/v1"
	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

var (
	frankfurt = sync.OnceValue(func() *attesttest.Signer { return attesttest.NewSigner(start) })
	ireland   = sync.OnceValue(func() *attesttest.Signer { return attesttest.NewSigner(start) })
)

// onAWS has policies for instances of account 123456789012 in Frankfurt.
func onAWS(o *coordinator.Options) {
	policy := func(role manifest.Role) manifest.AWSPolicy {
		return manifest.AWSPolicy{
			Role: role, Accounts: []string{"123456789012"}, Regions: []string{"eu-central-1"}, Images: []string{"ami-0123456789abcdef0"},
			Window: manifest.Span(30 * time.Minute), Labels: map[string]string{"pool": "spot"},
		}
	}
	anyImage := policy("agent")
	anyImage.Images = nil
	o.AWS = attesttest.Certificates(map[string]*attesttest.Signer{"eu-central-1": frankfurt(), "eu-west-1": ireland()})
	o.Generation.Attestation = &manifest.Attestation{AWS: &manifest.AWS{Policies: map[string]manifest.AWSPolicy{
		"workers": policy("agent"), "masters": policy("master"), "any-image": anyImage,
	}}}
}

// numberedInstance is host number n as its document has it.
func numberedInstance(n int) map[string]any {
	_, address := numbered(n)
	const digits = "0123456789abcdef"
	return map[string]any{"privateIp": address, "instanceId": "i-0123456789abcde" + string(digits[n>>4&15]) + string(digits[n&15])}
}

// with is what a document says beside numberedInstance(1).
func with(set map[string]any) map[string]any {
	all := numberedInstance(1)
	maps.Copy(all, set)
	return all
}

// presents is the whole dialogue of host number n by a document.
func (s *site) presents(key *ecdsa.PrivateKey, n int, policy string, document []byte, change ...func(*enrolmentv1.Proof)) (*enrolmentv1.Credential, error) {
	s.Helper()
	conn := s.connect(nil)
	defer conn.Close()
	d := begin(s, conn)
	d.key, d.csr = key, newCSR(s, key)
	hello := d.hello()
	hello.GetHello().Method = "aws"
	d.say(hello)
	resp, err := d.stream.Recv()
	if err != nil {
		return nil, err
	}
	d.nonce = resp.GetChallenge().GetNonce()
	signature, err := proof.Sign(d.key, proof.Transcript(d.nonce, d.exporter(), d.csr, "aws"))
	if err != nil {
		s.Fatal(err)
	}
	name, address := numbered(n)
	p := &enrolmentv1.Proof{Signature: signature, HostName: name, HostAddress: address, Policy: policy, Document: document}
	for _, f := range change {
		f(p)
	}
	d.say(&enrolmentv1.EnrollRequest{Step: &enrolmentv1.EnrollRequest_Proof{Proof: p}})
	resp, err = d.stream.Recv()
	return resp.GetCredential(), err
}

func TestAnInstanceJoinsByItsDocument(t *testing.T) {
	t.Parallel()
	s := newSite(t, onAWS)
	key := newKey(t)
	c, err := s.presents(key, 1, "workers", frankfurt().Document(numberedInstance(1)), func(p *enrolmentv1.Proof) {
		// Its own word on what the document says counts for nothing.
		p.Zone = "eu-central-1c"
		p.Labels = map[string]string{"zone": "x", "region": "us-east-1", "image": "ami-0", "instance-id": "i-0", "pool": "mine", "rack": "7"}
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.operator.GetHost(t.Context(), &operatorv1.GetHostRequest{Host: c.HostId})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"zone": "eu-central-1a", "region": "eu-central-1", "image": "ami-0123456789abcdef0", "instance-id": "i-0123456789abcde01", "pool": "spot", "rack": "7"}
	if h := got.Host; h.Role != "agent" || h.JoinedBy != "aws:workers" || h.Facts.Zone != "eu-central-1a" || !maps.Equal(h.Facts.Labels, want) {
		t.Errorf("it is %v", h)
	}
	s.wantEvent("enrolled", "node-aab joined by policy workers, instance i-0123456789abcde01 (account 123456789012, eu-central-1a, image ami-0123456789abcdef0), as agent")
	// With the certificate it is a host like any other, and its own word changes none of that.
	h := s.host("", c.Chain, key)
	resp, err := h.sync(&syncv1.SyncRequest{Facts: &syncv1.Facts{Name: "node-aab", Address: "10.0.0.1", Zone: "b", Labels: map[string]string{"zone": "b"}}})
	if err != nil || resp.Directive.GetPreflight().GetRole() != "agent" {
		t.Errorf("%v, %v", resp, err)
	}
	if got, err = s.operator.GetHost(t.Context(), &operatorv1.GetHostRequest{Host: c.HostId}); err != nil || !maps.Equal(got.Host.Facts.Labels, want) {
		t.Errorf("after a call it is %v, %v", got, err)
	}
}

func TestAnInstanceGetsACountedRoleThatItsPolicyBinds(t *testing.T) {
	t.Parallel()
	s := newSite(t, onAWS)
	for n := range 4 {
		c, err := s.presents(newKey(t), n, "masters", frankfurt().Document(numberedInstance(n)))
		if err != nil {
			t.Fatal(err)
		}
		want := "master"
		if n == 3 {
			want = "" // a spare: never one too many
		}
		if got, err := s.operator.GetHost(t.Context(), &operatorv1.GetHostRequest{Host: c.HostId}); err != nil || got.Host.Role != want {
			t.Errorf("number %d is %v, %v", n, got, err)
		}
	}
}

// Every refusal is told alike; the event says why, and nothing is changed by it.
func TestADocumentThatIsRefused(t *testing.T) {
	t.Parallel()
	content := attesttest.Content(numberedInstance(1))
	other := attesttest.Content(with(map[string]any{"accountId": "999999999999"}))
	sum := sha256.Sum256(content)
	attributes := attesttest.Attributes(attesttest.OIDData, sum[:])
	attacker := attesttest.NewSigner(start)
	of := func(m attesttest.Message) []byte {
		if m.Content == nil {
			m.Content = content
		}
		if m.Signers == nil {
			m.Signers = attesttest.Set(frankfurt().Info(m.Content))
		}
		return attesttest.Encode(m.BER())
	}
	at := func(t time.Time) []byte {
		return frankfurt().Document(with(map[string]any{"pendingTime": t.Format(time.RFC3339)}))
	}
	good := frankfurt().Document(numberedInstance(1))
	for name, c := range map[string]struct {
		policy   string
		document []byte
		why      string
	}{
		"another account": {"workers", frankfurt().Document(with(map[string]any{"accountId": "999999999999"})),
			"instance i-0123456789abcde01 of account 999999999999, policy workers: account 999999999999 is not one of [123456789012]"},
		"another region": {"workers", ireland().Document(with(map[string]any{"region": "eu-west-1", "availabilityZone": "eu-west-1a"})),
			"policy workers: its signature is of none of the regions eu-central-1"},
		"another region in the content": {"workers", frankfurt().Document(with(map[string]any{"region": "eu-west-1", "availabilityZone": "eu-west-1a"})),
			"it is of region eu-west-1 and signed by eu-central-1"},
		"the certificate of another region": {"workers", ireland().Document(numberedInstance(1)), "its signature is of none of the regions"},
		"another image":                     {"workers", frankfurt().Document(with(map[string]any{"imageId": "ami-00000000000000000"})), "image ami-00000000000000000 is not one of"},
		"too old":                           {"workers", at(start.Add(-31 * time.Minute)), "more than 30m0s ago"},
		"of the future":                     {"workers", at(start.Add(2 * time.Minute)), "which is to come"},
		"another address":                   {"workers", frankfurt().Document(with(map[string]any{"privateIp": "10.0.0.99"})), "it says that its address is 10.0.0.1, its document 10.0.0.99"},
		"no policy":                         {"", good, `there is no policy ""`},
		"a policy that there is not":        {"nobody\x1b[2J", good, `there is no policy "nobody\x1b[2J"`},
		"no document":                       {"workers", nil, "not in BER"},
		"a join token":                      {"workers", []byte("mt1.abcdefghijkl.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), "not base64"},
		"a long document":                   {"workers", []byte(strings.Repeat("A", 17<<10)), "more than 16384"},
		"two signers":                       {"workers", of(attesttest.Message{Signers: attesttest.Set(frankfurt().Info(content), attacker.Info(content))}), "exactly one signer"},
		"an attacker's certificate": {"workers", of(attesttest.Message{Signers: attesttest.Set(attacker.Info(content)), Certificates: attesttest.DER(0xa0, raw(t, attacker))}),
			"its signature is of none of the regions"},
		"a signature over another content": {"workers", of(attesttest.Message{Content: other, Signers: attesttest.Set(frankfurt().Info(content))}), "over another content"},
		"detached content":                 {"workers", of(attesttest.Message{Inner: attesttest.Open(0x30, attesttest.OID(attesttest.OIDData))}), "content is not in it"},
		"bytes after it":                   {"workers", of(attesttest.Message{Trailer: []byte{0x30, 0}}), "bytes follow its end"},
		"SHA-1":                            {"workers", of(attesttest.Message{Digest: attesttest.DER(0x31, attesttest.Algorithm(attesttest.OIDSHA1))}), "not SHA-256"},
		"DSA":                              {"workers", of(attesttest.Message{Signers: attesttest.Set(frankfurt().InfoOver(attributes, attesttest.OIDSHA256, attesttest.OIDDSA))}), "not signed with RSA"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, onAWS)
			before := s.state()
			_, err := s.presents(newKey(t), 1, c.policy, c.document)
			wantCode(t, err, codes.PermissionDenied, "")
			if text := err.Error(); !strings.HasSuffix(text, "desc = the instance identity document was refused") || strings.Contains(remedy(err), "account") {
				t.Errorf("the host is told %q (%q)", text, remedy(err))
			}
			s.wantState(before)
			s.wantEvent("enrolment-denied", c.why)
			if _, err := s.presents(newKey(t), 1, "workers", good); err != nil {
				t.Errorf("the right one is refused now: %v", err)
			}
		})
	}
}

func raw(t testing.TB, s *attesttest.Signer) []byte {
	t.Helper()
	list, err := attest.ParseCertificates(s.PEM)
	if err != nil {
		t.Fatal(err)
	}
	return list[0].Raw
}

func TestADocumentServesOneHost(t *testing.T) {
	t.Parallel()
	s := newSite(t, onAWS)
	document := frankfurt().Document(numberedInstance(1))
	key := newKey(t)
	first, err := s.presents(key, 1, "workers", document)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("the same key is the same host", func(t *testing.T) {
		again, err := s.presents(key, 1, "workers", document)
		if err != nil || again.HostId != first.HostId {
			t.Errorf("%v, %v", again, err)
		}
	})
	t.Run("also when the document is old, or is none", func(t *testing.T) {
		s.advance(25 * time.Hour)
		defer s.advance(-25 * time.Hour)
		for _, document := range [][]byte{document, nil} {
			again, err := s.presents(key, 1, "workers", document)
			if err != nil || again.HostId != first.HostId {
				t.Errorf("%v, %v", again, err)
			}
		}
	})
	refused := func(t *testing.T, key *ecdsa.PrivateKey, n int, policy, why string) {
		t.Helper()
		before := s.state()
		_, err := s.presents(key, n, policy, document, func(p *enrolmentv1.Proof) { _, p.HostAddress = numbered(1) })
		wantCode(t, err, codes.PermissionDenied, "the instance identity document was refused")
		s.wantState(before)
		s.wantEvent("enrolment-denied", why)
	}
	t.Run("another key is refused", func(t *testing.T) {
		refused(t, newKey(t), 2, "workers", "instance i-0123456789abcde01 of account 123456789012 has joined already, at 2026-03-01T03:00:00Z as "+first.HostId)
	})
	t.Run("by another policy, too", func(t *testing.T) {
		refused(t, newKey(t), 3, "any-image", "node-aad: instance i-0123456789abcde01 of account 123456789012 has joined already")
	})
	t.Run("the host cannot be readmitted while it is there", func(t *testing.T) {
		before := s.state()
		_, err := s.operator.ReadmitInstance(t.Context(), &operatorv1.ReadmitInstanceRequest{Account: "123456789012", Instance: "i-0123456789abcde01"})
		wantCode(t, err, codes.FailedPrecondition, "is the host "+first.HostId)
		s.wantState(before)
	})
	t.Run("a removed host's instance is refused", func(t *testing.T) {
		if _, err := s.operator.RemoveHost(t.Context(), &operatorv1.RemoveHostRequest{Host: first.HostId}); err != nil {
			t.Fatal(err)
		}
		refused(t, newKey(t), 4, "workers", "node-aae: instance i-0123456789abcde01 of account 123456789012 has joined already")
		refused(t, key, 5, "workers", "node-aaf: the host was removed")
	})
	t.Run("until an operator readmits it", func(t *testing.T) {
		_, err := s.operator.ReadmitInstance(t.Context(), &operatorv1.ReadmitInstanceRequest{Account: "123456789012", Instance: "i-0123456789abcde01"})
		if err != nil {
			t.Fatal(err)
		}
		s.wantEvent("instance-readmitted", "instance 123456789012/i-0123456789abcde01, which was node-aab, may join once more")
		again, err := s.presents(newKey(t), 1, "workers", document)
		if err != nil || again.HostId == first.HostId {
			t.Errorf("%v, %v", again, err)
		}
		refused(t, newKey(t), 6, "workers", "node-aag: instance i-0123456789abcde01 of account 123456789012 has joined already")
	})
}

func TestWhatCannotBeReadmitted(t *testing.T) {
	t.Parallel()
	s := newSite(t, onAWS)
	for name, c := range map[string]struct {
		account, instance string
		code              codes.Code
		text              string
	}{
		"nothing":                      {"", "", codes.InvalidArgument, "are not an account and an instance"},
		"a path":                       {"123456789012", "../../cluster", codes.InvalidArgument, "are not an account and an instance"},
		"one that never joined":        {"123456789012", "i-0123456789abcdef0", codes.NotFound, "no host has joined as instance"},
		"one with its account missing": {"i-0123456789abcdef0", "", codes.InvalidArgument, "are not an account and an instance"},
	} {
		t.Run(name, func(t *testing.T) {
			before := s.state()
			_, err := s.operator.ReadmitInstance(t.Context(), &operatorv1.ReadmitInstanceRequest{Account: c.account, Instance: c.instance})
			wantCode(t, err, c.code, c.text)
			s.wantState(before)
		})
	}
}

// A hundred machines with one copied document: one of them is the host.
func TestOfManyWithOneDocumentOneJoins(t *testing.T) {
	t.Parallel()
	s := newSite(t, onAWS)
	document := frankfurt().Document(numberedInstance(1))
	var mu sync.Mutex
	var wg sync.WaitGroup
	joined := 0
	for range 20 {
		key := newKey(t)
		wg.Go(func() {
			if _, err := s.presents(key, 1, "workers", document); err == nil {
				mu.Lock()
				joined++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if joined != 1 {
		t.Errorf("%d joined", joined)
	}
}

func TestAListedNameOrAddressDoesNotChangeWhatAPolicySays(t *testing.T) {
	t.Parallel()
	s := newSite(t, onAWS, func(o *coordinator.Options) {
		o.Generation.Hosts = []manifest.Listed{{Name: "node-aab", Role: "public-agent"}, {Address: "10.0.0.2", Role: "master"}}
	})
	for n := 1; n <= 2; n++ {
		c, err := s.presents(newKey(t), n, "workers", frankfurt().Document(numberedInstance(n)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.operator.GetHost(t.Context(), &operatorv1.GetHostRequest{Host: c.HostId}); err != nil || got.Host.Role != "agent" {
			t.Errorf("number %d is %v, %v", n, got, err)
		}
	}
}

func TestAnotherAddressIsTakenWhereTheOperatorChoosesOne(t *testing.T) {
	t.Parallel()
	document := frankfurt().Document(with(map[string]any{"privateIp": "10.0.0.99"}))
	chosen := newSite(t, onAWS, func(o *coordinator.Options) { o.Generation.Address = manifest.Detection{Interface: "eth1"} })
	if _, err := chosen.presents(newKey(t), 1, "workers", document); err != nil {
		t.Error(err)
	}
	s := newSite(t, onAWS)
	if _, err := s.presents(newKey(t), 1, "workers", document, func(p *enrolmentv1.Proof) { p.HostAddress = "fd00::1" }); err != nil {
		t.Errorf("an address of IPv6: %v", err)
	}
}

func TestWithoutPoliciesNobodyJoinsByADocument(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	before := s.state()
	_, err := s.presents(newKey(t), 1, "workers", frankfurt().Document(numberedInstance(1)))
	wantCode(t, err, codes.InvalidArgument, `enrolment by "aws" is not offered`)
	s.wantState(before)
	s.wantEvent("enrolment-denied", `enrolment by "aws" is not offered`)
}

// Who shows a document still has to hold the key, on this connection, and for this method.
func TestAProofForTokensIsNoneForADocument(t *testing.T) {
	t.Parallel()
	s := newSite(t, onAWS)
	before := s.state()
	d := begin(t, s.connect(nil))
	hello := d.hello()
	hello.GetHello().Method = "aws"
	d.say(hello)
	resp, err := d.stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	d.nonce = resp.GetChallenge().GetNonce()
	p := d.proof(1, "", d.exporter()) // signed for the method token
	p.GetProof().Policy, p.GetProof().Document = "workers", frankfurt().Document(numberedInstance(1))
	d.say(p)
	wantCode(t, d.ends().Err(), codes.PermissionDenied, "the proof of possession does not fit")
	s.wantState(before)
	// A document is no token, and the other way round.
	_, err = s.presents(newKey(t), 1, "", nil, func(p *enrolmentv1.Proof) { p.Token = s.token("agent", 1) })
	wantCode(t, err, codes.PermissionDenied, "the instance identity document was refused")
}

func TestASeedOfAPolicyHoldsNoToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, onAWS)
	before := s.state()
	for name, c := range map[string]struct {
		by   *operatorv1.ByAws
		want string
	}{
		"by its name":          {&operatorv1.ByAws{Policy: "workers"}, "workers"},
		"by its name and role": {&operatorv1.ByAws{Policy: "any-image", Role: "agent"}, "any-image"},
		"by its role":          {&operatorv1.ByAws{Role: "master"}, "masters"},
	} {
		resp, err := s.operator.CreateSeed(t.Context(), &operatorv1.CreateSeedRequest{Aws: c.by})
		if err != nil {
			t.Fatal(name, err)
		}
		made, err := seed.Parse(resp.Seed)
		if err != nil || made.AWSPolicy != c.want || made.Token != "" || resp.TokenId != "" || strings.Contains(string(resp.Seed), "token") {
			t.Errorf("%s: %s, %v", name, resp.Seed, err)
		}
	}
	for name, c := range map[string]struct {
		request *operatorv1.CreateSeedRequest
		text    string
	}{
		"no such policy":       {&operatorv1.CreateSeedRequest{Aws: &operatorv1.ByAws{Policy: "nobody"}}, `there is no policy "nobody"`},
		"another role":         {&operatorv1.CreateSeedRequest{Aws: &operatorv1.ByAws{Policy: "workers", Role: "master"}}, "policy workers gives the role agent, not master"},
		"two with the role":    {&operatorv1.CreateSeedRequest{Aws: &operatorv1.ByAws{Role: "agent"}}, "several policies give the role agent: any-image, workers"},
		"none with the role":   {&operatorv1.CreateSeedRequest{Aws: &operatorv1.ByAws{Role: "public-agent"}}, `no policy gives the role "public-agent"`},
		"nothing":              {&operatorv1.CreateSeedRequest{Aws: &operatorv1.ByAws{}}, "no policy gives the role"},
		"a token and a policy": {&operatorv1.CreateSeedRequest{Aws: &operatorv1.ByAws{Policy: "workers"}, Token: &operatorv1.CreateTokenRequest{Role: "agent"}}, "not both"},
	} {
		_, err := s.operator.CreateSeed(t.Context(), c.request)
		if wantCode(t, err, codes.InvalidArgument, c.text); remedy(err) == "" {
			t.Errorf("%s: no remedy", name)
		}
	}
	s.wantState(before)
}

// A generation that binds too little, whoever wrote it, and one with a certificate that is none, are not served.
func TestAGenerationWithAnAttestationThatIsNotOne(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*manifest.AWS)
		text  string
	}{
		"a counted role without images": {func(a *manifest.AWS) {
			p := a.Policies["masters"]
			p.Images = nil
			a.Policies["masters"] = p
		}, "policy masters: the counted role master needs images, too"},
		"no accounts": {func(a *manifest.AWS) {
			a.Policies["x"] = manifest.AWSPolicy{Role: "agent", Regions: []string{"eu-central-1"}, Window: 1}
		}, "not bound to accounts"},
		"a long window": {func(a *manifest.AWS) {
			p := a.Policies["workers"]
			p.Window = manifest.Span(25 * time.Hour)
			a.Policies["workers"] = p
		}, "window 25h"},
		"an unknown role":               {func(a *manifest.AWS) { a.Policies["x"] = manifest.AWSPolicy{Role: "x"} }, `unknown role "x"`},
		"a certificate that is no text": {func(a *manifest.AWS) { a.Certificates = map[string]string{"eu-central-1": "x"} }, "certificate of region eu-central-1"},
	} {
		t.Run(name, func(t *testing.T) {
			var o coordinator.Options
			digest := manifest.Digest(strings.Repeat("d", 64))
			o.Generation = &manifest.Generation{
				Format: manifest.Format, Cluster: cluster, ConfigID: manifest.ConfigID(digest),
				Roles: []manifest.RoleEntry{
					{Name: "master", Count: 3, Manifest: manifest.Blob{Digest: digest, Size: 1}}, {Name: "agent", Manifest: manifest.Blob{Digest: digest, Size: 1}},
				},
			}
			onAWS(&o)
			c.spoil(o.Generation.Attestation.AWS)
			err := o.Generation.Validate()
			if err == nil {
				o.Manifests = map[manifest.Role]*manifest.Manifest{"master": {}, "agent": {}}
				_, err = coordinator.New(context.Background(), o)
			}
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %q", err, c.text)
			}
		})
	}
}
