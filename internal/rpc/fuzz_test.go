package rpc_test

import (
	"context"
	"crypto/x509"
	"net/netip"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"muster/internal/proof"
	enrolmentv1 "muster/proto/muster/enrolment/v1"
	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

// rawCodec sends bytes as they are, so that what arrives need not be a message.
type rawCodec struct{ encoding.CodecV2 }

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// internal says whether the status tells of a failure inside. gRPC itself says so of what it cannot decode.
func internal(err error) bool {
	st := status.Convert(err)
	return st.Code() == codes.Unknown || st.Code() == codes.Internal && !strings.Contains(st.Message(), "unmarshal")
}

func encoded(f *testing.F, m proto.Message) []byte {
	f.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	return raw
}

// FuzzEnroll sends two messages of any bytes, then a proof that is right but for what the host says of itself.
func FuzzEnroll(f *testing.F) {
	s := newSite(f)
	first := &dialogue{TB: f, key: newKey(f)}
	first.csr = newCSR(f, first.key)
	token := s.token("agent", 1<<30)
	garbage := first.proof(1, token, make([]byte, 32))
	f.Add(encoded(f, first.hello()), encoded(f, garbage), "node-1", "10.0.0.1", "a", token)
	f.Add(encoded(f, garbage), encoded(f, first.hello()), "node\x1b[2J", "::ffff:127.0.0.1", "\n", "mt1..")
	f.Add([]byte{}, []byte{0xff}, strings.Repeat("a", 300), "fe80::1%eth0", strings.Repeat("z", 64), "")
	f.Fuzz(func(t *testing.T, one, two []byte, name, address, zone, presented string) {
		s.TB = t
		before := s.state()
		conn := s.connect(nil)
		defer conn.Close()
		stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
			enrolmentv1.EnrolmentService_Enroll_FullMethodName, grpc.ForceCodecV2(rawCodec{}))
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.SendMsg(one)
		_ = stream.SendMsg(two)
		_ = stream.CloseSend()
		for err == nil {
			err = stream.RecvMsg(new([]byte))
		}
		if internal(err) {
			t.Errorf("a failure inside: %v", err)
		}
		s.wantState(before)

		d := begin(t, conn).challenged()
		p := d.proof(1, presented, d.exporter())
		// No message has other text; the bytes above say what becomes of it.
		name, address, zone = strings.ToValidUTF8(name, "?"), strings.ToValidUTF8(address, "?"), strings.ToValidUTF8(zone, "?")
		p.GetProof().Token = strings.ToValidUTF8(presented, "?")
		p.GetProof().HostName, p.GetProof().HostAddress, p.GetProof().Zone = name, address, zone
		d.say(p)
		resp, err := d.stream.Recv()
		if err != nil {
			if internal(err) {
				t.Errorf("a failure inside: %v", err)
			}
			s.wantState(before)
			return
		}
		id := resp.GetCredential().GetHostId()
		got, err := s.operator.GetHost(context.Background(), &operatorv1.GetHostRequest{Host: id})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := netip.ParseAddr(got.Host.Address)
		if err != nil || parsed.Unmap() != parsed || !parsed.IsGlobalUnicast() || parsed.Zone() != "" {
			t.Errorf("a host at %q", got.Host.Address)
		}
		if got.Host.Name != strings.ToLower(name) || strings.Trim(got.Host.Name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || len(got.Host.Facts.Zone) > 63 {
			t.Errorf("a host called %q in %q", got.Host.Name, got.Host.Facts.Zone)
		}
		if _, err := s.operator.RemoveHost(context.Background(), &operatorv1.RemoveHostRequest{Host: id}); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzSync sends any bytes as a host that has joined.
func FuzzSync(f *testing.F) {
	h := newSite(f).join("agent", 1)
	f.Add(encoded(f, &syncv1.SyncRequest{}))
	f.Add(encoded(f, &syncv1.SyncRequest{
		Observed:  &syncv1.Observed{Phase: syncv1.Phase_PHASE_FAILED, Attempt: 1, Step: "\x1b", Waiting: "\n", DoneBytes: -1},
		Following: "x", Facts: &syncv1.Facts{Address: "10.0.0.9", Labels: map[string]string{"role": "master"}},
		Reports: []*syncv1.Report{
			{Sequence: 1, Attempt: 1, Kind: &syncv1.Report_Step{Step: &syncv1.StepResult{Name: "unpack", Message: "no space"}}},
			{Sequence: 1 << 63, Attempt: 1, Kind: &syncv1.Report_Check{Check: &syncv1.CheckResult{Name: "disk", Status: 99}}},
			{Sequence: 3, Attempt: 2},
		},
	}))
	f.Add([]byte{0x12, 0, 0x12, 2, 0x2a, 0, 0x22, 2, 8, 0xff})
	var acknowledged uint64
	f.Fuzz(func(t *testing.T, raw []byte) {
		h.TB = t
		request := new(syncv1.SyncRequest)
		if proto.Unmarshal(raw, request) == nil && request.Hold != nil {
			t.Skip() // it would be held back
		}
		var answer []byte
		err := h.conn.Invoke(t.Context(), syncv1.SyncService_Sync_FullMethodName, raw, &answer, grpc.ForceCodecV2(rawCodec{}))
		if internal(err) {
			t.Errorf("a failure inside: %v", err)
		}
		if err == nil {
			resp := new(syncv1.SyncResponse)
			if err := proto.Unmarshal(answer, resp); err != nil || resp.Directive == nil || resp.Acknowledged < acknowledged {
				t.Errorf("%v after %d: %v", resp, acknowledged, err)
			}
			acknowledged = resp.Acknowledged
		}
		got, err := h.operator.GetHost(context.Background(), &operatorv1.GetHostRequest{Host: string(h.id)})
		if err != nil || got.Host.Name != "node-aab" || got.Host.Address != "10.0.0.1" || got.Host.Role != "agent" || len(got.Host.Facts.Labels) != 0 {
			t.Fatalf("%v, %v", got, err)
		}
		if size := proto.Size(got.Host); size > 16<<10 {
			t.Errorf("%d bytes are shown of one host", size)
		}
	})
}

// FuzzRenew sends any bytes as a host's request for a fresh certificate.
func FuzzRenew(f *testing.F) {
	h := newSite(f).join("agent", 1)
	f.Add(encoded(f, &syncv1.RenewRequest{Csr: newCSR(f, newKey(f))}))
	f.Add(encoded(f, &syncv1.RenewRequest{Csr: h.cert.Certificate[0]}))
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	records := len(h.state())
	f.Fuzz(func(t *testing.T, raw []byte) {
		h.TB = t
		var answer []byte
		err := h.conn.Invoke(t.Context(), syncv1.SyncService_Renew_FullMethodName, raw, &answer, grpc.ForceCodecV2(rawCodec{}))
		if internal(err) {
			t.Errorf("a failure inside: %v", err)
		}
		if err == nil {
			resp := new(syncv1.RenewResponse)
			if err := proto.Unmarshal(answer, resp); err != nil || len(resp.Chain) == 0 {
				t.Fatal(resp, err)
			}
			leaf, err := x509.ParseCertificate(resp.Chain[0])
			if err != nil {
				t.Fatal(err)
			}
			if id, err := proof.HostFromCertificate(leaf, cluster); err != nil || id != h.id || leaf.IsCA {
				t.Errorf("a certificate of %s: %v", id, err)
			}
		}
		if n := len(h.state()); n > records+8 {
			t.Errorf("%d records of the store have become %d", records, n)
		}
	})
}
