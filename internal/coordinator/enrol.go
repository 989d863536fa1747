package coordinator

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"time"

	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/identity"
	"muster/internal/late"
	"muster/internal/manifest"
	"muster/internal/proof"
	"muster/internal/roles"
	"muster/internal/store"
)

// MethodToken is the enrolment by a join token.
const MethodToken = "token"

// Applicant is a host that wants to join. That it holds the key of the CSR, on this connection, was verified before.
type Applicant struct {
	CSR   *identity.CheckedCSR
	Token string
	// From is where the connection comes from, never what a header says.
	From netip.Addr
	// Name, Address and Zone are the host's own word.
	Name, Address, Zone string
}

// Credential is what a host has joined with.
type Credential struct {
	Host    hosts.ID
	Chain   [][]byte
	Expires time.Time
}

// Enroll makes a host of an applicant. The token is consumed, the host made and its role assigned in one transaction;
// the same key again is the same host and consumes nothing, so a lost answer costs nothing.
func (s *Service) Enroll(ctx context.Context, a Applicant) (Credential, error) {
	address, err := checkApplicant(&a)
	if err != nil {
		return Credential{}, err
	}
	token, err := identity.ParseToken(a.Token)
	if err != nil {
		return Credential{}, s.denied(ctx, a, err)
	}
	keyID := a.CSR.KeyID()
	key := hex.EncodeToString(keyID[:])
	fresh, err := proof.NewHostID(s.random)
	if err != nil {
		return Credential{}, err
	}
	now := s.clock()

	var host hosts.Host
	var chain [][]byte
	var expires time.Time
	var again, changed bool
	var pushed string
	err = s.store.Update(ctx, func(w store.Writer) error {
		again, changed, pushed = false, false, ""
		var known hosts.ID
		if err := read(w, keyKeys+key, &known); err != nil {
			return err
		}
		if known != "" {
			again = true
			host, err = getHost(w, known)
			if err != nil {
				return err
			}
			if host.Phase == hosts.Removed {
				return ErrRemoved
			}
		} else {
			record, err := consume(w, token, a.From, now)
			if err != nil {
				return err
			}
			host = hosts.Host{
				ID:       fresh,
				Facts:    hosts.Facts{Name: a.Name, Address: address.String(), Zone: a.Zone},
				Phase:    hosts.Enrolled,
				Attempt:  1,
				JoinedBy: string(record.ID), TokenRole: manifest.Role(record.Role),
				Key: key, Enrolled: now, PhaseSince: now,
			}
			if err := takeAddress(w, host); err != nil {
				return err
			}
			if err := write(w, keyKeys+key, host.ID); err != nil {
				return err
			}
			pushed = record.Host
			if err := w.Delete(keyPushes + pushed); err != nil {
				return err
			}
			if changed, err = s.assign(w, &host, "", now); err != nil {
				return err
			}
			if err := s.event(w, Event{Kind: "enrolled", Host: host.ID, From: a.From.String(),
				Message: host.Facts.Name + " joined by token " + string(record.ID) + roleWords(host)}); err != nil {
				return err
			}
		}
		var serial string
		chain, serial, expires, err = s.ca.IssueHost(a.CSR, host.ID, now, identity.HostTTL)
		if err != nil {
			return err
		}
		if again {
			host.NextSerial = serial
		} else {
			host.Serial = serial
		}
		return write(w, keyHosts+string(host.ID), host)
	})
	if err != nil {
		var denial *identity.Denial
		if errors.As(err, &denial) || errors.Is(err, ErrRemoved) {
			return Credential{}, s.denied(ctx, a, err)
		}
		return Credential{}, err
	}
	s.directory.put(host)
	s.directory.heard(host.ID, now, nil)
	s.directory.dropPush(pushed)
	if changed {
		s.bell.ringAll()
	}
	s.log.Info("host enrolled", "host", host.ID, "name", host.Facts.Name, "address", host.Facts.Address,
		"role", host.Role, "again", again)
	return Credential{Host: host.ID, Chain: chain, Expires: expires}, nil
}

