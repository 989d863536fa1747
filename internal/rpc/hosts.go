package rpc

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"muster/internal/coordinator"
	"muster/internal/identity"
	"muster/internal/proof"
	enrolmentv1 "muster/proto/muster/enrolment/v1"
	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

const (
	// maxMessage bounds what a host may send. Whoever has no certificate yet is bounded further: see stranger.
	maxMessage    = 1 << 20
	enrolTimeout  = 15 * time.Second
	enrolsAtATime = maxStrangers
)

// NewHostServer is the door to the network: for hosts, which enrol without a certificate and sync with one, and for
// operators with a credential.
func NewHostServer(core *coordinator.Service, tlsConfig *tls.Config) (*grpc.Server, error) {
	unary, stream := authorize(core, func(err error) string {
		core.Trouble(err)
		return "the coordinator failed inside; its log says why"
	})
	server := grpc.NewServer(
		grpc.Creds(strangerCredentials{credentials.NewTLS(tlsConfig), strangerTime, core.CertificateRefused, func(chain []*x509.Certificate) bool {
			ctx, cancel := context.WithTimeout(context.Background(), strangerTime)
			defer cancel()
			return core.Known(ctx, chain)
		}}),
		grpc.UnaryInterceptor(unary),
		grpc.StreamInterceptor(stream),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(16),
		grpc.InTapHandle(countStreams(core)),
		grpc.MaxHeaderListSize(16<<10),
		grpc.ConnectionTimeout(10*time.Second),
		grpc.ReadBufferSize(grpcBuffer), grpc.WriteBufferSize(grpcBuffer),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			// A host that lives has a call open or makes the next one within seconds.
			MaxConnectionIdle: 5 * time.Minute, Time: time.Minute, Timeout: 20 * time.Second,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 20 * time.Second, PermitWithoutStream: true}),
	)
	enrolmentv1.RegisterEnrolmentServiceServer(server, &enrolmentDoor{core: core, waiting: waitingRoom{size: enrolsAtATime}})
	syncv1.RegisterSyncServiceServer(server, &syncDoor{core: core})
	operatorv1.RegisterOperatorServiceServer(server, &operatorDoor{core: core})
	return server, Covered(server)
}

func tlsInfo(ctx context.Context) (credentials.TLSInfo, bool) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return credentials.TLSInfo{}, false
	}
	switch info := p.AuthInfo.(type) {
	case acquainted:
		return info.TLSInfo, true
	case strangerInfo:
		return info.TLSInfo, true
	}
	return credentials.TLSInfo{}, false
}

type enrolmentDoor struct {
	enrolmentv1.UnimplementedEnrolmentServiceServer
	core *coordinator.Service
	// waiting bounds the dialogues under way at once. It is one bound for all: hosts behind one NAT share an address.
	waiting waitingRoom
}

// Enroll is the dialogue hello, challenge, proof, credential.
func (d *enrolmentDoor) Enroll(stream enrolmentv1.EnrolmentService_EnrollServer) error {
	place, ok := d.waiting.enter(time.Now())
	if !ok {
		return d.crowded(stream.Context())
	}
	defer d.waiting.leave(place)
	// A stream that stays silent gives its place back: returning from the handler ends it.
	result := make(chan error, 1)
	go func() { result <- d.dialogue(stream, place) }()
	timeout := time.NewTimer(enrolTimeout)
	defer timeout.Stop()
	select {
	case err := <-result:
		return err
	case <-place.lost:
		return d.crowded(stream.Context())
	case <-timeout.C:
		return status.Error(codes.DeadlineExceeded, "the enrolment took too long")
	}
}

func (d *enrolmentDoor) crowded(ctx context.Context) error {
	if err := d.core.Denied(ctx, coordinator.Actor{From: peerAddress(ctx).String()}, "limit-reached", fmt.Sprintf("more than %d hosts enrol at once", enrolsAtATime)); err != nil {
		return err
	}
	return errCrowd
}

