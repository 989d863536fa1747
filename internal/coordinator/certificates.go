package coordinator

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net/netip"
	"time"

	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/identity"
	"muster/internal/proof"
	"muster/internal/store"
)

// Shown is a host's certificate as a connection shows it. TLS has verified it, and that the other side has its key.
type Shown struct {
	Certificate *x509.Certificate
	From        netip.Addr
	// Before says that the certificate was good at an earlier call on this connection. A call that was sent before the
	// host renewed can arrive after it: that is no sign of a second machine, a connection that begins so is.
	Before bool
}

// Caller is a host that may call, and by which of its certificates.
type Caller struct {
	Host   hosts.ID
	Serial string
}

// Host is who shows a certificate, if it may still call: the host is known and not barred, and the certificate is the one
// in use or was issued since. The first use of one of those ends what was before. Whoever opens a connection with one that
// has ended is a second machine with the same identity: the host goes into quarantine.
func (s *Service) Host(ctx context.Context, shown Shown) (Caller, error) {
	cert := shown.Certificate
	id, err := proof.HostFromCertificate(cert, s.Cluster())
	if err != nil {
		return Caller{}, fault.New(fault.Denied, "this host belongs to another cluster: uninstall it, then push again", "the certificate names no host of this cluster").Because(err)
	}
	// A connection may live longer than the certificate that it was opened with.
	if s.clock().After(cert.NotAfter) {
		return Caller{}, fault.New(fault.Denied, "the bootstrap agent renews it by itself", "the certificate of host %s has expired", id)
	}
	who := Caller{id, identity.Serial(cert)}
	host, err := s.record(ctx, id)
	switch {
	case errors.Is(err, fault.NotFound):
		return Caller{}, s.shutOut(ctx, shown, id, fault.New(fault.Denied, "let the host join again: coordinator push", "the host %s is not known", id))
	case err != nil:
		return Caller{}, err
	}
	var denied *fault.Error
	err = who.mayCall(host)
	if err == nil && who.Serial != host.Certificate.Serial {
		err = s.use(ctx, who, shown)
	}
	switch {
	case err == nil:
		return who, nil
	case errors.Is(err, ErrRemoved):
		return Caller{}, s.shutOut(ctx, shown, id, fault.New(fault.Denied, "let it join again if it should: coordinator push", "the host %s was removed by an operator", id).Because(ErrRemoved))
	case errors.Is(err, errEnded) && !shown.Before && ctx.Err() == nil:
		return Caller{}, s.quarantine(ctx, who, shown)
	case errors.As(err, &denied) && denied.Class == fault.Denied:
		return Caller{}, s.shutOut(ctx, shown, id, denied)
	}
	return Caller{}, err
}

// Known says whether a client's chain, which TLS has verified, is of somebody who may call as it is now. It changes nothing
// and keeps no event: a connection is no call yet. A store that does not answer speaks against nobody.
func (s *Service) Known(ctx context.Context, chain []*x509.Certificate) bool {
	client, err := s.ca.Client(chain)
	if err != nil {
		return false
	}
	serial := identity.Serial(chain[0])
	if client.Operator != "" {
		_, err = s.OperatorBySerial(ctx, client.Operator, serial)
	} else {
		var h hosts.Host
		if h, err = s.record(ctx, client.Host); err == nil {
			err = Caller{client.Host, serial}.mayCall(h)
		}
	}
	return !errors.Is(err, fault.Denied) && !errors.Is(err, fault.NotFound) && !errors.Is(err, ErrRemoved)
}

// use makes a certificate the one in use, unless another that was issued beside it was faster.
func (s *Service) use(ctx context.Context, who Caller, shown Shown) error {
	err := s.change(ctx, who.Host, func(w store.Writer, h *hosts.Host) error {
		if err := who.mayCall(*h); err != nil {
			return err
		}
		if who.Serial == h.Certificate.Serial {
			return nil
		}
		h.UsedFrom = shown.From.String()
		return dropKeys(w, h.Use(who.Serial))
	})
	// A call by the certificate of before may be held back.
	s.bell.ring(who.Host)
	return err
}