func roleWords(h hosts.Host) string {
	if h.Role == "" {
		return ", without a role yet"
	}
	return " as " + string(h.Role)
}

func checkApplicant(a *Applicant) (netip.Addr, error) {
	const remedy = "set the host's name and address, then let it join again"
	address, err := netip.ParseAddr(a.Address)
	if err != nil || !address.IsValid() || address.IsUnspecified() || address.IsMulticast() || address.IsLoopback() || address.Zone() != "" {
		return netip.Addr{}, fault.New(fault.Invalid, remedy, "the host says that its address is %.64q, which no other host can reach", a.Address)
	}
	a.Name = strings.ToLower(a.Name)
	if !validHostName(a.Name) {
		return netip.Addr{}, fault.New(fault.Invalid, remedy, "the host says that its name is %.64q, which is not a host name (RFC 1123)", a.Name)
	}
	if a.Zone != "" && late.Validate(late.Values{"Host.Zone": a.Zone}) != nil {
		return netip.Addr{}, fault.New(fault.Invalid, remedy, "the host says that its zone is %.64q; letters, digits, dots, underscores and hyphens are allowed", a.Zone)
	}
	return address.Unmap(), nil
}

func validHostName(name string) bool {
	if len(name) == 0 || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
			label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return name != "localhost"
}

// consume verifies the token and counts the use. It does the same work for a token that does not exist.
func consume(w store.Writer, token identity.Token, from netip.Addr, now time.Time) (identity.TokenRecord, error) {
	var record identity.TokenRecord
	if err := read(w, keyTokens+string(token.ID()), &record); err != nil {
		return record, err
	}
	if err := record.Admit(token, from, now); err != nil {
		return record, err
	}
	record.Uses++
	return record, write(w, keyTokens+string(record.ID), record)
}

// takeAddress makes the host the only one at its address.
func takeAddress(w store.Writer, h hosts.Host) error {
	var other hosts.ID
	if err := read(w, keyAddresses+h.Facts.Address, &other); err != nil {
		return err
	}
	if other != "" {
		return fault.New(fault.Conflict,
			"if that machine is gone or was installed anew: coordinator hosts remove "+string(other)+", then let this one join again",
			"a host with the address %s is already enrolled as %s", h.Facts.Address, other)
	}
	return write(w, keyAddresses+h.Facts.Address, h.ID)
}

// assign gives the host its role when something decides it and a place is free. It says whether a roster changed.
func (s *Service) assign(w store.Writer, h *hosts.Host, operator manifest.Role, now time.Time) (bool, error) {
	decision, ok := s.gen.spec.Decide(s.candidate(*h, operator))
	if !ok {
		return false, nil
	}
	role, known := s.gen.spec.Role(decision.Role)
	if !known {
		return false, nil
	}
	changed := false
	if role.Count > 0 {
		roster, err := s.roster(w, role.Name)
		if err != nil {
			return false, err
		}
		member := roles.Member{Host: h.ID, Name: h.Facts.Name, Address: h.Facts.Address, Zone: h.Facts.Zone}
		next, index, err := roster.Join(member, decision.Place, s.gen.spec.Reserved(role.Name))
		switch {
		case errors.Is(err, roles.ErrFull) && operator == "":
			return false, nil // a spare: it waits, and status says so
		case err != nil:
			return false, fault.New(fault.Conflict, "coordinator hosts remove the member that is gone, or choose another role", "role %s", role.Name).Because(err)
		}
		if err := write(w, keyRosters+string(role.Name), next); err != nil {
			return false, err
		}
		h.Index, changed = index, true
	}
	h.Role, h.Phase, h.PhaseSince = role.Name, hosts.Assigned, now
	return changed, nil
}

