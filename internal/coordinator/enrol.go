package coordinator

import (
	"context"
	"crypto/sha256"
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
	Labels              map[string]string
}

// Credential is what a host has joined with.
type Credential struct {
	Host    hosts.ID
	Chain   [][]byte
	Expires time.Time
}

// Enroll makes a host of an applicant. The token is consumed, the host made and its role assigned in one transaction;
// the same key with the same token again is the same host and consumes nothing, so a lost answer costs nothing.
func (s *Service) Enroll(ctx context.Context, a Applicant) (Credential, error) {
	address, err := checkApplicant(&a)
	if err != nil {
		return Credential{}, s.refused(ctx, a, err)
	}
	token, err := identity.ParseToken(a.Token)
	if err != nil {
		return Credential{}, s.refused(ctx, a, err)
	}
	keyID := a.CSR.KeyID()
	claim := claim{key: hex.EncodeToString(keyID[:]), token: token, address: address, from: a.From, now: s.clock()}
	// Most of what cannot succeed ends here, where it holds nobody up: a transaction that fails makes the store run
	// those again that share its disk write.
	if err := s.store.View(ctx, func(r store.Reader) error {
		_, _, err := claim.admit(r)
		return err
	}); err != nil {
		return Credential{}, s.refused(ctx, a, err)
	}
	fresh, err := proof.NewHostID(s.random)
	if err != nil {
		return Credential{}, err
	}

	var host hosts.Host
	var chain [][]byte
	var expires time.Time
	var again, changed bool
	var pushed string
	err = s.store.Update(ctx, func(w store.Writer) error {
		changed, pushed = false, ""
		known, record, err := claim.admit(w)
		if err != nil {
			return err
		}
		if again = known.ID != ""; again {
			host = known
			if pushed, err = s.joinAgain(w, claim, &host); err != nil {
				return err
			}
		} else {
			host = hosts.Host{
				ID:       fresh,
				Facts:    s.joinFacts(a, address, record),
				Phase:    hosts.Enrolled,
				Attempt:  1,
				JoinedBy: string(record.ID), TokenRole: record.Role,
				Key: claim.key, Enrolled: claim.now, PhaseSince: claim.now,
			}
			record.Uses++
			pushed = record.Host
			if err := errors.Join(
				write(w, keyTokens+string(record.ID), record),
				write(w, keyAddresses+host.Facts.Address, host.ID),
				write(w, keyKeys+claim.key, host.ID),
				w.Delete(keyPushes+pushed),
			); err != nil {
				return err
			}
			if changed, err = s.assign(w, &host, "", claim.now); err != nil {
				return err
			}
			if err := s.event(w, Event{Kind: "enrolled", Host: host.ID, From: a.From.String(),
				Message: host.Facts.Name + " joined by token " + string(record.ID) + roleWords(host)}); err != nil {
				return err
			}
		}
		var serial string
		chain, serial, expires, err = s.ca.IssueHost(a.CSR, host.ID, claim.now, identity.HostTTL)
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
		return Credential{}, s.refused(ctx, a, err)
	}
	if err := s.follow(ctx, host.ID); err != nil {
		return Credential{}, err
	}
	s.directory.heard(host.ID, claim.now, nil)
	s.directory.dropPush(pushed)
	if changed {
		s.bell.ringAll()
	}
	s.log.Info("host enrolled", "host", host.ID, "name", host.Facts.Name, "address", host.Facts.Address,
		"role", host.Role, "again", again)
	return Credential{Host: host.ID, Chain: chain, Expires: expires}, nil
}

// joinAgain lets a host that was pushed to again take the newer token, so that this push is seen to have arrived. It stays
// what it is; its key alone lets it in, also when the token is not good or the one that it has joined by.
func (s *Service) joinAgain(w store.Writer, c claim, h *hosts.Host) (pushed string, err error) {
	var record identity.TokenRecord
	if err := read(w, keyTokens+string(c.token.ID()), &record); err != nil {
		return "", err
	}
	if string(c.token.ID()) == h.JoinedBy || record.Admit(c.token, c.from, c.now) != nil {
		return "", nil
	}
	record.Uses++
	h.JoinedBy = string(record.ID)
	return record.Host, errors.Join(
		write(w, keyTokens+string(record.ID), record),
		w.Delete(keyPushes+record.Host),
		s.event(w, Event{Kind: "enrolled", Host: h.ID, From: c.from.String(),
			Message: h.Facts.Name + " came again, by token " + string(record.ID) + ", and goes on" + roleWords(*h)}),
	)
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
	// Unmapped first: what is said of an IPv4 address is not said of its IPv6 form.
	address = address.Unmap()
	if err != nil || !address.IsGlobalUnicast() || address.Zone() != "" {
		return netip.Addr{}, fault.New(fault.Invalid, remedy, "the host says that its address is %.64q, which no other host can reach", a.Address)
	}
	a.Name = strings.ToLower(a.Name)
	if !validHostName(a.Name) {
		return netip.Addr{}, fault.New(fault.Invalid, remedy, "the host says that its name is %.64q, which is not a host name (RFC 1123)", a.Name)
	}
	if a.Zone != "" && late.Validate(late.Values{"Host.Zone": a.Zone}) != nil {
		return netip.Addr{}, fault.New(fault.Invalid, remedy, "the host says that its zone is %.64q; letters, digits, dots, underscores and hyphens are allowed", a.Zone)
	}
	return address, checkLabels(a.Labels)
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
	last := name[strings.LastIndexByte(name, '.')+1:]
	// A last label of digits is an address, not a name (RFC 1123, 2.1), and an identity names another host: an operator
	// who types one must not get this host for it.
	_, notID := proof.ParseHostID(name)
	return name != "localhost" && strings.Trim(last, "0123456789") != "" && notID != nil
}

// claim is an applicant's right to join, as far as the store decides it.
type claim struct {
	key     string // SHA-256 of the public key in hexadecimal
	token   identity.Token
	address netip.Addr
	from    netip.Addr
	now     time.Time
}

// admit is the host that has this key already, or else the record of the token that lets a new one in at this address.
// It does the same work for a token that does not exist.
func (c claim) admit(r store.Reader) (known hosts.Host, record identity.TokenRecord, err error) {
	var id, other hosts.ID
	if err := read(r, keyKeys+c.key, &id); err != nil {
		return known, record, err
	}
	if id != "" {
		known, err = getHost(r, id)
		if err == nil && known.Phase == hosts.Removed {
			err = ErrRemoved
		}
		return known, record, err
	}
	if err := read(r, keyTokens+string(c.token.ID()), &record); err != nil {
		return known, record, err
	}
	if err := record.Admit(c.token, c.from, c.now); err != nil {
		return known, record, err
	}
	if err := read(r, keyAddresses+c.address.String(), &other); err != nil {
		return known, record, err
	}
	if other != "" {
		return known, record, fault.New(fault.Conflict,
			"if that machine is gone or was installed anew: coordinator hosts remove "+string(other)+", then let this one join again",
			"a host with the address %s is already enrolled as %s", c.address, other)
	}
	return known, record, nil
}

// placement is where a host goes: its role, and in a counted one the roster with the host in it and its place there.
type placement struct {
	role   roles.Role
	roster roles.Roster
	index  int
}

// errWaits says why a host has no role for now.
type errWaits string

func (e errWaits) Error() string { return string(e) }

// place finds where a host goes when something decides it and a place is free; else the error is errWaits. What an
// operator asks for and cannot have is a fault.
func (s *Service) place(r store.Reader, h hosts.Host, operator manifest.Role) (p placement, err error) {
	address, _ := netip.ParseAddr(h.Facts.Address)
	candidate := roles.Candidate{
		ID: h.ID, Name: h.Facts.Name, Address: address, Labels: h.Facts.Labels, Operator: operator, Token: h.TokenRole,
	}
	decision, ok := s.gen.spec.Decide(candidate)
	if !ok {
		return p, errWaits(s.gen.spec.Why(candidate))
	}
	if p.role, ok = s.gen.spec.Role(decision.Role); !ok {
		return p, errWaits("its token is bound to role " + string(decision.Role) + ", which this generation does not have")
	}
	if p.role.Count == 0 {
		return p, nil
	}
	roster, err := s.roster(r, p.role.Name)
	if err != nil {
		return p, err
	}
	member := roles.Member{
		Host: h.ID, Name: h.Facts.Name, Address: h.Facts.Address, Zone: h.Facts.Zone, Domain: domain(h, p.role.Spread),
	}
	if err := s.apart(roster, member, p.role, decision, operator); err != nil {
		return p, errWaits("spare: " + err.Error() + "; an operator can assign it nevertheless")
	}
	p.roster, p.index, err = roster.Join(member, decision.Place, s.gen.spec.Reserved(p.role.Name))
	switch {
	case err == nil:
		return p, nil
	case operator == "" && errors.Is(err, roles.ErrFull):
		return p, errWaits("spare: role " + string(p.role.Name) + " has all its members")
	}
	return p, fault.New(fault.Conflict, "coordinator hosts remove the member that is gone, or choose another role", "role %s", p.role.Name).Because(err)
}

// assign gives the host its role when it has a place, and says whether a roster changed.
func (s *Service) assign(w store.Writer, h *hosts.Host, operator manifest.Role, now time.Time) (bool, error) {
	p, err := s.place(w, *h, operator)
	var waits errWaits
	if errors.As(err, &waits) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	h.Role, h.Index, h.Phase, h.PhaseSince = p.role.Name, p.index, hosts.Assigned, now
	if p.role.Count == 0 {
		return false, nil
	}
	return true, write(w, keyRosters+string(p.role.Name), p.roster)
}

// settle gives a waiting host the place that has become free, as a spare that of a member which was removed.
func (s *Service) settle(ctx context.Context, id hosts.ID) error {
	var changed bool
	err := s.change(ctx, id, func(w store.Writer, h *hosts.Host) (err error) {
		changed = false
		if h.Phase != hosts.Enrolled {
			return nil
		}
		if changed, err = s.assign(w, h, "", s.clock()); err != nil || h.Role == "" {
			return err
		}
		return s.event(w, Event{Kind: "assigned", Host: id, Message: h.Facts.Name + roleWords(*h)})
	})
	if err == nil && changed {
		s.bell.ringAll()
	}
	return err
}

// refused records why an applicant was turned away. What is wrong with its right to join is told alike to all of them.
func (s *Service) refused(ctx context.Context, a Applicant, reason error) error {
	var f *fault.Error
	var denial *identity.Denial
	why := reason.Error()
	switch {
	case errors.As(reason, &f):
	case errors.As(reason, &denial):
		why = string(denial.Reason)
		fallthrough
	case errors.Is(reason, identity.ErrToken), errors.Is(reason, ErrRemoved):
		reason = fault.New(fault.Denied,
			"make a new join token and let the host join with it: coordinator push, or coordinator user-data",
			"the join token was refused")
	default:
		return reason // the store's or the CA's fault, not the applicant's
	}
	if validHostName(a.Name) {
		why = a.Name + ": " + why
	}
	if err := s.Turned(ctx, a.From, why); err != nil {
		return err
	}
	return reason
}

// Turned records that somebody who wanted to join was turned away, and why.
func (s *Service) Turned(ctx context.Context, from netip.Addr, why string) error {
	s.log.Warn("enrolment denied", "from", from, "reason", why)
	return s.note(ctx, Event{Kind: "enrolment-denied", From: from.String(), Message: why})
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
	switch {
	case errors.Is(err, fault.NotFound):
		return "", s.shutOut(ctx, id, fault.New(fault.Denied, "let the host join again: coordinator push", "the host %s is not known", id))
	case err != nil:
		return "", err
	case host.Phase == hosts.Removed:
		return "", s.shutOut(ctx, id, fault.New(fault.Denied, "let it join again if it should: coordinator push", "the host %s was removed by an operator", id).Because(ErrRemoved))
	case serial == host.Serial:
		return id, nil
	case serial == host.NextSerial:
		return id, s.change(ctx, id, func(w store.Writer, h *hosts.Host) error {
			if h.NextSerial != serial {
				return nil
			}
			h.Serial, h.NextSerial = serial, ""
			before := h.Key
			sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
			if h.Key = hex.EncodeToString(sum[:]); h.Key == before {
				return nil
			}
			return w.Delete(keyKeys + before)
		})
	}
	return "", s.shutOut(ctx, id, fault.New(fault.Denied, "if its disk was cloned, clear /var/lib/bootstrap-agent on the copy and push again",
		"the certificate of host %s is no longer current", id))
}

// shutOut records that a certificate of this cluster was shown which is good no more.
func (s *Service) shutOut(ctx context.Context, id hosts.ID, reason *fault.Error) error {
	if err := s.note(ctx, Event{Kind: "host-denied", Host: id, Message: reason.What}); err != nil {
		return err
	}
	return reason
}

// Renew answers a fresh certificate for a fresh key. The old one stays good until the new one is seen.
func (s *Service) Renew(ctx context.Context, id hosts.ID, csr *identity.CheckedCSR) (Credential, error) {
	keyID := csr.KeyID()
	key := hex.EncodeToString(keyID[:])
	var chain [][]byte
	var expires time.Time
	err := s.change(ctx, id, func(w store.Writer, h *hosts.Host) (err error) {
		// A host whose certificate expired comes back by its key. A request proves that somebody has the key, not that
		// it is who calls: it must not turn another host's key into this one's.
		var owner hosts.ID
		if err := read(w, keyKeys+key, &owner); err != nil {
			return err
		}
		if owner != "" && owner != id {
			return fault.New(fault.Denied, "make a fresh key for each renewal", "the key belongs to another host")
		}
		// A host that renews again and again leaves two keys behind, not one for each time.
		var unused string
		if err := read(w, keyRenewals+string(id), &unused); err != nil {
			return err
		}
		if unused != "" && unused != key && unused != h.Key {
			if err := w.Delete(keyKeys + unused); err != nil {
				return err
			}
		}
		chain, h.NextSerial, expires, err = s.ca.IssueHost(csr, id, s.clock(), identity.HostTTL)
		return errors.Join(err, write(w, keyRenewals+string(id), key), write(w, keyKeys+key, id))
	})
	if err != nil {
		return Credential{}, err
	}
	return Credential{Host: id, Chain: chain, Expires: expires}, nil
}