// errEnded is a certificate that was good once.
var errEnded = errors.New("the certificate is no longer current")

// mayCall says why a host may not call by this certificate.
func (c Caller) mayCall(h hosts.Host) error {
	if err := barred(h); err != nil {
		return err
	}
	if !h.Good(c.Serial) {
		return fault.New(fault.Denied, "if its disk was cloned, clear /var/lib/bootstrap-agent on the copy and push again",
			"the certificate %s of host %s is no longer current", shortSerial(c.Serial), h.ID).Because(errEnded)
	}
	return nil
}

// barred says why a host may do nothing, whatever it shows.
func barred(h hosts.Host) error {
	switch {
	case h.Phase == hosts.Removed:
		return ErrRemoved
	case h.Quarantine != nil:
		return fault.New(fault.Denied, h.Quarantine.Remedy, "the host %s is in quarantine: %s", h.ID, h.Quarantine.Reason)
	}
	return nil
}

// shutOut records that a certificate of this cluster was shown which is good no more.
func (s *Service) shutOut(ctx context.Context, shown Shown, id hosts.ID, reason *fault.Error) error {
	if err := s.note(ctx, Event{Kind: "host-denied", Host: id, From: shown.From.String(), Message: reason.What}); err != nil {
		return err
	}
	return reason
}

// shortSerial is how much of a serial tells it from others. They are random.
func shortSerial(serial string) string { return clip(serial, 12) }

// issue makes a certificate for a host.
func (s *Service) issue(csr *identity.CheckedCSR, id hosts.ID, now time.Time) (chain [][]byte, c hosts.Certificate, expires time.Time, err error) {
	key := csr.KeyID()
	chain, serial, expires, err := s.ca.IssueHost(csr, id, now, identity.HostTTL)
	if err != nil {
		return nil, c, expires, err
	}
	return chain, hosts.Certificate{Serial: serial, Key: hex.EncodeToString(key[:]), Issuer: identity.Fingerprint(chain[1])}, expires, nil
}

func dropKeys(w store.Writer, keys []string) error {
	for _, key := range keys {
		if err := w.Delete(keyKeys + key); err != nil {
			return err
		}
	}
	return nil
}

// Renew answers a fresh certificate for a fresh key. The old one stays good until a new one is seen.
func (s *Service) Renew(ctx context.Context, who Caller, csr *identity.CheckedCSR) (Credential, error) {
	keyID := csr.KeyID()
	key := hex.EncodeToString(keyID[:])
	var chain [][]byte
	var expires time.Time
	err := s.change(ctx, who.Host, func(w store.Writer, h *hosts.Host) (err error) {
		if err := who.mayCall(*h); err != nil {
			return err
		}
		// A host whose certificate expired comes back by its key. A request proves that somebody has the key, not that
		// it is who calls: it must not turn another host's key into this one's.
		var owner hosts.ID
		if err := read(w, keyKeys+key, &owner); err != nil {
			return err
		}
		if owner != "" && owner != who.Host {
			return fault.New(fault.Denied, "make a fresh key for each renewal", "the key belongs to another host")
		}
		var issued hosts.Certificate
		if chain, issued, expires, err = s.issue(csr, who.Host, s.clock()); err != nil {
			return err
		}
		return errors.Join(dropKeys(w, h.Issue(issued)), write(w, keyKeys+key, who.Host))
	})
	if refused := (*fault.Error)(nil); errors.As(err, &refused) && refused.Class == fault.Denied {
		return Credential{}, errors.Join(s.Denied(ctx, Actor{Name: "host " + string(who.Host)}, "renewal-denied", err.Error()), err)
	}
	if err != nil {
		return Credential{}, err
	}
	// A host may renew as often as it likes.
	if err := s.note(ctx, Event{Kind: "certificate-renewed", Host: who.Host, Message: "until " + expires.UTC().Format(time.RFC3339)}); err != nil {
		return Credential{}, err
	}
	return Credential{Host: who.Host, Chain: chain, Expires: expires}, nil
}