var errCrowd = status.Error(codes.ResourceExhausted, "too many hosts enrol at once; try again in a moment")

// refuse turns away somebody whose right to join was not even looked at.
func (d *enrolmentDoor) refuse(ctx context.Context, code codes.Code, why string) error {
	if err := d.core.Turned(ctx, peerAddress(ctx), why); err != nil {
		return err
	}
	return status.Error(code, why)
}

const orderly = "enrolment is hello, then proof, once each"

func (d *enrolmentDoor) dialogue(stream enrolmentv1.EnrolmentService_EnrollServer, place *place) error {
	ctx := stream.Context()
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	hello := first.GetHello()
	if hello == nil {
		return d.refuse(ctx, codes.InvalidArgument, orderly)
	}
	if !d.core.Offers(hello.Method) {
		return d.refuse(ctx, codes.InvalidArgument, fmt.Sprintf("enrolment by %.32q is not offered", hello.Method))
	}
	csr, err := identity.CheckCSR(hello.Csr)
	if err != nil {
		return d.refuse(ctx, codes.InvalidArgument, err.Error())
	}
	nonce := make([]byte, proof.NonceSize)
	if _, err := rand.Read(nonce); err != nil {
		return err
	}
	if err := stream.Send(&enrolmentv1.EnrollResponse{Step: &enrolmentv1.EnrollResponse_Challenge{
		Challenge: &enrolmentv1.Challenge{Nonce: nonce},
	}}); err != nil {
		return err
	}
	second, err := stream.Recv()
	if err != nil {
		return err
	}
	p := second.GetProof()
	if p == nil {
		return d.refuse(ctx, codes.InvalidArgument, orderly)
	}
	d.waiting.serve(place)
	info, ok := tlsInfo(ctx)
	if !ok {
		return status.Error(codes.Unauthenticated, "enrolment needs TLS")
	}
	exporter, err := proof.Exporter(&info.State)
	if err != nil {
		return err
	}
	if err := proof.Verify(csr.PublicKey(), proof.Transcript(nonce, exporter, csr.DER(), hello.Method), p.Signature); err != nil {
		return d.refuse(ctx, codes.PermissionDenied, "the proof of possession does not fit this connection and this key")
	}
	credential, err := d.core.Enroll(ctx, coordinator.Applicant{
		CSR: csr, Method: hello.Method, Token: p.Token, Policy: p.Policy, Document: p.Document, From: peerAddress(ctx),
		Name: p.HostName, Address: p.HostAddress, Zone: p.Zone, Labels: p.Labels,
	})
	if err != nil {
		return err
	}
	return stream.Send(&enrolmentv1.EnrollResponse{Step: &enrolmentv1.EnrollResponse_Credential{
		Credential: &enrolmentv1.Credential{
			HostId: string(credential.Host), Chain: credential.Chain, Expires: timestamppb.New(credential.Expires),
		},
	}})
}

// peerAddress is where the connection comes from. No header has a say in it.
func peerAddress(ctx context.Context) netip.Addr {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(p.Addr.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

type syncDoor struct {
	syncv1.UnimplementedSyncServiceServer
	core *coordinator.Service
}

func (d *syncDoor) Sync(ctx context.Context, req *syncv1.SyncRequest) (*syncv1.SyncResponse, error) {
	return d.core.Sync(ctx, hostOf(ctx), req)
}

func (d *syncDoor) Renew(ctx context.Context, req *syncv1.RenewRequest) (*syncv1.RenewResponse, error) {
	csr, err := identity.CheckCSR(req.Csr)
	if err != nil {
		return nil, errors.Join(d.core.Denied(ctx, actor(ctx), "renewal-denied", err.Error()), err)
	}
	credential, err := d.core.Renew(ctx, hostOf(ctx), csr)
	if err != nil {
		return nil, err
	}
	return &syncv1.RenewResponse{Chain: credential.Chain, Expires: timestamppb.New(credential.Expires)}, nil
}