func (s *Service) candidate(h hosts.Host, operator manifest.Role) roles.Candidate {
	address, _ := netip.ParseAddr(h.Facts.Address)
	return roles.Candidate{
		ID: h.ID, Name: h.Facts.Name, Address: address, Labels: h.Facts.Labels,
		Operator: operator, Token: h.TokenRole,
	}
}

// waitingFor says in words why a host has no role.
func (s *Service) waitingFor(r store.Reader, h hosts.Host) string {
	decision, ok := s.gen.spec.Decide(s.candidate(h, ""))
	if !ok {
		return s.gen.spec.Why(s.candidate(h, ""))
	}
	if _, known := s.gen.spec.Role(decision.Role); !known {
		return "its token is bound to role " + string(decision.Role) + ", which this generation does not have"
	}
	return "spare: role " + string(decision.Role) + " has all its members"
}

// denied records the refusal with its real reason and answers every refused applicant alike.
func (s *Service) denied(ctx context.Context, a Applicant, reason error) error {
	why := reason.Error()
	var denial *identity.Denial
	if errors.As(reason, &denial) {
		why = string(denial.Reason)
	}
	s.log.Warn("enrolment denied", "from", a.From, "name", clip(a.Name, 253), "reason", why)
	if err := s.store.Update(ctx, func(w store.Writer) error {
		return s.event(w, Event{Kind: "enrolment-denied", From: a.From.String(), Message: clip(a.Name, 253) + ": " + why})
	}); err != nil {
		return err
	}
	return fault.New(fault.Denied,
		"make a new join token and let the host join with it: coordinator push, or coordinator user-data",
		"the join token was refused")
}

// Host is the identity of a verified host certificate if it may still call: the host is known, was not removed and the
// certificate is its newest or the one before.
func (s *Service) Host(ctx context.Context, cert *x509.Certificate) (hosts.ID, error) {
	id, err := proof.HostFromCertificate(cert, s.Cluster())
	if err != nil {
		return "", fault.New(fault.Denied, "this host belongs to another cluster: uninstall it, then push again", "the certificate names no host of this cluster").Because(err)
	}
	// A connection may live longer than the certificate that it was opened with.
	if s.clock().After(cert.NotAfter) {
		return "", fault.New(fault.Denied, "the bootstrap agent renews it by itself", "the certificate of host %s has expired", id)
	}
	serial := identity.Serial(cert)
	host, err := s.record(ctx, id)
	if err != nil {
		return "", fault.New(fault.Denied, "let the host join again: coordinator push", "the host %s is not known", id)
	}
	switch {
	case host.Phase == hosts.Removed:
		return "", fault.New(fault.Denied, "let it join again if it should: coordinator push", "the host %s was removed by an operator", id).Because(ErrRemoved)
	case serial == host.Serial:
		return host.ID, nil
	case serial == host.NextSerial:
		return host.ID, s.change(ctx, host.ID, func(_ store.Writer, h *hosts.Host) error {
			if h.NextSerial == serial {
				h.Serial, h.NextSerial = serial, ""
			}
			return nil
		})
	}
	return "", fault.New(fault.Denied, "if its disk was cloned, clear /var/lib/bootstrap-agent on the copy and push again",
		"the certificate of host %s is no longer current", id)
}

// Renew answers a fresh certificate for a fresh key. The old one stays good until the new one is seen.
func (s *Service) Renew(ctx context.Context, id hosts.ID, csr *identity.CheckedCSR) (Credential, error) {
	var chain [][]byte
	var expires time.Time
	err := s.change(ctx, id, func(w store.Writer, h *hosts.Host) (err error) {
		chain, h.NextSerial, expires, err = s.ca.IssueHost(csr, id, s.clock(), identity.HostTTL)
		if err != nil {
			return err
		}
		// A host whose certificate expired comes back by its newest key.
		keyID := csr.KeyID()
		return write(w, keyKeys+hex.EncodeToString(keyID[:]), id)
	})
	if err != nil {
		return Credential{}, err
	}
	return Credential{Host: id, Chain: chain, Expires: expires}, nil
}
