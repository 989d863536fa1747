package coordinator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"muster/internal/fault"
	"muster/internal/identity"
	"muster/internal/proof"
	"muster/internal/store"
)

// OperatorRecord is what the coordinator keeps of an operator on another machine. Its level counts on each call, whatever
// was true when the certificate was made.
type OperatorRecord struct {
	Name    string    `json:"name"`
	Level   Level     `json:"level"`
	Serial  string    `json:"serial"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	// Actor is who made it.
	Actor   string    `json:"actor"`
	Revoked time.Time `json:"revoked,omitzero"`
}

func (r OperatorRecord) ended(now time.Time) bool {
	return !r.Revoked.IsZero() || !now.Before(r.Expires)
}

const (
	keyOperators = "operators/"
	// maxOperators bounds those that may call. More people than this are no longer known by name.
	maxOperators = 256
	// endedOperators is how long one that ended is kept, for whoever asks why it is refused.
	endedOperators = 30 * 24 * time.Hour
)

// OperatorCredential is what an operator calls with, but for the key, which was never here.
type OperatorCredential struct {
	Record OperatorRecord
	Chain  [][]byte
	Root   []byte
	// Coordinators are the addresses of the hosts' door, as host:port.
	Coordinators []string
}

// CreateOperator gives somebody on another machine an identity. A name that is in use is not given twice: its first
// owner would be shut out, and events would name two people alike.
func (s *Service) CreateOperator(ctx context.Context, actor Actor, csr *identity.CheckedCSR, name string, level Level, ttl time.Duration) (OperatorCredential, error) {
	if err := identity.CheckOperatorName(name); err != nil {
		return OperatorCredential{}, fault.New(fault.Invalid, "choose a name such as alice", "%v", err)
	}
	if _, err := ParseLevel(string(level)); err != nil {
		return OperatorCredential{}, err
	}
	if ttl == 0 {
		ttl = identity.OperatorTTL
	}
	if ttl < 0 || ttl > identity.MaxOperatorTTL {
		return OperatorCredential{}, fault.New(fault.Invalid, fmt.Sprintf("choose up to %v", identity.MaxOperatorTTL), "an operator's lifetime of %v", ttl)
	}
	// One certificate, root and time are of the same CA.
	s.handing.RLock()
	defer s.handing.RUnlock()
	now := s.clock()
	c := OperatorCredential{Root: s.ca.RootPEM()}
	err := s.store.Update(ctx, func(w store.Writer) error {
		active := 0
		if err := scan(w, keyOperators, "", func(_ string, r *OperatorRecord) (bool, error) {
			if r.ended(now) {
				return true, nil
			}
			active++
			if r.Name == name {
				return false, fault.New(fault.Conflict, "coordinator operator revoke "+name+" first, or choose another name",
					"there is an operator %s until %s", name, r.Expires.UTC().Format(time.RFC3339))
			}
			return true, nil
		}); err != nil {
			return err
		}
		if active >= maxOperators {
			return fault.New(fault.Conflict, "coordinator operator list shows them; revoke those that are not needed", "there are %d operators, which is the most", active)
		}
		chain, serial, expires, err := s.ca.IssueOperator(csr, name, now, ttl)
		if errors.Is(err, identity.ErrNoOperators) {
			return fault.New(fault.Conflict, "put root.key back into the directory ca of the coordinator's state and restart it",
				"the CA was made before there were operators' certificates, and cannot issue them").Because(err)
		}
		if err != nil {
			return err
		}
		c.Chain = chain
		c.Record = OperatorRecord{Name: name, Level: level, Serial: serial, Created: now.UTC(), Expires: expires, Actor: actor.Name}
		return errors.Join(write(w, keyOperators+name, c.Record), s.event(w, Event{Kind: "operator-created", Actor: actor.Name, From: actor.From,
			Message: fmt.Sprintf("operator %s, level %s, until %s", name, level, expires.Format(time.RFC3339))}))
	})
	if err != nil {
		return OperatorCredential{}, err
	}
	for _, address := range s.gen.g.Coordinator.Addresses {
		c.Coordinators = append(c.Coordinators, joinHostPort(address, s.gen.g.Coordinator.GRPCPort))
	}
	return c, nil
}

// Operators lists what is kept of the operators, by name.
func (s *Service) Operators(ctx context.Context) ([]OperatorRecord, error) {
	var records []OperatorRecord
	err := s.store.View(ctx, func(r store.Reader) error {
		records = nil
		return scan(r, keyOperators, "", func(_ string, o *OperatorRecord) (bool, error) {
			records = append(records, *o)
			return true, nil
		})
	})
	slices.SortFunc(records, func(a, b OperatorRecord) int { return strings.Compare(a.Name, b.Name) })
	return records, err
}

// RevokeOperator ends an operator: its next call is denied and what it has open ends.
func (s *Service) RevokeOperator(ctx context.Context, actor Actor, name string) error {
	var record OperatorRecord
	err := s.store.Update(ctx, func(w store.Writer) error {
		record = OperatorRecord{}
		if err := read(w, keyOperators+clip(name, 64), &record); err != nil {
			return err
		}
		if record.Name == "" || !record.Revoked.IsZero() {
			return fault.New(fault.NotFound, "coordinator operator list shows them", "there is no operator %.64q", name)
		}
		record.Revoked = s.clock().UTC()
		return errors.Join(write(w, keyOperators+record.Name, record), s.event(w, Event{Kind: "operator-revoked", Actor: actor.Name, From: actor.From,
			Message: fmt.Sprintf("operator %s, level %s", record.Name, record.Level)}))
	})
	if err == nil {
		s.endings.end(record.Serial)
	}
	return err
}

// Standing is an operator's right to call as it is now, and for how long. Ended is closed when it is revoked.
type Standing struct {
	OperatorRecord
	Left  time.Duration
	Ended <-chan struct{}
}

// Client is who a client's chain names, which TLS has verified.
func (s *Service) Client(ctx context.Context, chain []*x509.Certificate, who Actor) (identity.Client, error) {
	client, err := s.ca.Client(chain)
	if err != nil {
		var denied *fault.Error
		if !errors.As(err, &denied) {
			denied = fault.New(fault.Denied, "use a credential of this cluster", "the certificate names nobody who may call").Because(err)
		}
		return client, errors.Join(s.Denied(ctx, who, "certificate-refused", err.Error()), denied)
	}
	return client, nil
}

// CertificateRefused records a client's certificate that does not verify: what it claims is only a claim.
func (s *Service) CertificateRefused(from net.Addr, why error) {
	address := from.String()
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host // the port is another each time
	}
	reason := "it does not verify"
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(why, new(x509.UnknownAuthorityError)):
		reason = "it is of another CA"
	case errors.As(why, &invalid) && invalid.Reason == x509.Expired:
		reason = "it has expired, or the clock of this machine is wrong"
	}
	var bad *tls.CertificateVerificationError
	if errors.As(why, &bad) && len(bad.UnverifiedCertificates) > 0 {
		if uri, err := proof.SoleURI(bad.UnverifiedCertificates[0]); err == nil {
			reason += "; it claims to be " + clip(uri, 128)
		}
	}
	if err := s.Denied(context.Background(), Actor{From: address}, "certificate-refused", reason); err != nil {
		s.Trouble(err)
	}
}

// Operator decides whether somebody with this verified operator's certificate may call now, and at which level.
func (s *Service) Operator(ctx context.Context, name string, cert *x509.Certificate, from string) (Standing, error) {
	standing, err := s.OperatorBySerial(ctx, name, identity.Serial(cert))
	if errors.Is(err, fault.Denied) {
		err = errors.Join(s.Denied(ctx, Actor{"operator " + name, from}, "operator-denied", err.Error()), err)
	}
	return standing, err
}

// OperatorBySerial is Operator for a right that was shown before, and keeps no event.
func (s *Service) OperatorBySerial(ctx context.Context, name, serial string) (Standing, error) {
	// Before the record is read, or a revocation in between would be missed.
	ended := s.endings.listen(serial)
	var record OperatorRecord
	if err := s.store.View(ctx, func(r store.Reader) error { return read(r, keyOperators+name, &record) }); err != nil {
		return Standing{}, err
	}
	const remedy = "ask an admin for a new credential: coordinator operator create NAME --level LEVEL --out FILE"
	var why string
	switch {
	case record.Name == "":
		why = fmt.Sprintf("this coordinator knows no operator %s", name)
	case record.Serial != serial:
		why = fmt.Sprintf("the credential of operator %s was replaced by a newer one", name)
	case !record.Revoked.IsZero():
		why = fmt.Sprintf("the operator %s was revoked at %s", name, record.Revoked.Format(time.RFC3339))
	case record.ended(s.clock()):
		why = fmt.Sprintf("the credential of operator %s expired at %s", name, record.Expires.Format(time.RFC3339))
	default:
		return Standing{record, record.Expires.Sub(s.clock()), ended}, nil
	}
	s.endings.end(serial) // whoever else waits on this serial is to end as well
	return Standing{}, fault.New(fault.Denied, remedy, "%s", why)
}

// endings tell what an operator has open that it has been revoked, by the serial of its certificate.
type endings struct {
	mu sync.Mutex
	of map[string]chan struct{}
}

func (e *endings) listen(serial string) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.of == nil {
		e.of = make(map[string]chan struct{})
	}
	if e.of[serial] == nil {
		e.of[serial] = make(chan struct{})
	}
	return e.of[serial]
}

func (e *endings) end(serial string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c, ok := e.of[serial]; ok {
		close(c)
		delete(e.of, serial)
	}
}

// dropOperators forgets those that ended long ago.
func (s *Service) dropOperators(w store.Writer) error {
	before := s.clock().Add(-endedOperators)
	return store.DeleteWhere(w, keyOperators, func(key string, raw []byte) (store.Verdict, error) {
		var r OperatorRecord
		if err := decode(key, raw, &r); err != nil || !r.ended(before) || r.Revoked.After(before) {
			return store.Keep, err
		}
		return store.Drop, nil
	})
}
